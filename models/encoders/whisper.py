"""`whisper`: frames of a Whisper encoder, mapped to what tells words apart.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. Its encoder runs through
CTranslate2 (the extra `whisper`); only its frames are used, nothing is transcribed. Speech regions are packed
into windows of up to 10 s with short silences between: windows of 30 s retrieve no more and cost half as much
again, a region by itself retrieves less. The frames, 20 ms apart, are centred and whitened, and a small
network maps them to 64 numbers. It was trained so that pooled frames of one word by two speakers lie closer
than those of other words (supervised contrastive loss; Khosla et al. 2020), often with one of the two cut out
of its sentence before Whisper encoded it, and so that phones can be classified from the frames.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from wordspot.models.audio import HOP_SAMPLES, SAMPLE_RATE
from wordspot.models.cancellation import check_cancelled
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.frame_map import MapConfig, MappedSpanModel
from wordspot.models.registry import register
from wordspot.models.runtime.packing import (
    TICKS_PER_FRAME,
    WINDOW_TICKS,
    PackedPiece,
    frame_count,
    packed,
    windows_of,
)

FFT_SIZE = 400
MEL_BANDS = 80
QUERY_PADDING_TICKS = 100  # a word at the very edge of a window is encoded worse
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class WhisperConfig(MapConfig):
    """weights: a name out of whisper_weights.WHISPER_WEIGHTS."""

    weights: str = "base"


@register("whisper")
class Whisper(MappedSpanModel[WhisperConfig]):
    """Whisper's weights are looked up by name and verified by hash when they are first needed."""

    Config = WhisperConfig
    ticks_per_frame = TICKS_PER_FRAME
    query_padding = QUERY_PADDING_TICKS

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self._loading = threading.Lock()

    @property
    def states_name(self) -> str:
        return f"whisper-{self.config.weights}-{WINDOW_TICKS // 100}s"

    def features(self, waveform: Tensor) -> Tensor:
        return log_mel(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        return scaled(regions)

    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        out = features.new_zeros(len(features), frame_count(features.shape[1]), self.config.states)
        for window, states in self._windows(features, lengths):
            check_cancelled()
            for piece in window:
                out[piece.row, piece.frames] = states[piece.window_frames]
        return out

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """As PooledSpanModel.frames; the map's context includes the silence behind a region."""
        out = features.new_zeros(len(features), frame_count(features.shape[1]), self.frame_dimension)
        for window, states in self._windows(features, lengths):
            check_cancelled()
            mapped = normalize(self.map(states[None])[0], dim=1)
            for piece in window:
                out[piece.row, piece.frames] = mapped[piece.window_frames]
        return out

    def _windows(self, features: Tensor, lengths: Tensor) -> Iterator[tuple[list[PackedPiece], Tensor]]:
        """Yields regions packed into windows, each with a silence behind it, and Whisper's states (T,
        states) of each window. Each core encodes a window of its own."""
        silence = float(features.amin()) if len(features) else 0.0
        windows = windows_of(lengths.tolist())
        regions = list(features.cpu().numpy())
        states = self._cores.map(lambda window: self._encode(packed(regions, window, silence)), windows)
        return zip(windows, states, strict=True)

    def _encode(self, window: NDArray[np.float32]) -> Tensor:
        """Returns Whisper's states (T / 2, states) of a window (1, 80, T)."""
        with self._loading:
            encoder = self._encoder
        import ctranslate2

        output = encoder.encode(ctranslate2.StorageView.from_array(window))
        states = np.array(output.to_device(ctranslate2.Device.cpu), dtype=np.float32)[0]
        return torch.from_numpy(states).to(self.projection.weight.device)

    @cached_property
    def _cores(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CORES, thread_name_prefix=self.states_name)

    @cached_property
    def _encoder(self) -> Any:
        device = next(self.parameters()).device
        return whisper_weights.load(self.config.weights, "cuda" if device.type == "cuda" else "cpu", CORES)


def log_mel(waveform: Tensor) -> Tensor:
    """Returns Whisper's log-mel before its scaling, log10 of 80 bands' power, (T, 80)."""
    ticks = max(1, -(-waveform.shape[0] // HOP_SAMPLES))
    padded = nn.functional.pad(waveform, (0, ticks * HOP_SAMPLES - waveform.shape[0]))
    if len(padded) <= FFT_SIZE:  # reflection at the edges needs more than half a window
        padded = nn.functional.pad(padded, (0, FFT_SIZE + 1 - len(padded)))
    window = torch.hann_window(FFT_SIZE, device=waveform.device)
    spectrum = torch.stft(padded, FFT_SIZE, HOP_SAMPLES, window=window, return_complex=True)
    power = spectrum.abs().square().T[:ticks]  # (T, 201)
    return torch.log10((power @ _filters().to(waveform.device)).clamp_min(1e-10))


def scaled(regions: list[Tensor]) -> list[Tensor]:
    """Scales a section as Whisper scales its window: eight decades below the loudest, to about -1 to 1."""
    top = max(float(region.max()) for region in regions)
    return [(region.clamp_min(top - 8.0) + 4.0) / 4.0 for region in regions]


def _filters() -> Tensor:
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        FFT_SIZE // 2 + 1, 0.0, SAMPLE_RATE / 2, MEL_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters
