"""A recording as a waveform shows it: the least and the greatest sample of each of many buckets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLE_RATE, Samples

PEAKS_PER_SECOND = 100
SAMPLES_PER_PEAK = SAMPLE_RATE // PEAKS_PER_SECOND
FULL_SCALE = 127

Peaks = NDArray[np.int8]
"""(buckets, 2): least and greatest sample, -127 to 127."""


class PeakMeter:
    """Takes the peaks of blocks that pass through, PEAKS_PER_SECOND of them a second."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._peaks: list[Peaks] = []

    def passing(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yields the same blocks."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, samples: Samples) -> None:
        """Takes the next samples (n,)."""
        together = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(together) // SAMPLES_PER_PEAK
        self._rest = together[whole * SAMPLES_PER_PEAK :].astype(np.float32)
        if whole:
            self._peaks.append(_extremes(together[: whole * SAMPLES_PER_PEAK].reshape(whole, -1)))

    def peaks(self) -> Peaks:
        """Returns the peaks of all samples so far."""
        rest = [_extremes(self._rest[None])] if len(self._rest) else []
        return np.concatenate([np.zeros((0, 2), np.int8), *self._peaks, *rest])


def peaks_of(samples: Samples, buckets: int) -> Peaks:
    """Returns the peaks of samples (n,) in equal buckets; a bucket without a sample has the next one's."""
    edges = _edges(len(samples), buckets)
    lowest, highest = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    return _quantised(np.stack([lowest, highest], axis=1))


def reduced(peaks: Peaks, buckets: int) -> Peaks:
    """Returns the peaks in fewer, or more, equal buckets."""
    edges = _edges(len(peaks), buckets)
    return np.stack(
        [np.minimum.reduceat(peaks[:, 0], edges), np.maximum.reduceat(peaks[:, 1], edges)], axis=1
    )


def united(peaks: Sequence[Peaks]) -> Peaks:
    """Returns the peaks of channels that are shown as one."""
    if len(peaks) == 1:
        return peaks[0]
    whole = np.zeros((max(map(len, peaks), default=0), 2), np.int8)
    for each in peaks:
        shown = whole[: len(each)]
        np.minimum(shown[:, 0], each[:, 0], out=shown[:, 0])
        np.maximum(shown[:, 1], each[:, 1], out=shown[:, 1])
    return whole


def _edges(length: int, buckets: int) -> NDArray[np.int64]:
    """Returns where each bucket begins."""
    return np.arange(buckets, dtype=np.int64) * length // buckets


def _extremes(rows: NDArray[np.float32]) -> Peaks:
    return _quantised(np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1))


def _quantised(extremes: NDArray[np.float32]) -> Peaks:
    """Returns them rounded away from silence, so that what is heard is seen."""
    scaled = extremes * FULL_SCALE
    away = np.where(scaled < 0, np.floor(scaled), np.ceil(scaled))
    return away.clip(-FULL_SCALE, FULL_SCALE).astype(np.int8)
