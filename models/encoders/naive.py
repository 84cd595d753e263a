"""The naive encoder: ten equal parts of a span, averaged and put side by side.

The baseline of Chung et al., Interspeech 2016 (arXiv 1603.00982), section 4: the frames of a segment are
divided into ten parts of equal length, the mean vectors of the parts concatenated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wordspot.models import audio
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.registry import register


@dataclass(frozen=True)
class NaiveConfig:
    """How a span is divided.

    Attributes:
        parts: Of equal duration, whose means are concatenated.
    """

    parts: int = 10


@register("naive")
class Naive(SpanModel[NaiveConfig]):
    """Nothing to train. Vectors have parts x 39 dimensions."""

    Config = NaiveConfig

    def __init__(self, config: NaiveConfig) -> None:
        super().__init__(config)
        self.dimension = config.parts * audio.MFCC_SIZE

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        # Integrated features, read off at fractional ticks, give every mean with two look-ups.
        zero = features.new_zeros(features.shape[0], 1, features.shape[2], dtype=torch.float64)
        integral = torch.cat([zero, features.double().cumsum(dim=1)], dim=1)  # (B, T + 1, 39)
        region, start, stop = spans.T
        share = torch.linspace(0, 1, self.config.parts + 1, dtype=torch.float64, device=features.device)
        edges = start[:, None] + (stop - start)[:, None] * share  # (N, parts + 1)
        below = edges.floor().long().clamp_max(integral.shape[1] - 2)
        weight = (edges - below)[..., None]
        rows = region[:, None]
        at = integral[rows, below] * (1 - weight) + integral[rows, below + 1] * weight  # (N, parts + 1, 39)
        parts: Tensor = at.diff(dim=1).flatten(1).float()
        return parts
