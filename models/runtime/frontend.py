"""The front ends of encoders in numpy: what `wordspot.models.audio` and `whisper` give in torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wordspot.models.runtime.pooling import product

Floats = NDArray[np.float32]

SAMPLE_RATE = 16_000
TICKS_PER_SECOND = 100
HOP_SAMPLES = SAMPLE_RATE // TICKS_PER_SECOND
WINDOW_SAMPLES = 400

FFT_SIZE = 512
MEL_BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 64.0, 4_000.0
POWER_FLOOR = 1e-8
DECIBELS_PER_UNIT = 15.0
FLOOR_UNITS = -4.0  # below it, how quiet a silence is says nothing

WHISPER_FFT_SIZE = 400
WHISPER_MEL_BANDS = 80
WHISPER_POWER_FLOOR = 1e-10
WHISPER_DECADES = 8.0  # below the loudest

TICKS_AT_ONCE = 512  # whose spectra stay in a core's cache


def log_mel(waveform: Floats) -> Floats:
    """Returns log-mel energies in dB as `wordspot.models.audio.log_mel`: one row a tick, windows centred on
    it.

    waveform (samples,) at 16 kHz. Returns (T, MEL_BANDS), T = ceil(samples / 160), at least 1.
    """
    ticks = tick_count(len(waveform))
    before = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
    after = (ticks - 1) * HOP_SAMPLES + WINDOW_SAMPLES - before - len(waveform)
    padded = np.pad(waveform, (before, after))
    filters = _mel_filters(FFT_SIZE, MEL_BANDS, LOWEST_HZ, HIGHEST_HZ)[: _bins_up_to(HIGHEST_HZ)]
    energies = _mel_energies(padded, ticks, FFT_SIZE, filters)
    decibels: Floats = np.float32(10) * np.log10(np.maximum(energies, np.float32(POWER_FLOOR)))
    return decibels


def levelled(regions: Sequence[Floats]) -> list[Floats]:
    """Takes loudness away, as `ConvolutionalEncoder.normalise`: the mean level of the louder half of the
    section's ticks becomes 0. regions: log_mel (T_i, MEL_BANDS)."""
    level = np.concatenate([region.mean(axis=1) for region in regions])
    half = max(1, len(level) // 2)
    loud = np.partition(level, len(level) - half)[len(level) - half :].mean()
    return [np.maximum((region - loud) / DECIBELS_PER_UNIT, np.float32(FLOOR_UNITS)) for region in regions]


def whisper_log_mel(waveform: Floats) -> Floats:
    """Returns Whisper's log-mel before its scaling: log10 of 80 bands' power, (T, 80), T = ceil(samples /
    160), at least 1.

    waveform (samples,) at 16 kHz.
    """
    ticks = tick_count(len(waveform))
    # Reflection at the edges needs more than half a window.
    size = max(ticks * HOP_SAMPLES, WHISPER_FFT_SIZE + 1)
    padded = np.pad(np.pad(waveform, (0, size - len(waveform))), WHISPER_FFT_SIZE // 2, mode="reflect")
    filters = _mel_filters(WHISPER_FFT_SIZE, WHISPER_MEL_BANDS, 0.0, SAMPLE_RATE / 2)
    energies = _mel_energies(padded, ticks, WHISPER_FFT_SIZE, filters)
    return np.log10(np.maximum(energies, np.float32(WHISPER_POWER_FLOOR)))


def whisper_scaled(regions: Sequence[Floats]) -> list[Floats]:
    """As Whisper does over its window: eight decades below the section's loudest, scaled to about -1 to 1.
    regions: whisper_log_mel (T_i, 80)."""
    top = max(region.max() for region in regions)
    return [(np.maximum(region, top - np.float32(WHISPER_DECADES)) + 4.0) / 4.0 for region in regions]


def tick_count(samples: int) -> int:
    """Returns how many ticks so many samples have, at least 1."""
    return max(1, -(-samples // HOP_SAMPLES))


def _mel_energies(padded: Floats, ticks: int, fft_size: int, filters: Floats) -> Floats:
    """Returns the energies (ticks, bands) of windows that begin every HOP_SAMPLES. filters (bins, bands),
    lowest bin first; bins above them are not looked at."""
    windows = sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES][:ticks]
    hann = _hann()
    out = np.empty((ticks, filters.shape[1]), np.float32)
    for first in range(0, ticks, TICKS_AT_ONCE):
        spectrum = np.fft.rfft(windows[first : first + TICKS_AT_ONCE] * hann, fft_size)[:, : len(filters)]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        out[first : first + TICKS_AT_ONCE] = product(power.astype(np.float32, copy=False), filters)
    return out


@cache
def _hann() -> Floats:
    """Returns the periodic Hann window."""
    turn = 2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(turn)).astype(np.float32)


def _bins_up_to(hertz: float) -> int:
    return int(hertz * FFT_SIZE) // SAMPLE_RATE + 1


@cache
def _mel_filters(fft_size: int, bands: int, lowest_hz: float, highest_hz: float) -> Floats:
    """Returns filters (bins, bands): triangles on Slaney's scale, each of area 1, as librosa.filters.mel
    gives them."""
    hertz = np.linspace(0, SAMPLE_RATE / 2, fft_size // 2 + 1)
    edges = _hertz(np.linspace(_mel(lowest_hz), _mel(highest_hz), bands + 2))
    width = np.diff(edges)  # (bands + 1,)
    slopes = edges - hertz[:, None]  # (bins, bands + 2)
    rising, falling = -slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]
    triangles = np.maximum(np.minimum(rising, falling), 0) * (2 / (edges[2:] - edges[:-2]))
    return triangles.astype(np.float32)


LINEAR_HZ_PER_MEL = 200 / 3  # below 1 kHz; above it the scale is logarithmic
BREAK_HZ, STEPS_PER_E = 1_000.0, 27 / np.log(6.4)


def _mel(hertz: float) -> float:
    if hertz < BREAK_HZ:
        return hertz / LINEAR_HZ_PER_MEL
    return float(BREAK_HZ / LINEAR_HZ_PER_MEL + np.log(hertz / BREAK_HZ) * STEPS_PER_E)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = BREAK_HZ * np.exp((mel - BREAK_HZ / LINEAR_HZ_PER_MEL) / STEPS_PER_E)
    return np.where(mel < BREAK_HZ / LINEAR_HZ_PER_MEL, mel * LINEAR_HZ_PER_MEL, above)
