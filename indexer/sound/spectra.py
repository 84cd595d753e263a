"""Levels and log-mel spectra of a recording, and the boundaries at which its sound changes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, Samples
from wordspot.indexer.sound.padding import padded
from wordspot.indexer.vectors.protocol import product

SILENCE_DB = -55.0  # full scale is 0; what stays below is no sound
INAUDIBLE_DB = 0.01  # less is rounding, no change of the sound
WINDOW_SAMPLES, FFT_SIZE = 400, 512  # of the spectra in which boundaries are sought
TICKS_AT_ONCE = 512  # whose spectra stay in a core's cache
MEL_BANDS, LOWEST_HZ, HIGHEST_HZ = 40, 64, 4_000


def levels(samples: Samples) -> NDArray[np.float64]:
    """Returns the level of each whole tick in dB of full scale, smoothed over 50 ms, without its mean;
    -100 at least."""
    ticks = len(samples) // SAMPLES_PER_TICK
    power = samples[: ticks * SAMPLES_PER_TICK].reshape(ticks, SAMPLES_PER_TICK).var(axis=1, dtype=np.float64)
    total = np.concatenate([[0.0], power.cumsum()])
    start = np.maximum(np.arange(ticks) - 2, 0)
    stop = np.minimum(np.arange(ticks) + 3, ticks)
    mean = (total[stop] - total[start]) / (stop - start)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(mean, 1e-10))
    return decibels


def acoustic_boundaries(samples: Samples) -> NDArray[np.int64]:
    """Returns the ticks at which the sound changes, rising: where one phone gives way to the next.

    Peaks of the sum of two curves, each divided by its mean: the distance between the mean log-mel spectra
    of the 30 ms before and after, and the onset strength.
    """
    spectra = log_mel(samples)
    if len(spectra) < 7:
        return np.zeros(0, np.int64)
    total = np.concatenate([np.zeros((1, spectra.shape[1])), spectra.cumsum(axis=0, dtype=np.float64)])
    change = np.zeros(len(spectra))
    change[3:-2] = np.linalg.norm(total[6:] - 2 * total[3:-3] + total[:-6], axis=1)
    strength = sum(curve / max(curve.mean(), INAUDIBLE_DB) for curve in (change, onset_strength(spectra)))
    around = np.lib.stride_tricks.sliding_window_view(padded(strength, 2, 2), 5).max(axis=1)
    return np.flatnonzero((strength == around) & (strength > max(strength.mean(), INAUDIBLE_DB)))


def onset_strength(spectra: NDArray[np.float32], lag: int = 2) -> NDArray[np.float32]:
    """Returns the mean rise of the bands of (ticks, bands) within `lag` ticks (Böck and Widmer 2013, as in
    librosa)."""
    rise = np.zeros(len(spectra), np.float32)
    rise[lag:] = np.maximum(spectra[lag:] - spectra[:-lag], 0).mean(axis=1)
    return rise


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """Returns log-mel energies (ticks, 40) in dB, at most 60 below the loudest; 25 ms Hann windows around the
    start of each tick.

    The bands end at 4 kHz, so that telephone and studio recordings have the same boundaries.
    """
    ticks = len(samples) // SAMPLES_PER_TICK
    if not ticks:
        return np.zeros((0, MEL_BANDS), np.float32)
    around = padded(samples, WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(around, WINDOW_SAMPLES)[::SAMPLES_PER_TICK][:ticks]
    window, filters = _analysis()
    energies = np.empty((ticks, MEL_BANDS), np.float32)
    for first in range(0, ticks, TICKS_AT_ONCE):
        some = slice(first, first + TICKS_AT_ONCE)
        spectrum = np.fft.rfft(frames[some] * window, FFT_SIZE)[:, : len(filters)]  # to HIGHEST_HZ
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        energies[some] = product(power.astype(np.float32, copy=False), filters)
    decibels = np.float32(10) * np.log10(np.maximum(energies, np.float32(1e-10)))
    audible: NDArray[np.float32] = np.maximum(decibels, decibels.max() - 60)
    return audible


@lru_cache(maxsize=1)
def _analysis() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns a Hann window (400,) and mel filters (bins to HIGHEST_HZ, 40) on Slaney's scale, each of
    unit area."""
    bins = np.arange(HIGHEST_HZ * FFT_SIZE // SAMPLE_RATE + 1) * SAMPLE_RATE / FFT_SIZE
    edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MEL_BANDS + 2))
    rising = (bins[:, np.newaxis] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, np.newaxis]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(np.minimum(rising, falling), 0) * 2 / (edges[2:] - edges[:-2])
    return np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32), filters.astype(np.float32)


def _mel(hertz: float) -> float:
    """Returns Slaney's scale: linear to 1 kHz, logarithmic from there, 27 steps to a factor of 6.4."""
    return 3 * hertz / 200 if hertz < 1_000 else 15 + 27 * math.log(hertz / 1_000, 6.4)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inverse of _mel."""
    return np.where(mel < 15, mel * 200 / 3, 1_000 * 6.4 ** ((mel - 15) / 27))
