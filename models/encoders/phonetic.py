"""`phonetic`: a small convolutional network that hears what a large recogniser's encoder hears.

Distillation (Hinton, Vinyals, Dean 2015) in its relational form (Park et al., "Relational Knowledge
Distillation", CVPR 2019): the student's frame need not only point where the teacher's does, it must be as far
from all other frames of the batch as the teacher's is, and so must the vectors of random spans. The teacher's
frames have been mapped to what tells words apart before (`whisper.py`). The student hears the speech
disturbed (`augmentation.py`), and often alone, without what came before and after, while the teacher heard
it clean and in its context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import kl_div, log_softmax, normalize, softmax

from wordspot.models import augmentation
from wordspot.models.augmentation import Strength
from wordspot.models.datasets.spectra import TICKS_PER_TARGET, Spectra
from wordspot.models.encoders.convolutional import ConvolutionalEncoder
from wordspot.models.encoders.pooled import part_means
from wordspot.models.model import Loss
from wordspot.models.registry import register

TICKS = 200
SHORTEST_ALONE, LONGEST_ALONE = 28, 110
SHORTEST_SPAN, LONGEST_SPAN = 20, 90
FRAMES_COMPARED = 512
SPANS_A_CROP = 4
TEMPERATURE = 0.1


@dataclass(frozen=True)
class DistilBatch:
    """features (B, T, 40) as the network takes them; lengths (B,) in ticks; targets (B, T / 2, H) unit rows;
    heard (B, T / 2) bool: where the teacher has an opinion and the student something to hear."""

    features: Tensor
    lengths: Tensor
    targets: Tensor
    heard: Tensor

    def to(self, device: str) -> DistilBatch:
        return DistilBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@register("phonetic")
class Phonetic(ConvolutionalEncoder):
    """The projection from pooled frames to vectors is the teacher's and does not train."""

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        fixed = set(self.projection.parameters())
        return {"model": [parameter for parameter in self.parameters() if parameter not in fixed]}

    def loss(self, player: str, batch: DistilBatch, rng: Generator) -> Loss:
        frames = self.hear(batch.features, batch.lengths)
        mine, wanted = frames[batch.heard], batch.targets[batch.heard]  # (n, H)
        apart = 1 - (mine * wanted).sum(dim=1).mean()
        some = torch.randint(len(mine), (FRAMES_COMPARED,), generator=rng, device=rng.device)
        frame_relations = relational(mine[some], wanted[some])
        spans = _random_spans(batch.lengths, rng)
        own = normalize(self.pool(frames, *spans), dim=1)
        with torch.no_grad():
            right = normalize(self.projection(part_means(batch.targets, *spans, self.parts)), dim=1)
        span_relations = relational(own, right)
        span_apart = 1 - (own * right).sum(dim=1).mean()
        value = apart + 0.5 * frame_relations + span_apart + span_relations
        figures = {
            "frames": apart,
            "relations": frame_relations,
            "spans": span_apart,
            "of_spans": span_relations,
        }
        return Loss(value, {name: float(figure.detach()) for name, figure in figures.items()})


def relational(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence between whom the teacher's rows resemble and whom the student's do.

    student, teacher: unit rows (n, H). The student's rows are held against the teacher's.
    """
    wanted = softmax(teacher @ teacher.T / TEMPERATURE, dim=1)
    mine = log_softmax(student @ teacher.T / TEMPERATURE, dim=1)
    return kl_div(mine, wanted, reduction="batchmean")


def _random_spans(lengths: Tensor, rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Crop (n,), start and stop (n,) in frames, float64, a few a crop."""
    crop = torch.arange(len(lengths), device=rng.device).repeat_interleave(SPANS_A_CROP)
    size = augmentation.uniform((len(crop),), SHORTEST_SPAN, LONGEST_SPAN, rng)
    size = torch.minimum(size, lengths[crop].float())
    start = augmentation.uniform((len(crop),), 0, 1, rng) * (lengths[crop] - size)
    return crop, start.double() / TICKS_PER_TARGET, (start + size).double() / TICKS_PER_TARGET


class DistilData:
    """Batches for the trainer out of spectra with targets; every twentieth clip is kept for validation.

    alone: share of crops that are a short stretch without what surrounds it.
    """

    def __init__(
        self, spectra: Spectra, model: Phonetic, seed: int, *, crops: int = 40, alone: float = 0.35
    ) -> None:
        self._spectra = spectra
        self._model = model
        self._seed = seed
        self._crops = crops
        self._alone = alone
        clips = np.arange(len(spectra.names))
        held = clips % 20 == 0
        self._training, self._held = clips[~held], clips[held]

    def batch(self, step: int) -> DistilBatch:
        return self._draw(self._training, step, Strength())

    def validation(self) -> list[DistilBatch]:
        return [self._draw(self._held, -1 - number, Strength()) for number in range(8)]

    def _draw(self, clips: np.ndarray, step: int, strength: Strength) -> DistilBatch:
        rng = np.random.default_rng([self._seed, int(step < 0), abs(step)])
        chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
        length = np.diff(self._spectra.bounds)[clips].astype(np.float64)
        chosen = rng.choice(clips, self._crops, p=length / length.sum())
        source = int(TICKS * strength.tempo) + TICKS_PER_TARGET
        spectra, start = self._spectra.crops(chosen, source, rng)
        targets, there = self._spectra.targets_of(start, chosen, source // TICKS_PER_TARGET)
        places = augmentation.tempo_places(len(chosen), TICKS, source, strength.tempo, chance)
        spectra = augmentation.disturb(augmentation.read_at(spectra, places), strength, chance)
        at = places[:, ::TICKS_PER_TARGET] / TICKS_PER_TARGET
        wanted = normalize(augmentation.read_at(targets, at), dim=2)
        there = augmentation.read_at(there[..., None].float(), at)[..., 0] > 0.99
        alone = rng.random(len(chosen)) < self._alone
        short = np.exp(rng.uniform(np.log(SHORTEST_ALONE), np.log(LONGEST_ALONE), len(chosen)))
        lengths = torch.from_numpy(np.where(alone, short, TICKS).astype(np.int64))
        features = [
            torch.nn.functional.pad(self._model.normalise([row[:size]])[0], (0, 0, 0, TICKS - int(size)))
            for row, size in zip(spectra, lengths, strict=True)
        ]
        inside = torch.arange(wanted.shape[1]) < (lengths // TICKS_PER_TARGET)[:, None]
        return DistilBatch(torch.stack(features), lengths, wanted, there & inside)
