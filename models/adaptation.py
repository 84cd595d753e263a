"""Adapts `wordspot` to an archive by what is said there more than once: no labels, minutes on a CPU.

    clusters of similar stretches -> losses of `transformer_training` -> weights between those before and
    after training -> evaluated on held-out clusters -> artifact, with its graph for use without torch

Clusters are in the place of words, recordings of speakers: stretches of one cluster come together, cut out of
their sentence or in it, and those of others apart. The relations are the teacher's, and the teacher is the
encoder itself as it was, in whose frames the archive is indexed: nothing that it tells apart is forgotten.
The convolutions and the lower half of the blocks are frozen.

A part of the clusters is neither trained on nor used to choose the best step. On them it is evaluated
(`adaptation_judge`) how far the weights are interpolated towards those after training, and whether the
encoder is better than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from wordspot.models import artifact, audio, registry, trainer
from wordspot.models.adaptation_judge import AdaptationJudge, Clusters, Judgement, best_of, compared
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets.spectra import TICKS_PER_TARGET, Spectra
from wordspot.models.encoders.transformer import Transformer
from wordspot.models.encoders.transformer_training import TransformerTraining
from wordspot.models.encoders.utterances import Corpus, UtteranceData
from wordspot.models.encoders.whisper import log_mel
from wordspot.models.errors import BadInput, DamagedArtifact, MissingWeights
from wordspot.models.export import PRECISIONS, export
from wordspot.models.recipe import Report
from wordspot.models.temporary import temporary_folder
from wordspot.models.trainer import Plan, Progress
from wordspot.models.training.wordspot_recipe import interpolate

STEPS = 300
MINUTES = 10.0
LEARNING_RATE = 1e-4
WORDS, STRETCHES = 24, 24  # of a batch
PATIENCE = 4  # validations
MIN_CLUSTERS = 48
VALIDATION_SHARE = 0.25  # of the clusters
MAX_VALIDATION_CLUSTERS = 200
TRAINED_SHARES = (0.25, 0.5, 0.75, 1.0)  # how far from the weights before training to those after it


@dataclass(frozen=True)
class ArchiveRegion:
    """A speech region of an archive.

    Attributes:
        name: The recording's, a slash, and the region's within it.
        waveform: float32 (samples,) at 16 kHz.
        frames: (ceil(ticks / 2), H), the frame features that the archive holds, of which only directions
            count.
    """

    name: str
    waveform: NDArray[np.float32]
    frames: NDArray[Any]


@dataclass(frozen=True)
class AdaptationResult:
    """What came of an adaptation.

    Attributes:
        judgement: Of choosing a share, not of the chosen one alone (`best_of`).
        share: How far the weights are from those before training to those after it.
        trained_on: How many clusters were trained on.
        progress: Of the training.
        card: Of the artifact; None where none was written.
    """

    judgement: Judgement
    share: float
    trained_on: int
    progress: Progress
    card: ArtifactCard | None


class Adaptation(TransformerTraining):
    """Training of the upper half of the blocks and of the map."""

    def __init__(self, model: Transformer) -> None:
        super().__init__(model, [0])
        trained = {id(parameter) for parameter in self._trained()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in trained)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {"model": self._trained()}

    def _trained(self) -> list[nn.Parameter]:
        model = self.model
        upper = [*model.blocks[len(model.blocks) // 2 :], model.norm, model.map, model.projection]
        return [parameter for part in upper for parameter in part.parameters()] + [
            self.scale,
            self.fine_scale,
        ]


def adapt(
    base: str,
    spectra: Spectra,
    clusters: Clusters,
    out: Path,
    *,
    speech: Sequence[NDArray[np.float32]],
    home: Path | None = None,
    learned_from: Mapping[str, Any],
    minutes: float = MINUTES,
    steps: int | None = None,
    seed: int = 0,
    force: bool = False,
    device: str = "cpu",
    report: Report = lambda progress: None,
) -> AdaptationResult:
    """Fine-tunes an encoder and writes the artifact, unless it has not become better.

    Same seed, same artifact if the steps end it and not the minutes. It has no `model.onnx` where the package
    onnx is missing.

    Args:
        base: A name or folder of a `transformer` artifact, with which the archive is indexed.
        spectra: As `spectra_of` makes them.
        clusters: Tokens in frames of `spectra`, their speakers the recordings.
        out: The artifact's folder, whose name is the artifact's.
        speech: Some of the archive's, float32 (samples,) at 16 kHz, on which the network without torch must
            agree with this one.
        home: State folder (WORDSPOT_HOME), where the base is looked for beside those that ship.
        learned_from: What the archive is, for the card.
        minutes: Of training at most.
        steps: Of training at most, STEPS where it is None.
        seed: Of what is random.
        force: Whether to write the artifact whatever the judgement.
        device: As torch names it, for training.
        report: Called after each validation.

    Raises:
        UnknownModel, DamagedArtifact: The base cannot be loaded.
        BadInput: The base cannot be adapted, or there are too few clusters.
    """
    model, card = adaptable(base, home)
    training_clusters, validation_clusters = split(clusters, seed)
    judge = AdaptationJudge(spectra, validation_clusters, seed)
    before = judge.average_precisions(model)
    start, plan = _weights(model), _plan(steps, minutes, seed)
    progress = _train(model, spectra, training_clusters, plan, device, report)
    trained = _weights(model.cpu().eval())
    candidates = (_interpolated(model, start, trained, share) for share in TRAINED_SHARES)
    best, after = best_of(np.stack([judge.average_precisions(candidate) for candidate in candidates]))
    judgement, share = compared(before, after, seed), TRAINED_SHARES[best]
    written = None
    if judgement.improved or force:
        budget = _budget(plan, progress, share)
        learned_from = {**learned_from, "clusters": len(training_clusters)}
        chosen = _interpolated(model, start, trained, share)
        written = _exported(
            _written(chosen, card, out, judgement, seed, budget, learned_from), out, speech, home
        )
    return AdaptationResult(judgement, share, len(training_clusters), progress, written)


def _interpolated(
    model: Transformer, start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float
) -> Transformer:
    """Sets the weights between those before training and those after it, and returns the model."""
    model.load_state_dict(trained)
    interpolate(model, start, share)
    return model


def _plan(steps: int | None, minutes: float, seed: int) -> Plan:
    return Plan(
        steps or STEPS,
        minutes,
        learning_rate=LEARNING_RATE,
        warm_up=20,
        weight_decay=0.0,
        validate_every=25,
        ema_decay=0.95,
        patience=PATIENCE,
        seed=seed,
    )


def _train(
    model: Transformer, spectra: Spectra, clusters: Clusters, plan: Plan, device: str, report: Report
) -> Progress:
    """Trains in place, without a checkpoint that outlives the call."""
    training = Adaptation(model)
    tokens = {f"cluster {number}": cluster for number, cluster in enumerate(clusters)}
    data = UtteranceData(
        [Corpus(spectra, tokens)], model, plan.seed, words=[WORDS], stretches=STRETCHES, validation_batches=4
    )
    with temporary_folder() as folder:
        return trainer.fit(training, data, plan, folder, device=device, report=report)


def adaptable(base: str, home: Path | None = None) -> tuple[Transformer, ArtifactCard]:
    """Returns an artifact's model and card. Raises UnknownModel, DamagedArtifact, BadInput if it is no
    `transformer`."""
    check_adaptable(artifact.read_card(registry.find(base, home)), home)
    model, card = registry.load(base, home)
    assert isinstance(model, Transformer)
    return model, card


def check_adaptable(card: ArtifactCard, home: Path | None = None) -> None:
    """Raises BadInput if the card's model cannot be adapted."""
    if card.model != "transformer":
        transformers = [
            name for name, other in registry.available(home).items() if other.model == "transformer"
        ]
        raise BadInput(
            f"encoder {card.name!r} is a {card.model}, which cannot be adapted; those of the class "
            f"transformer can: {', '.join(transformers) or 'none is installed'}"
        )


def check_enough(clusters: int) -> None:
    """Raises BadInput if so many clusters are too few to adapt to."""
    if clusters < MIN_CLUSTERS:
        raise BadInput(
            f"{clusters} stretches of the archive were found again in other recordings; at least "
            f"{MIN_CLUSTERS} are needed to learn from and to judge by: add recordings"
        )


def spectra_of(regions: Iterable[ArchiveRegion]) -> Spectra:
    """Returns log-mel of regions in dB, with the archive's frames as targets; an odd last tick is left out.

    Raises BadInput if there is no region.
    """
    rows, targets, names, bounds = [], [], [], [0]
    for region in regions:
        ticks = len(region.waveform) // audio.HOP_SAMPLES // TICKS_PER_TARGET * TICKS_PER_TARGET
        if ticks:
            waveform = torch.from_numpy(region.waveform[: ticks * audio.HOP_SAMPLES])
            rows.append((10 * log_mel(waveform)).numpy().astype(np.float16))
            frames = torch.from_numpy(region.frames[: ticks // TICKS_PER_TARGET].astype(np.float32))
            targets.append(normalize(frames, dim=1).numpy().astype(np.float16))
            names.append(region.name)
            bounds.append(bounds[-1] + ticks)
    if not rows:
        raise BadInput("no speech region to learn from")
    return Spectra(np.concatenate(rows), np.array(bounds, np.int64), tuple(names), np.concatenate(targets))


def split(clusters: Clusters, seed: int) -> tuple[Clusters, Clusters]:
    """Returns clusters to train on and clusters to validate with, at random. Raises BadInput if there are too
    few."""
    check_enough(len(clusters))
    order = np.random.default_rng([seed, 2]).permutation(len(clusters)).tolist()
    count = min(MAX_VALIDATION_CLUSTERS, round(VALIDATION_SHARE * len(clusters)))
    return [clusters[number] for number in order[count:]], [clusters[number] for number in order[:count]]


def _weights(model: Transformer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _budget(plan: Plan, progress: Progress, share: float) -> dict[str, Any]:
    return {
        **asdict(plan),
        "steps_done": progress.step,
        "minutes_spent": round(progress.minutes, 1),
        "trained_share": share,
    }


def _exported(
    card: ArtifactCard, folder: Path, speech: Sequence[NDArray[np.float32]], home: Path | None
) -> ArtifactCard:
    """Returns the card of the artifact with its graph, in int8 where that agrees with the network; without
    one where none could be made."""
    for precision in PRECISIONS:
        try:
            return export(str(folder), speech, home, precision=precision)
        except DamagedArtifact:
            continue  # the graph of the next precision may agree
        except MissingWeights:
            break
    return card


def _written(
    model: Transformer,
    base: ArtifactCard,
    out: Path,
    judgement: Judgement,
    seed: int,
    budget: Mapping[str, Any],
    learned_from: Mapping[str, Any],
) -> ArtifactCard:
    card = ArtifactCard(
        name=out.name,
        model="transformer",
        config={},
        weights_sha256="",
        description=f"{base.name!r}, adapted without labels to what an archive says more than once.",
        source=(
            f"{base.source}; Algayres et al. 2022 (nearest neighbours as positives)"
            if base.source
            else "Algayres et al. 2022 (nearest neighbours as positives)"
        ),
        data={**learned_from, "base": {"name": base.name, "hash": base.hash}},
        supervision=f"none of its own; the base's: {base.supervision}",
        scale=base.scale,
        licence=base.licence,
        seed=seed,
        budget=budget,
        commit=artifact.commit(),
        metrics=(
            Metric(
                "held_out_clusters_ap",
                float(judgement.after.mean()),
                floor=0.0,
                baseline=float(judgement.before.mean()),
            ),
        ),
        detection_threshold=base.detection_threshold,
        calibration=base.calibration,
    )
    return artifact.save(model, card, out, half=True)
