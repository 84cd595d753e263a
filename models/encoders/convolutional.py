"""A convolutional network over log-mel spectra, cheap on a CPU: what `phonetic`, `contrastive` and
`correspondence` share.

Two strided convolutions bring 10 ms ticks to steps of 40 ms, dilated residual convolutions look about 0.7 s
to each side, and every step yields two frames of 20 ms. What lies beyond a region is silence to every layer,
so that padding changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from wordspot.models import audio
from wordspot.models.encoders.pooled import PooledSpanModel

TICKS_PER_STEP = 4
FRAMES_PER_STEP = 2
DECIBELS_PER_UNIT = 15.0
FLOOR_UNITS = -4.0  # below it, how quiet a silence is says nothing


@dataclass(frozen=True)
class ConvolutionalConfig:
    """width: channels of the trunk. dilations: of its blocks, one each. frame_dimension, dimension: of frame
    features and vectors. parts: into which a span is cut."""

    width: int = 256
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2)
    frame_dimension: int = 64
    dimension: int = 64
    parts: int = 3


class _Block(nn.Module):
    """x + relu(norm(conv(x))), the norm's statistics fixed after training, so that it costs nothing."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        return (x + relu(self.norm(self.conv(x)))) * inside


class ConvolutionalEncoder(PooledSpanModel[ConvolutionalConfig]):
    """The network; subclasses say how it is trained."""

    Config = ConvolutionalConfig

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__(config)
        self.parts = config.parts
        self.dimension, self.frame_dimension = config.dimension, config.frame_dimension
        self.stem = nn.ModuleList(
            [
                nn.Conv1d(audio.MEL_BANDS, config.width // 2, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm1d(config.width // 2),
                nn.Conv1d(config.width // 2, config.width, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm1d(config.width),
            ]
        )
        self.blocks = nn.ModuleList([_Block(config.width, dilation) for dilation in config.dilations])
        self.output = nn.Conv1d(config.width, FRAMES_PER_STEP * config.frame_dimension, 1)
        self.projection = nn.Linear(config.parts * config.frame_dimension, config.dimension)

    def features(self, waveform: Tensor) -> Tensor:
        """Log-mel energies in dB, (T, 40)."""
        return audio.log_mel(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Loudness taken away: the mean level of the louder half of the section's ticks becomes 0."""
        level = loudness(torch.cat(regions)[None])[0]
        return [((region - level) / DECIBELS_PER_UNIT).clamp_min(FLOOR_UNITS) for region in regions]

    def hear(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 40) as `normalise` gives them. Returns unit rows (B, ceil(T / 2), H)."""
        ticks = features.shape[1]
        x = features.transpose(1, 2)  # (B, 40, T)
        x = x * _inside(lengths, x.shape[2])
        for conv, norm, step in ((self.stem[0], self.stem[1], 2), (self.stem[2], self.stem[3], 4)):
            x = relu(norm(conv(x)))
            x = x * _inside(-(-lengths // step), x.shape[2])
        inside = _inside(-(-lengths // TICKS_PER_STEP), x.shape[2])
        for block in self.blocks:
            x = block(x, inside)
        out = self.output(x).transpose(1, 2)  # (B, steps, 2 x H)
        frames = out.reshape(len(out), -1, self.config.frame_dimension)  # (B, 2 x steps, H)
        return normalize(frames[:, : -(-ticks // self.ticks_per_frame)], dim=2)


def loudness(spectra: Tensor) -> Tensor:
    """spectra (B, T, 40) in dB. Returns (B,): mean over bands and the louder half of the ticks."""
    level = spectra.mean(dim=2)
    return level.topk(max(1, level.shape[1] // 2), dim=1).values.mean(dim=1)


def _inside(lengths: Tensor, width: int) -> Tensor:
    """(B, 1, width): 1 before each length, 0 from it on."""
    places = torch.arange(width, device=lengths.device)
    return (places < lengths[:, None]).float()[:, None]
