"""`whisper`: frames of a Whisper encoder, mapped to what tells words apart.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. Its encoder runs through
CTranslate2 (the extra `whisper`); only its frames are used, nothing is transcribed. Speech regions are packed
into windows of up to 30 s with short silences between. The frames, 20 ms apart, are centred and whitened, and
a small network maps them to 64 numbers. It was trained so that pooled frames of one word by two speakers lie
closer than those of other words (supervised contrastive loss; Khosla et al. 2020), often with one of the two
cut out of its sentence before Whisper heard it, and so that phones can be read off the frames.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from wordspot.models.audio import HOP_SAMPLES, SAMPLE_RATE
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.pooled import PooledSpanModel
from wordspot.models.registry import register

FFT_SIZE = 400
MEL_BANDS = 80
WINDOW_TICKS = 3_000
GAP_TICKS = 40
PIECE_TICKS = WINDOW_TICKS - GAP_TICKS
TICKS_PER_FRAME = 2
LARGEST = 6.0  # deviations from the mean that a whitened dimension may show


@dataclass(frozen=True)
class WhisperConfig:
    """weights: a name out of whisper_weights.KNOWN. states: size of Whisper's frames. whitened, hidden: sizes
    within the map; frame_dimension, dimension: of frame features and vectors; parts: of a span."""

    weights: str = "base"
    states: int = 512
    whitened: int = 192
    hidden: int = 320
    frame_dimension: int = 64
    dimension: int = 64
    parts: int = 3


class FrameMap(nn.Module):
    """Whisper's frames (B, T, states) to frame features (B, T, frame_dimension): whitening, then a residual
    network that looks 40 ms to each side."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros(config.states))
        self.register_buffer("whitening", torch.zeros(config.states, config.whitened))
        self.input = nn.Conv1d(config.whitened, config.hidden, 1)
        self.around = nn.Conv1d(config.hidden, config.hidden, 5, padding=2, groups=4)
        self.mixed = nn.Conv1d(config.hidden, config.hidden, 1)
        self.output = nn.Conv1d(config.hidden, config.frame_dimension, 1)
        self.straight = nn.Conv1d(config.whitened, config.frame_dimension, 1)

    def whiten(self, states: Tensor) -> Tensor:
        return ((states - self.mean) @ self.whitening).clamp(-LARGEST, LARGEST)

    def forward(self, states: Tensor) -> Tensor:
        return self.mapped(self.whiten(states))

    def mapped(self, whitened: Tensor) -> Tensor:
        x = whitened.transpose(1, 2)
        h = gelu(self.input(x))
        h = h + gelu(self.mixed(gelu(self.around(h))))
        out: Tensor = (self.output(h) + self.straight(x)).transpose(1, 2)
        return out


@register("whisper")
class Whisper(PooledSpanModel[WhisperConfig]):
    """Whisper's weights are no part of the artifact: they are found by name and checked by hash when the
    first sound is to be heard."""

    Config = WhisperConfig
    ticks_per_frame = TICKS_PER_FRAME

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.parts = config.parts
        self.dimension, self.frame_dimension = config.dimension, config.frame_dimension
        self.map = FrameMap(config)
        self.projection = nn.Linear(config.parts * config.frame_dimension, config.dimension)
        self._loading = threading.Lock()

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

    def hear(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 80). Regions share windows: each gets a silence behind it."""
        silence = float(features.amin()) if len(features) else 0.0
        out = features.new_zeros(
            len(features), -(-features.shape[1] // TICKS_PER_FRAME), self.frame_dimension
        )
        window: list[tuple[int, int, int]] = []  # row, first tick, last tick
        used = 0
        for row, length in enumerate(lengths.tolist()):
            for first in range(0, length, PIECE_TICKS):
                last = min(first + PIECE_TICKS, length)
                size = _even(last - first) + GAP_TICKS
                if used + size > WINDOW_TICKS:
                    self._hear_window(features, window, silence, out)
                    window, used = [], 0
                window.append((row, first, last))
                used += size
        self._hear_window(features, window, silence, out)
        return out

    def _hear_window(
        self, features: Tensor, window: list[tuple[int, int, int]], silence: float, out: Tensor
    ) -> None:
        if not window:
            return
        total = sum(_even(last - first) + GAP_TICKS for _, first, last in window)
        packed = np.full((1, MEL_BANDS, total), silence, np.float32)
        place = 0
        for row, first, last in window:
            packed[0, :, place : place + last - first] = features[row, first:last].T.cpu().numpy()
            place += _even(last - first) + GAP_TICKS
        states = torch.from_numpy(self._encode(packed)).to(features.device)
        frames = normalize(self.map(states[None].float())[0], dim=1)
        place = 0
        for row, first, last in window:
            count = _even(last - first) // TICKS_PER_FRAME
            begin = first // TICKS_PER_FRAME
            out[row, begin : begin + count] = frames[place : place + count]
            place += count + GAP_TICKS // TICKS_PER_FRAME

    def _encode(self, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(1, 80, T) to Whisper's states (T / 2, states)."""
        with self._loading:
            encoder = self._encoder
        import ctranslate2

        states = encoder.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(features)))
        return np.array(states.to_device(ctranslate2.Device.cpu), dtype=np.float32)[0]

    @cached_property
    def _encoder(self) -> Any:
        device = next(self.parameters()).device
        return whisper_weights.load(self.config.weights, "cuda" if device.type == "cuda" else "cpu")


def _even(ticks: int) -> int:
    return ticks + ticks % TICKS_PER_FRAME


def _filters() -> Tensor:
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        FFT_SIZE // 2 + 1, 0.0, SAMPLE_RATE / 2, MEL_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters
