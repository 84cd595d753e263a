"""Where a word that somebody says alone begins and ends: detector and energy together.

A detector of voice activity hears the onset of a lone word up to half a second late, holds on for a tenth of
a second after its end, and takes a breath for speech. Energy tells edges to a tick and knows nothing of
speech. So the detector says which sound is meant, and the edges are those of the sound:

- Sound is what lies within RANGE_DB of the loudest speech and, in one of BANDS_HZ at least, rises RISE_DB
  above the noise outside the detected speech. In bands, because noise that drowns a word is often lower where
  fricatives are loud.
- Bursts of sound less than GAP apart belong together. Meant are those that touch detected speech, others as
  loud and long as speech within FAR of these, and any within NEAR.
- At either end a click is left out, a burst of CLICK at most that stands alone; and a breath, long, soft and
  apart.

Where noise is nearly as loud as speech, energy tells nothing and the detector's edges stay, as they do where
the sound would be shorter than speech is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, Region, Samples, to_tick

BANDS_HZ = (80, 500, 1_500, 3_500, 8_000)
WINDOW_SAMPLES = 2 * SAMPLES_PER_TICK
RISE_DB = 8.0
RANGE_DB = 50.0
LOWEST_DB = -70.0  # of full scale; what stays below in a band is no sound
CLEAR_DB = 15.0
FEWEST_OUTSIDE = to_tick(0.25)
GAP = to_tick(0.03)
NEAR = to_tick(0.15)
FAR = to_tick(0.5)
SHORTEST_SPEECH = to_tick(0.1)
SPEECH_BELOW_DB = 10.0
CLICK = to_tick(0.06)
CLICK_APART = to_tick(0.06)
SHORTEST_BREATH = to_tick(0.15)
BREATH_BELOW_DB = 17.0
BREATH_APART = to_tick(0.04)

Burst = tuple[int, int]  # first tick and the one behind the last


def endpoints(samples: Samples, regions: Sequence[Region]) -> Burst:
    """Returns the first tick of the speech in a query's audio, and the one behind its last.

    samples: float32 (samples,). regions: what a detector heard in it, in order, at least one.
    """
    level = band_levels(samples)  # (ticks, bands)
    total = 10 * np.log10((10 ** (level / 10)).sum(axis=1))
    detected = (regions[0].start, min(regions[-1].stop, len(level)))
    inside = np.zeros(len(level), np.bool_)
    for region in regions:
        inside[region.start : region.stop] = True
    peak = _loudness(total, [detected])
    threshold = np.full(level.shape[1], max(peak - RANGE_DB, LOWEST_DB))
    if np.count_nonzero(~inside) >= FEWEST_OUTSIDE:
        if peak - float(np.median(total[~inside])) < CLEAR_DB:
            return detected
        threshold = np.maximum(threshold, np.median(level[~inside], axis=0) + RISE_DB)
    bursts = _bursts(np.any(level >= threshold, axis=1))
    loud = [_loudness(total, [burst]) >= peak - SPEECH_BELOW_DB for burst in bursts]
    meant = _meant(bursts, detected, loud)
    peak = _loudness(total, meant) if meant else peak
    while len(meant) > 1:
        if _stray(total, peak, meant[0], meant[1][0] - meant[0][1]):
            del meant[0]
        elif _stray(total, peak, meant[-1], meant[-1][0] - meant[-2][1]):
            del meant[-1]
        else:
            break
    if not meant or meant[-1][1] - meant[0][0] < SHORTEST_SPEECH:
        return detected
    return meant[0][0], meant[-1][1]


def band_levels(samples: Samples) -> NDArray[np.float64]:
    """Returns the level (ticks, bands) of each whole tick in each of BANDS_HZ, in dB of full scale; -100
    at least."""
    ticks = len(samples) // SAMPLES_PER_TICK
    padded = np.pad(samples[: ticks * SAMPLES_PER_TICK], SAMPLES_PER_TICK // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::SAMPLES_PER_TICK]
    window = np.hanning(WINDOW_SAMPLES + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)))  # (ticks, bins)
    power *= 2 / (WINDOW_SAMPLES * np.square(window).sum())
    edges = np.array(BANDS_HZ) * WINDOW_SAMPLES // SAMPLE_RATE
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(bands, 1e-10))
    return decibels


def _loudness(total: NDArray[np.float64], bursts: Sequence[Burst]) -> float:
    """Returns the level that a twentieth of the bursts' ticks exceed."""
    return float(np.percentile(np.concatenate([total[start:stop] for start, stop in bursts]), 95))


def _bursts(sounds: NDArray[np.bool_]) -> list[Burst]:
    """Runs of sound, those less than GAP apart made one."""
    edges = np.flatnonzero(np.diff(np.pad(sounds.astype(np.int8), 1))).reshape(-1, 2)
    bursts: list[Burst] = []
    for start, stop in edges.tolist():
        if bursts and start - bursts[-1][1] < GAP:
            start = bursts.pop()[0]
        bursts.append((start, stop))
    return bursts


def _meant(bursts: list[Burst], detected: Burst, loud: list[bool]) -> list[Burst]:
    start, stop = detected
    touched = [i for i, (first, last) in enumerate(bursts) if first < stop and last > start]
    if not touched:
        return []
    low, high = touched[0], touched[-1]

    def joins(burst: int, gap: int) -> bool:
        long = bursts[burst][1] - bursts[burst][0] >= SHORTEST_SPEECH
        return gap <= (FAR if loud[burst] and long else NEAR)

    while low > 0 and joins(low - 1, bursts[low][0] - bursts[low - 1][1]):
        low -= 1
    while high + 1 < len(bursts) and joins(high + 1, bursts[high + 1][0] - bursts[high][1]):
        high += 1
    return bursts[low : high + 1]


def _stray(total: NDArray[np.float64], peak: float, burst: Burst, gap: int) -> bool:
    """Returns whether an outer burst, so far from the next, is a click or a breath."""
    start, stop = burst
    if stop - start <= CLICK:
        return gap > CLICK_APART
    soft = _loudness(total, [burst]) < peak - BREATH_BELOW_DB
    return stop - start >= SHORTEST_BREATH and gap >= BREATH_APART and soft
