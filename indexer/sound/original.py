"""A stretch of a recording as its file has it: every channel, at the rate of the file, on the same clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.reader import Chunk
from wordspot.indexer.sound.timeline import DAMAGE_SECONDS, LOUDEST, STRAY_SECONDS, TOLERANCE_SECONDS


@dataclass(frozen=True)
class OriginalSound:
    """Sound that was not resampled.

    Attributes:
        samples: float32 (n, channels), full scale 1.
        rate: samples a second.
    """

    samples: NDArray[np.float32]
    rate: int

    @property
    def channels(self) -> int:
        """How many there are."""
        return int(self.samples.shape[1])

    def only(self, channel: int) -> OriginalSound:
        """Returns one channel, by its number from 1; all of them for 0."""
        return OriginalSound(self.samples[:, channel - 1 : channel], self.rate) if channel else self


class RateChanges(Exception):
    """Rate or number of channels change within the stretch."""


def gathered(
    chunks: Iterable[Chunk], start: float, stop: float, *, max_values: int, name: str
) -> Iterator[OriginalSound | None]:
    """Yields None from time to time, then the seconds [start, stop), silence where there are gaps.

    Args:
        chunks: of the recording, from `start` or earlier.
        start: in seconds.
        stop: in seconds; after the end, the end.
        max_values: samples times channels at most.
        name: of the recording, for messages.

    Raises:
        InvalidInput: there would be more values, or a sample is no number.
        RateChanges: as it says.
    """
    stretch: _Stretch | None = None
    for chunk in chunks:
        yield None
        if not len(chunk.samples) or chunk.time + len(chunk.samples) / chunk.rate <= start:
            continue
        if chunk.time >= stop:
            break
        stretch = stretch or _Stretch(chunk, start, stop, max_values, name)
        stretch.add(chunk)
    if stretch is not None and stretch.end > 0:
        yield OriginalSound(stretch.samples[: stretch.end], stretch.rate)


class _Stretch:
    """Samples that are filled in. end: one behind the last that was."""

    def __init__(self, chunk: Chunk, start: float, stop: float, max_values: int, name: str) -> None:
        self.rate, channels = chunk.rate, chunk.samples.shape[1]
        self.end = 0
        self._first = round(start * self.rate)
        self._name = name
        count = round(stop * self.rate) - self._first
        if count * channels > max_values:
            raise InvalidInput(
                f"a clip at the original rate must have at most {max_values:,} samples, got {count:,} of "
                f"{channels} channels of {name}: ask for a shorter one"
            )
        self.samples = np.zeros((count, channels), np.float32)
        self._next = round(chunk.time * self.rate)
        self._stray_seconds = 0.0

    def add(self, chunk: Chunk) -> None:
        """Raises InvalidInput, RateChanges."""
        if (chunk.rate, chunk.samples.shape[1]) != (self.rate, self.samples.shape[1]):
            raise RateChanges
        if not (np.abs(chunk.samples) <= LOUDEST).all():  # false for NaN
            raise InvalidInput(f"{self._name} has a sample that is no number near {chunk.time:.3f} s")
        place = self._place(chunk) - self._first
        self._next = place + self._first + len(chunk.samples)
        begin, end = max(place, 0), min(place + len(chunk.samples), len(self.samples))
        if begin < end:
            self.samples[begin:end] = chunk.samples[begin - place : end - place]
            self.end = max(self.end, end)

    def _place(self, chunk: Chunk) -> int:
        """Returns the number of the chunk's first sample; timestamps that differ a little do not count."""
        apart = abs(chunk.time - self._next / self.rate)
        if apart <= (DAMAGE_SECONDS if chunk.damaged else TOLERANCE_SECONDS):
            self._stray_seconds = 0.0
            return self._next
        self._stray_seconds += len(chunk.samples) / chunk.rate
        if not chunk.damaged and apart <= STRAY_SECONDS and self._stray_seconds <= STRAY_SECONDS:
            return self._next
        self._stray_seconds = 0.0
        return round(chunk.time * self.rate)
