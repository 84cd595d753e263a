"""The one front end: waveform to log-mel and MFCC, on a grid of 10 ms ticks.

Bands end at 4 kHz, so that telephone recordings and studio recordings of one word look alike: above
that an 8 kHz recording holds only the resampler's floor, which normalisation would blow up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.errors import BadInput
from wordspot.models.runtime.frontend import FFT_SIZE as FFT_SIZE
from wordspot.models.runtime.frontend import HIGHEST_HZ as HIGHEST_HZ
from wordspot.models.runtime.frontend import HOP_SAMPLES as HOP_SAMPLES
from wordspot.models.runtime.frontend import LOWEST_HZ as LOWEST_HZ
from wordspot.models.runtime.frontend import MEL_BANDS as MEL_BANDS
from wordspot.models.runtime.frontend import POWER_FLOOR as POWER_FLOOR
from wordspot.models.runtime.frontend import SAMPLE_RATE as SAMPLE_RATE
from wordspot.models.runtime.frontend import TICKS_PER_SECOND as TICKS_PER_SECOND
from wordspot.models.runtime.frontend import WINDOW_SAMPLES as WINDOW_SAMPLES

CEPSTRA = 13
DELTA_WIDTH = 9
MFCC_SIZE = 3 * CEPSTRA


@cache
def _mel_filters() -> Tensor:
    """Returns filters (bins up to HIGHEST_HZ, MEL_BANDS), Slaney's scale and norm as in librosa."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        FFT_SIZE // 2 + 1, LOWEST_HZ, HIGHEST_HZ, MEL_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters[: int(HIGHEST_HZ * FFT_SIZE) // SAMPLE_RATE + 1].contiguous()


@cache
def _dct() -> Tensor:
    """Returns the orthonormal DCT-II (MEL_BANDS, CEPSTRA)."""
    matrix: Tensor = torchaudio.functional.create_dct(CEPSTRA, MEL_BANDS, norm="ortho")
    return matrix


def log_mel(waveform: Tensor) -> Tensor:
    """Returns log-mel energies in dB, one row a tick, windows centred on the tick.

    Args:
        waveform: float32 (samples,) at 16 kHz.

    Returns:
        float32 (T, MEL_BANDS), T = ceil(samples / 160), at least 1.
    """
    ticks = max(1, math.ceil(waveform.shape[0] / HOP_SAMPLES))
    before = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
    after = (ticks - 1) * HOP_SAMPLES + WINDOW_SAMPLES - before - waveform.shape[0]
    padded = torch.nn.functional.pad(waveform, (before, after))
    windows = padded.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)  # (T, WINDOW_SAMPLES)
    window = torch.hann_window(WINDOW_SAMPLES, device=waveform.device)
    filters = _mel_filters().to(waveform.device)
    spectrum = torch.view_as_real(torch.fft.rfft(windows * window, FFT_SIZE)[:, : len(filters)])
    power = spectrum.square().sum(dim=-1)  # (T, bins up to HIGHEST_HZ)
    return 10.0 * torch.log10((power @ filters).clamp_min(POWER_FLOOR))


def mfcc(waveform: Tensor) -> Tensor:
    """Returns 13 MFCC with their first and second differences.

    Args:
        waveform: float32 (samples,) at 16 kHz.

    Returns:
        float32 (T, 39): static, delta, delta-delta.
    """
    return cepstra(log_mel(waveform))


def cepstra(spectra: Tensor) -> Tensor:
    """Returns MFCC (T, 39) of log-mel energies (T, 40). Differences are regressions over nine ticks (Furui
    1986), edges repeated."""
    static = (spectra @ _dct().to(spectra.device)).T  # (CEPSTRA, T)
    first = torchaudio.functional.compute_deltas(static, win_length=DELTA_WIDTH)
    second = torchaudio.functional.compute_deltas(first, win_length=DELTA_WIDTH)
    return torch.cat([static, first, second]).T


def normalise(regions: list[Tensor]) -> list[Tensor]:
    """Returns regions, float32 (T_i, F) each, with zero mean and unit variance over all of them together.

    A constant dimension becomes zero.
    """
    everything = torch.cat(regions)
    mean = everything.mean(dim=0)
    deviation = everything.std(dim=0, correction=0).clamp_min(1e-3)
    return [(region - mean) / deviation for region in regions]


def pooled(features: Tensor, lengths: Tensor) -> Tensor:
    """Returns means of each tick and the next, (B, T, F); the last tick of a region stays as it is."""
    next_ticks = torch.cat([features[:, 1:], features[:, -1:]], dim=1)
    last = (lengths - 1)[:, None, None]  # (B, 1, 1)
    ticks = torch.arange(features.shape[1], device=features.device)[None, :, None]  # (1, T, 1)
    return torch.where(ticks < last, (features + next_ticks) / 2, features)


def load(path: Path, start_seconds: float = 0.0, seconds: float | None = None) -> NDArray[np.float32]:
    """Reads a file as mono float32 (samples,) at 16 kHz.

    Args:
        path: of any file that soundfile reads.
        start_seconds: where to begin.
        seconds: length; None for all.

    Raises:
        BadInput: the file cannot be decoded, or holds samples that are not finite.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(min(round(start_seconds * rate), file.frames))
            frames = -1 if seconds is None else round(seconds * rate)
            data = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise BadInput(f"{path}: cannot be decoded as audio ({error})") from error
    mono = torch.from_numpy(data.mean(axis=1))
    if not bool(torch.isfinite(mono).all()):
        raise BadInput(f"{path}: holds samples that are not finite numbers")
    resampled: Tensor = torchaudio.functional.resample(mono, rate, SAMPLE_RATE)
    return resampled.numpy()


@dataclass(frozen=True)
class AudioFile:
    """An audio file.

    Attributes:
        path: of the file.
        seconds: its length.
    """

    path: Path
    seconds: float


AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".caf", ".au", ".w64"})


def find_audio(folder: Path) -> list[AudioFile]:
    """Returns every audio file below a folder, in order of path. Raises BadInput if there is none."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder; give one that holds audio files")
    files = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            try:
                info = soundfile.info(path)
            except (soundfile.LibsndfileError, OSError):
                continue
            files.append(AudioFile(path, info.frames / info.samplerate))
    if not files:
        raise BadInput(f"{folder}: holds no audio; looked for {', '.join(sorted(AUDIO_SUFFIXES))}")
    return files
