"""Encoders whose vectors are pooled from frame features: one pass a region, however many spans lie in it.

As in Hu, Settle, Livescu, "Acoustic span embeddings for multilingual query-by-example search", SLT 2021: a
network hears the whole region, a span's vector is made of the frames under it. Here a span is cut into equal
parts, the mean frames of the parts stand side by side, and a linear map makes the vector of them.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from wordspot.models.encoders.spans import SpanModel
from wordspot.models.model import ConfigT


def part_means(frames: Tensor, region: Tensor, start: Tensor, stop: Tensor, parts: int) -> Tensor:
    """Means of equal parts of stretches of frames.

    frames (B, T, H); region int64 (N,); start, stop float (N,), in frames, fractions allowed, within T.
    Returns (N, parts x H).
    """
    zero = frames.new_zeros(frames.shape[0], 1, frames.shape[2])
    # Integrated frames, read off at fractional places, give every mean with two look-ups.
    integral = torch.cat([zero, frames.cumsum(dim=1)], dim=1)  # (B, T + 1, H)
    share = torch.linspace(0, 1, parts + 1, dtype=start.dtype, device=frames.device)
    edges = start[:, None] + (stop - start)[:, None] * share  # (N, parts + 1)
    below = edges.floor().long().clamp(0, integral.shape[1] - 2)
    weight = (edges - below)[..., None].to(frames.dtype)
    rows = region[:, None]
    at = integral[rows, below] * (1 - weight) + integral[rows, below + 1] * weight  # (N, parts + 1, H)
    width = edges.diff(dim=1).clamp_min(1e-3)[..., None].to(frames.dtype)
    means: Tensor = (at.diff(dim=1) / width).flatten(1)
    return means


class PooledSpanModel(SpanModel[ConfigT]):
    """A network of frames, and a linear map from pooled frames to vectors.

    parts: into which a span is cut. projection: (parts x frame_dimension) to dimension, set by subclasses.
    """

    parts: int
    projection: nn.Linear

    @abstractmethod
    def hear(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, F), padded; lengths (B,) in ticks. Returns unit rows (B, ceil(T /
        ticks_per_frame), frame_dimension); what lies beyond a region's length changes nothing within it."""

    def pool(self, frames: Tensor, region: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        """As part_means, mapped to (N, dimension)."""
        vectors: Tensor = self.projection(part_means(frames, region, start, stop, self.parts))
        return vectors

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        return self._of_spans(self.hear(features, lengths), spans)

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.hear(features, lengths)

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        heard = self.hear(features, lengths)
        return self._of_spans(heard, spans), heard

    def _of_spans(self, frames: Tensor, spans: Tensor) -> Tensor:
        """frames (B, T', H); spans (N, 3) of region, start, stop in ticks."""
        region, start, stop = spans.T
        step = self.ticks_per_frame
        return self.pool(frames, region, start.double() / step, stop.double() / step)
