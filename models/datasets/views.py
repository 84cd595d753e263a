"""Pairs of views of unlabelled speech: the same sound disturbed twice, or two sounds taken for the same word.

Every row of a batch is a stretch of the corpus in two views. Where both views show one place (SimCLR; Chen et
al., ICML 2020, arXiv 2002.05709), only tempo, voice, room and noise differ. Where the views show two places
that were found to sound alike (Algayres et al., "Speech Sequence Embeddings using Nearest Neighbors
Contrastive Learning", Interspeech 2022, arXiv 2204.05148), speakers differ for real. Anchors, places
that correspond, let spans and moments of one view be found in the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio, augmentation
from wordspot.models.augmentation import Strength
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TICKS = 160
SHORTEST_SPAN, LONGEST_SPAN = 20, 90
LONGEST_STRETCH = 130  # fits a view at the fastest tempo
ALONE_MARGIN = 8.0
SPANS, MOMENTS = 3, 8  # a row
ANCHORS = 8
VALIDATION_BATCHES = 8
HELD_BACK = 20  # one clip in so many is kept for validation, and one pair
QUIET_UNITS = -1.6  # a moment whose mean band lies so far below the level of its view says nothing

Normalise = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class MinedPairs:
    """Pairs of similar stretches of the corpus.

    Attributes:
        clips: int64 (n, 2).
        anchors: float64 (n, 2, ANCHORS), ticks of the corpus that correspond, rising, from where a stretch
            starts to where it stops.
    """

    clips: Ints
    anchors: Floats

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, rows: Ints) -> MinedPairs:
        return MinedPairs(self.clips[rows], self.anchors[rows])

    @classmethod
    def none(cls) -> MinedPairs:
        """Returns no pairs."""
        return cls(np.zeros((0, 2), np.int64), np.zeros((0, 2, ANCHORS)))

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        return hashlib.sha256(self.clips.tobytes() + self.anchors.tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Writes a NumPy archive, which is whole or absent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, clips=self.clips, anchors=self.anchors)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> MinedPairs:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["clips"], arrays["anchors"])


@dataclass(frozen=True)
class ViewBatch:
    """B rows in two views.

    Attributes:
        features: float32 (2, B, TICKS, 40), disturbed, as the network takes them, zero beyond `lengths`.
        clean: float32 (2, B, TICKS, 40), undisturbed.
        lengths: int64 (2, B), in ticks.
        spans: float64 (2, N, 2), start and stop in ticks of a view.
        span_rows: int64 (N,), the row that a span lies in.
        span_places: float64 (2, N, 2), start and stop in ticks of the corpus.
        moments: float64 (2, M), ticks of a view.
        moment_rows: int64 (M,), the row that a moment lies in.
        moment_places: float64 (2, M), ticks of the corpus.
    """

    features: Tensor
    clean: Tensor
    lengths: Tensor
    spans: Tensor
    span_rows: Tensor
    span_places: Tensor
    moments: Tensor
    moment_rows: Tensor
    moment_places: Tensor

    def to(self, device: str) -> ViewBatch:
        """Returns the batch on a device."""
        return ViewBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class ContrastiveData:
    """Batches for the trainer; every twentieth clip is kept for validation, and every twentieth pair.

    normalise: the network's own. pairs: mined ones, joined by share `mined` of a batch's rows, if there are
    any. isolated: share of rows whose second view holds the stretch without what surrounds it.
    Equal arguments and steps give equal batches. Raises BadInput if there are fewer than two clips.
    """

    def __init__(
        self,
        spectra: Spectra,
        normalise: Normalise,
        seed: int,
        *,
        pairs: MinedPairs | None = None,
        rows: int = 40,
        mined: float = 0.5,
        isolated: float = 0.5,
    ) -> None:
        if len(spectra.names) < 2:
            raise BadInput(f"{len(spectra.names)} clip to train on; at least two are needed")
        self.spectra = spectra
        self._normalise = normalise
        self._seed = seed
        self._rows = rows
        self._isolated = isolated
        clips = np.arange(len(spectra.names))
        pairs = pairs if pairs is not None else MinedPairs.none()
        ordinals = np.arange(len(pairs))
        held_out, held_out_pairs = clips % HELD_BACK == 0, ordinals % HELD_BACK == 0
        self._training = (clips[~held_out], pairs[ordinals[~held_out_pairs]])
        self._held = (clips[held_out], pairs[ordinals[held_out_pairs]])
        self._mined = round(mined * rows) if len(self._training[1]) else 0

    def batch(self, step: int) -> ViewBatch:
        """Returns the pairs of views of a step, drawn by the step's number."""
        return self._draw(*self._training, step)

    def validation(self) -> list[ViewBatch]:
        """Returns the same draws of the held-out part every time."""
        return [self._draw(*self._held, -1 - number) for number in range(VALIDATION_BATCHES)]

    def _draw(self, clips: Ints, pairs: MinedPairs, step: int) -> ViewBatch:
        rng = np.random.default_rng([self._seed, int(step < 0), abs(step)])
        chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
        same = self._same(clips, self._rows - self._mined, rng)
        mined = (
            pairs[rng.integers(len(pairs), size=self._mined)] if self._mined else pairs[np.zeros(0, np.int64)]
        )
        turned = rng.random(len(mined)) < 0.5
        mined = MinedPairs(*(np.where(_wide(turned, a), a[:, ::-1], a) for a in (mined.clips, mined.anchors)))
        rows = MinedPairs(*(np.concatenate(both) for both in zip(_arrays(same), _arrays(mined), strict=True)))
        isolated = rng.random(len(rows)) < self._isolated
        views = [
            self._view(rows.clips[:, v], rows.anchors[:, v], isolated & (v == 1), rng, chance) for v in (0, 1)
        ]
        features, clean, lengths, start, rate = (torch.stack(part) for part in zip(*views, strict=True))
        spans, span_rows = _spans(rows.anchors, rng)
        moments, moment_rows = _moments(rows.anchors, rng)
        in_view = (torch.from_numpy(spans) - start[:, span_rows, None]) / rate[:, span_rows, None]
        at = (torch.from_numpy(moments) - start[:, moment_rows]) / rate[:, moment_rows]
        at = at.clamp_min(0).minimum(lengths[:, moment_rows] - 1.0)
        level = torch.stack([clean[v, moment_rows, at[v].long()].mean(dim=1) for v in (0, 1)])  # (2, M)
        loud = (level > QUIET_UNITS).all(dim=0)
        limit = lengths[:, span_rows, None].double()
        return ViewBatch(
            features,
            clean,
            lengths,
            in_view.clamp_min(0).minimum(limit),
            torch.from_numpy(span_rows),
            torch.from_numpy(spans),
            at[:, loud],
            torch.from_numpy(moment_rows)[loud],
            torch.from_numpy(moments)[:, loud],
        )

    def _same(self, clips: Ints, count: int, rng: np.random.Generator) -> MinedPairs:
        """Returns pairs of stretches of clips, each with itself."""
        bounds = self.spectra.bounds
        length = np.diff(bounds)[clips].astype(np.float64)
        chosen = rng.choice(clips, count, p=length / length.sum())
        room = np.diff(bounds)[chosen]
        size = np.exp(rng.uniform(np.log(1.4 * SHORTEST_SPAN), np.log(LONGEST_STRETCH), count))
        size = np.minimum(size, room)
        start = bounds[chosen] + rng.random(count) * (room - size)
        anchors = start[:, None] + size[:, None] * np.linspace(0, 1, ANCHORS)
        return MinedPairs(np.stack([chosen, chosen], axis=1), np.stack([anchors, anchors], axis=1))

    def _view(
        self,
        clips: Ints,
        anchors: Floats,
        isolated: NDArray[np.bool_],
        rng: np.random.Generator,
        chance: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns features and clean (B, TICKS, 40), lengths (B,), and by row where in the corpus the view
        starts and how many ticks of the corpus one of its ticks spans, float64 (B,).

        clips (B,), anchors (B, ANCHORS) of a view; isolated (B,) bool.
        """
        strength = Strength()
        first, last = self.spectra.bounds[clips], self.spectra.bounds[clips + 1]
        begin, end = anchors[:, 0], anchors[:, -1]
        rate = np.exp(rng.uniform(-np.log(strength.tempo), np.log(strength.tempo), len(clips)))
        rate = np.maximum(rate, (end - begin) / (TICKS - 1))
        covered = rate * (TICKS - 1)
        # Any start from which the view holds the whole stretch, within the clip as far as it is long enough.
        low = np.maximum(first, end - covered)
        high = np.maximum(np.minimum(begin, last - covered), low)
        start = low + rng.random(len(clips)) * (high - low)
        stop = np.minimum(start + covered, last)
        margin = rng.uniform(0, ALONE_MARGIN, (2, len(clips)))
        start = np.where(isolated, np.maximum(begin - margin[0], first), start)
        stop = np.where(isolated, np.minimum(end + margin[1], stop), stop)
        lengths = np.clip(np.ceil((stop - start) / rate), 4, TICKS).astype(np.int64)
        origin = np.floor(start).astype(np.int64)
        source = self.spectra.at(clips, origin, int(TICKS * strength.tempo) + 3)  # (B, source, 40)
        places = torch.from_numpy((start - origin)[:, None] + rate[:, None] * np.arange(TICKS)).float()
        clean = augmentation.read_at(source, places)
        disturbed = augmentation.disturb(clean, strength, chance)
        return (
            self._cut(disturbed, lengths),
            self._cut(clean, lengths),
            torch.from_numpy(lengths),
            torch.from_numpy(start),
            torch.from_numpy(rate),
        )

    def _cut(self, spectra: Tensor, lengths: Ints) -> Tensor:
        """As the network takes them, each row by itself, zero beyond its length."""
        cut = torch.zeros_like(spectra)
        for row, size in enumerate(lengths.tolist()):
            cut[row, :size] = self._normalise([spectra[row, :size]])[0]
        return cut


def of_folder(folder: Path) -> list[tuple[str, Path]]:
    """Returns the clips by name, every audio file below a folder. Raises BadInput."""
    return [(file.path.relative_to(folder).as_posix(), file.path) for file in audio.find_audio(folder)]


def _arrays(pairs: MinedPairs) -> tuple[Ints, Floats]:
    return pairs.clips, pairs.anchors


def _wide(flags: NDArray[np.bool_], like: NDArray[np.generic]) -> NDArray[np.bool_]:
    return flags.reshape(-1, *([1] * (like.ndim - 1)))


def _spans(anchors: Floats, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns a few spans of each row, the first as long as may be: (2, N, 2) in ticks of the corpus, rows
    (N,)."""
    rows = np.repeat(np.arange(len(anchors)), SPANS)
    size = (anchors[:, :, -1] - anchors[:, :, 0]).mean(axis=1)[rows]
    lengths = rng.uniform(SHORTEST_SPAN, LONGEST_SPAN, len(rows))
    lengths[::SPANS] = LONGEST_SPAN
    share = np.minimum(lengths / size, 1.0)
    start = rng.random(len(rows)) * (1 - share)
    places = np.stack([start, start + share], axis=1)  # (N, 2)
    return np.stack([_along(anchors[rows, v], places) for v in (0, 1)]), rows


def _moments(anchors: Floats, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Returns the moments of each row, one in each of equal parts: (2, M) in ticks of the corpus, rows
    (M,)."""
    rows = np.repeat(np.arange(len(anchors)), MOMENTS)
    places = (np.tile(np.arange(MOMENTS), len(anchors)) + rng.random(len(rows))) / MOMENTS
    return np.stack([_along(anchors[rows, v], places[:, None])[:, 0] for v in (0, 1)]), rows


def _along(anchors: Floats, places: Floats) -> Floats:
    """Returns (n, k), anchors (n, ANCHORS) interpolated at places (n, k) between 0 and 1."""
    at = places * (ANCHORS - 1)
    below = np.clip(np.floor(at).astype(np.int64), 0, ANCHORS - 2)
    rows = np.arange(len(anchors))[:, None]
    low, high = anchors[rows, below], anchors[rows, below + 1]
    result: Floats = low + (at - below) * (high - low)
    return result
