"""`whisper`: frames of a Whisper encoder, mapped to what tells words apart.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. Its encoder runs through
CTranslate2 (the extra `whisper`); only its frames are used, nothing is transcribed. Speech regions are packed
into windows of up to 10 s with short silences between: windows of 30 s find no more and cost half as much
again, a region by itself finds less. The frames, 20 ms apart, are centred and whitened, and a small network
maps them to 64 numbers. It was trained so that pooled frames of one word by two speakers lie closer than
those of other words (supervised contrastive loss; Khosla et al. 2020), often with one of the two cut out of
its sentence before Whisper heard it, and so that phones can be read off the frames.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from wordspot.models.audio import HOP_SAMPLES, SAMPLE_RATE
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.frame_map import MapConfig, MappedSpanModel
from wordspot.models.registry import register

FFT_SIZE = 400
MEL_BANDS = 80
WINDOW_TICKS = 1_000
GAP_TICKS = 40
PIECE_TICKS = WINDOW_TICKS - GAP_TICKS
TICKS_PER_FRAME = 2
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class WhisperConfig(MapConfig):
    """weights: a name out of whisper_weights.KNOWN."""

    weights: str = "base"


@register("whisper")
class Whisper(MappedSpanModel[WhisperConfig]):
    """Whisper's weights are found by name and checked by hash when the first sound is to be heard."""

    Config = WhisperConfig
    ticks_per_frame = TICKS_PER_FRAME

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self._loading = threading.Lock()

    @property
    def listener(self) -> str:
        return f"whisper-{self.config.weights}-{WINDOW_TICKS // 100}s"

    def features(self, waveform: Tensor) -> Tensor:
        """Whisper's log-mel before its scaling: log10 of 80 bands' power, (T, 80)."""
        ticks = max(1, -(-waveform.shape[0] // HOP_SAMPLES))
        padded = nn.functional.pad(waveform, (0, ticks * HOP_SAMPLES - waveform.shape[0]))
        if len(padded) <= FFT_SIZE:  # reflection at the edges needs more than half a window
            padded = nn.functional.pad(padded, (0, FFT_SIZE + 1 - len(padded)))
        window = torch.hann_window(FFT_SIZE, device=waveform.device)
        spectrum = torch.stft(padded, FFT_SIZE, HOP_SAMPLES, window=window, return_complex=True)
        power = spectrum.abs().square().T[:ticks]  # (T, 201)
        return torch.log10((power @ _filters().to(waveform.device)).clamp_min(1e-10))

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """As Whisper does over its window: eight decades below the loudest, scaled to about -1 to 1."""
        top = max(float(region.max()) for region in regions)
        return [(region.clamp_min(top - 8.0) + 4.0) / 4.0 for region in regions]

    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        out = features.new_zeros(len(features), _frames(features.shape[1]), self.config.states)
        for window, states in self._windows(features, lengths):
            for piece in window:
                out[piece.row, piece.frames] = states[piece.heard]
        return out

    def hear(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The map sees the silence that Whisper heard behind a region."""
        out = features.new_zeros(len(features), _frames(features.shape[1]), self.frame_dimension)
        for window, states in self._windows(features, lengths):
            mapped = normalize(self.map(states[None])[0], dim=1)
            for piece in window:
                out[piece.row, piece.frames] = mapped[piece.heard]
        return out

    def _windows(self, features: Tensor, lengths: Tensor) -> Iterator[tuple[list[_Piece], Tensor]]:
        """Regions packed into windows, each with a silence behind it, and Whisper's states (T, states) of
        each window. A core hears one window while another hears the next."""
        silence = float(features.amin()) if len(features) else 0.0
        windows = _windows(lengths.tolist())
        packed = (_packed(features, window, silence) for window in windows)
        return zip(windows, self._cores.map(self._encode, packed), strict=True)

    def _encode(self, packed: NDArray[np.float32]) -> Tensor:
        """(1, 80, T) to Whisper's states (T / 2, states)."""
        with self._loading:
            encoder = self._encoder
        import ctranslate2

        heard = encoder.encode(ctranslate2.StorageView.from_array(packed))
        states = np.array(heard.to_device(ctranslate2.Device.cpu), dtype=np.float32)[0]
        return torch.from_numpy(states).to(self.projection.weight.device)

    @cached_property
    def _cores(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CORES, thread_name_prefix=self.listener)

    @cached_property
    def _encoder(self) -> Any:
        device = next(self.parameters()).device
        return whisper_weights.load(self.config.weights, "cuda" if device.type == "cuda" else "cpu", CORES)


@dataclass(frozen=True)
class _Piece:
    """Ticks [first, last) of a region, which begin at tick `place` of a window."""

    row: int
    first: int
    last: int
    place: int

    @property
    def end(self) -> int:
        """In the window, with the silence behind it."""
        return self.place + _frames(self.last - self.first) * TICKS_PER_FRAME + GAP_TICKS

    @property
    def frames(self) -> slice:
        """In its region."""
        begin = self.first // TICKS_PER_FRAME
        return slice(begin, begin + _frames(self.last - self.first))

    @property
    def heard(self) -> slice:
        """In its window's states."""
        begin = self.place // TICKS_PER_FRAME
        return slice(begin, begin + _frames(self.last - self.first))


def _windows(lengths: list[int]) -> list[list[_Piece]]:
    """Regions of so many ticks in order, cut where one does not fit into a window."""
    windows: list[list[_Piece]] = []
    place = 0
    for row, length in enumerate(lengths):
        for first in range(0, length, PIECE_TICKS):
            piece = _Piece(row, first, min(first + PIECE_TICKS, length), place)
            if not windows or piece.end > WINDOW_TICKS:
                windows.append([])
                piece = replace(piece, place=0)
            windows[-1].append(piece)
            place = piece.end
    return windows


def _packed(features: Tensor, window: list[_Piece], silence: float) -> NDArray[np.float32]:
    """(1, 80, T), contiguous."""
    packed = np.full((1, MEL_BANDS, window[-1].end), silence, np.float32)
    for piece in window:
        ticks = features[piece.row, piece.first : piece.last]
        packed[0, :, piece.place : piece.place + len(ticks)] = ticks.T.cpu().numpy()
    return packed


def _frames(ticks: int) -> int:
    return -(-ticks // TICKS_PER_FRAME)


def _filters() -> Tensor:
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        FFT_SIZE // 2 + 1, 0.0, SAMPLE_RATE / 2, MEL_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters
