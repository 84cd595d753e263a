"""Real speech as sampled sound, for models that weigh or write it sample by sample.

The clips of a source of speech are brought to 8 kHz once, without the silence at both ends of each, and
stored as `<split>.npz` of a source `<speech>-8khz`. They are split in order of their ids: those at the end
are never trained on, so that what is read in one go stays together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets import festvox_ru, speech
from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import Source, Split, find, register
from wordspot.models.datasets.speech import Clip

RATE = 8_000
FULL_SCALE = 32_767
BLOCK_SAMPLES = RATE // 100
QUIET_DB = 40.0  # under the loudest blocks of a clip
EDGE_BLOCKS = 5  # of the silence that are kept at either end
VALIDATION_CROPS = 16


@dataclass(frozen=True)
class SoundSource(Source):
    """One voice out of the sources of speech. Of its clips in order of id the last `test` judge, `validation`
    before them choose, and all before those train."""

    speech: str
    validation: int
    test: int

    kind = "sounds"

    def build(self, folder: Path, home: Path, packages: Path | None) -> None:
        for split, part in divided(speech.clips(self.speech, home, packages), self).items():
            whole = converted(part)
            np.savez(folder / f"{split}.npz", samples=whole.samples, ends=whole.ends)

    def made_from(self) -> dict[str, Any]:
        return {**super().made_from(), "source": self.speech, "licence": f"{self.licence}; {self.split}"}


def sounds_of(
    name: str, packages: tuple[Package, ...], licence: str, *, validation: int, test: int
) -> SoundSource:
    """Returns the source of the sounds of a source of speech. packages, licence: its own."""
    split = f"by sentence, in order: the last {test} test, {validation} before them validation"
    return SoundSource(f"{name}-8khz", packages, licence, split, name, validation, test)


register(sounds_of("festvox_ru", (festvox_ru.PACKAGE,), festvox_ru.LICENCE, validation=40, test=40))


@dataclass(frozen=True)
class Sounds:
    """Recordings one behind the other.

    Attributes:
        samples: int16 (N,) at RATE, recordings one behind the other.
        ends: int64 (M,), where each ends.
    """

    samples: NDArray[np.int16]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """int64 (recordings,), the first sample of each recording."""
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])

    @property
    def seconds(self) -> float:
        """Duration of all recordings."""
        return len(self.samples) / RATE

    def recording(self, index: int) -> Tensor:
        """Returns a recording, float32 (n,), -1 to 1."""
        return as_floats(self.samples[self.starts[index] : self.ends[index]])


def as_floats(samples: NDArray[np.int16]) -> Tensor:
    """Returns float32, -1 to 1, of int16 samples."""
    return torch.from_numpy(samples.astype(np.float32) / FULL_SCALE)


def sounds(name: str, split: Split, home: Path, packages: Path | None = None) -> Sounds:
    """Returns one split of a source, converted on first use.

    name: of the source of speech. home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`.
    Raises DatasetError.
    """
    folder = sound_source(name).fetch(home, packages)
    with np.load(folder / f"{split}.npz", allow_pickle=False) as arrays:
        return Sounds(arrays["samples"], arrays["ends"])


def sound_source(name: str) -> SoundSource:
    """Returns the source of sounds of a source of speech, by its name. Raises DatasetError."""
    return find(f"{name}-8khz", SoundSource)


def divided(clips: Sequence[Clip], source: SoundSource) -> dict[Split, Sequence[Clip]]:
    """Returns clips, in order of id, by split. Raises DatasetError where none would be left to train on."""
    train = len(clips) - source.validation - source.test
    if train < 1:
        raise DatasetError(
            f"{len(clips)} clips of {source.speech!r}; more than {source.validation + source.test} are needed"
        )
    return {
        "train": clips[:train],
        "validation": clips[train : train + source.validation],
        "test": clips[train + source.validation :],
    }


def converted(clips: Iterable[Clip]) -> Sounds:
    """Returns the clips at RATE, without the silence at their ends."""
    parts = []
    for clip in clips:
        samples, rate = speech.load_mono(clip.path)
        resampled = torchaudio.functional.resample(torch.from_numpy(samples), rate, RATE)
        parts.append(trimmed((resampled.clamp(-1, 1) * FULL_SCALE).round().to(torch.int16).numpy()))
    return Sounds(np.concatenate(parts), np.cumsum([len(part) for part in parts], dtype=np.int64))


def trimmed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Returns samples from a little before the first block of 10 ms that is not quiet to a little after the
    last."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    if not len(blocks):
        return samples
    power = np.square(blocks.astype(np.float64)).mean(axis=1)
    loud = np.flatnonzero(power >= np.percentile(power, 95) * 10 ** (-QUIET_DB / 10))
    first, last = max(0, loud[0] - EDGE_BLOCKS), loud[-1] + 1 + EDGE_BLOCKS
    return samples[first * BLOCK_SAMPLES : last * BLOCK_SAMPLES]


@dataclass(frozen=True)
class SoundBatch:
    """Crops of sound.

    Attributes:
        sounds: float32 (B, samples), -1 to 1.
        known: How many samples at the front are context and not predicted.
    """

    sounds: Tensor
    known: int

    def to(self, device: str) -> SoundBatch:
        """Returns the batch on a device."""
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
        for part in (train, validation):
            shortest = int((part.ends - part.starts).min())
            if shortest < crop:
                raise ValueError(f"a recording of {shortest} samples; a crop takes {crop}")
        self._train, self._validation = train, validation
        self._size, self._crop, self._context, self._seed = batch_size, crop, context, seed

    def batch(self, step: int) -> SoundBatch:
        """Returns the crops of a step around samples drawn at random, longer recordings more often."""
        rng = np.random.default_rng((self._seed, step))
        middles = rng.integers(0, len(self._train.samples), self._size)
        recordings = np.searchsorted(self._train.ends, middles, side="right")
        return self._cut(self._train, recordings, middles - self._crop // 2)

    def validation(self) -> Sequence[SoundBatch]:
        """Returns one crop out of the middle of each of some recordings."""
        count = min(VALIDATION_CROPS, len(self._validation))
        recordings = np.linspace(0, len(self._validation) - 1, count).round().astype(np.int64)
        starts = (self._validation.starts[recordings] + self._validation.ends[recordings] - self._crop) // 2
        return [self._cut(self._validation, recordings[i : i + 1], starts[i : i + 1]) for i in range(count)]

    def _cut(self, sounds: Sounds, recordings: NDArray[np.int64], starts: NDArray[np.int64]) -> SoundBatch:
        """Returns crops. starts: of the crops; moved so that each lies within its recording."""
        crops = torch.zeros(len(recordings), self._context + self._crop)
        for row, (recording, start) in enumerate(zip(recordings, starts, strict=True)):
            begin = int(np.clip(start, sounds.starts[recording], sounds.ends[recording] - self._crop))
            first = max(begin - self._context, int(sounds.starts[recording]))
            samples = as_floats(sounds.samples[first : begin + self._crop])
            crops[row, -len(samples) :] = samples
        return SoundBatch(crops, self._context)
