"""Unlabelled segments of speech out of a folder of audio.

Excerpts of recordings are drawn at random; in each, stretches of 0.2 to 1.5 s that are loud enough to
hold speech, with no regard to words.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio
from wordspot.models.corruption import Samples, corrupt
from wordspot.models.errors import BadInput

EXCERPT_SECONDS = 8.0
SHORTEST_TICKS, LONGEST_TICKS = 20, 150
CACHE_BYTES = 2_000_000_000
QUIET_DECIBELS = 35.0


@dataclass(frozen=True)
class SegmentBatch:
    """Segments, clean and corrupted.

    Attributes:
        clean: float32 (B, T, 39), normalised MFCC every 20 ms, zero beyond `lengths`.
        noisy: float32 (B, T, 39), of the same segments corrupted.
        lengths: int64 (B,), in frames.
    """

    clean: Tensor
    noisy: Tensor
    lengths: Tensor

    def to(self, device: str) -> SegmentBatch:
        """Returns the batch on a device."""
        return SegmentBatch(self.clean.to(device), self.noisy.to(device), self.lengths.to(device))


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a sound file.

    Attributes:
        path: Of the file.
        start: In seconds.
        seconds: Its duration.
    """

    path: Path
    start: float
    seconds: float


class SegmentData:
    """Training data for the trainer: batches by step, every twentieth file kept for validation.

    folder: searched for audio recursively. Raises BadInput if it holds less than ten seconds.
    """

    def __init__(
        self, folder: Path, seed: int, *, excerpts: int = 8, segments: int = 8, validation_batches: int = 12
    ) -> None:
        files = audio.find_audio(folder)
        total = sum(file.seconds for file in files)
        if total < 10.0:
            raise BadInput(f"{folder}: holds {total:.1f} s of audio; at least 10 s are needed to train on")
        self.seconds = total
        self.files = len(files)
        self.sha256 = _fingerprint(files)
        held_back = {file.path for file in files if _held_back(file.path, folder)} or {files[-1].path}
        training_files = [file for file in files if file.path not in held_back] or files
        self._training = _excerpts(training_files)
        self._validation = _excerpts([file for file in files if file.path in held_back])
        self._seed = seed
        self._excerpts = excerpts
        self._segments = segments
        self._validation_batches = validation_batches
        self._cache = _WaveformCache(CACHE_BYTES)

    def batch(self, step: int) -> SegmentBatch:
        """Returns the segments of a step, drawn by the step's number."""
        return self._draw(self._training, np.random.default_rng([self._seed, 0, step]))

    def validation(self) -> list[SegmentBatch]:
        """Returns the same draws of the validation part every time."""
        rngs = [np.random.default_rng([self._seed, 1, i]) for i in range(self._validation_batches)]
        return [self._draw(self._validation, rng) for rng in rngs]

    def _draw(self, excerpts: Sequence[Excerpt], rng: np.random.Generator) -> SegmentBatch:
        weights = np.array([excerpt.seconds for excerpt in excerpts])
        chosen = rng.choice(len(excerpts), self._excerpts, p=weights / weights.sum())
        # One length, roughly, for the whole batch: little padding, and no waste on the longest.
        ticks = float(np.exp(rng.uniform(np.log(SHORTEST_TICKS), np.log(LONGEST_TICKS))))
        waves = [self._cache.load(excerpts[index]) for index in chosen]
        clean: list[Tensor] = []
        noisy: list[Tensor] = []
        for index, wave in enumerate(waves):
            others = [waves[int(i)] for i in rng.integers(len(waves), size=4) if int(i) != index]
            stretches = _stretches(wave, self._segments, ticks, rng)
            for target, samples in ((clean, wave), (noisy, corrupt(wave, others, rng))):
                (features,) = audio.normalise([audio.mfcc(torch.from_numpy(samples))])
                doubled = audio.pooled(features[None], torch.tensor([len(features)]))[0]
                target += [doubled[start:stop:2] for start, stop in stretches]
        lengths = torch.tensor([len(segment) for segment in clean])
        pad = torch.nn.utils.rnn.pad_sequence
        return SegmentBatch(pad(clean, batch_first=True), pad(noisy, batch_first=True), lengths)


def _stretches(wave: Samples, count: int, about: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Returns ticks [start, stop), about so many, that are not mostly silent, as far as there are any."""
    ticks = max(1, len(wave) // audio.HOP_SAMPLES)
    power = np.square(np.resize(wave, ticks * audio.HOP_SAMPLES)).reshape(ticks, -1).mean(axis=1)
    loud = power > power.max() * 10.0 ** (-QUIET_DECIBELS / 10.0)
    stretches = []
    for _ in range(count):
        for _attempt in range(8):
            length = min(ticks, max(2, int(about * rng.uniform(0.85, 1.15))))
            start = int(rng.integers(ticks - length + 1))
            if loud[start : start + length].mean() > 0.6:
                break
        stretches.append((start, start + length))
    return stretches


def _excerpts(files: Sequence[audio.AudioFile]) -> list[Excerpt]:
    """Returns files cut into pieces of equal length, at most EXCERPT_SECONDS each."""
    pieces = []
    for file in files:
        count = max(1, int(np.ceil(file.seconds / EXCERPT_SECONDS)))
        length = file.seconds / count
        pieces += [Excerpt(file.path, index * length, length) for index in range(count) if length >= 0.3]
    if not pieces:
        raise BadInput(f"none of {len(files)} files is 0.3 s long or longer")
    return pieces


def _held_back(path: Path, folder: Path) -> bool:
    """Returns whether a file is held out: one in twenty, by name, so that adding files moves none from one
    side to the other."""
    return hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest()[0] % 20 == 0


def _fingerprint(files: Sequence[audio.AudioFile]) -> str:
    content = sorted((file.path.name, round(file.seconds, 3)) for file in files)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class _WaveformCache:
    """Decoded excerpts as 16-bit samples, the least recently used dropped beyond a size."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[Excerpt, NDArray[np.int16]] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, excerpt: Excerpt) -> Samples:
        with self._lock:
            stored = self._kept.get(excerpt)
            if stored is not None:
                self._kept.move_to_end(excerpt)
        if stored is None:
            wave = audio.load(excerpt.path, excerpt.start, excerpt.seconds)
            stored = np.round(np.clip(wave, -1.0, 1.0) * 32767.0).astype(np.int16)
            with self._lock:
                if excerpt not in self._kept:
                    self._kept[excerpt] = stored
                    self._size += stored.nbytes
                while self._size > self._limit:
                    self._size -= self._kept.popitem(last=False)[1].nbytes
        return stored.astype(np.float32) / np.float32(32768.0)
