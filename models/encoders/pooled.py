"""Encoders whose vectors are pooled from frame features: one pass a region, however many spans lie in it.

As in Hu, Settle, Livescu, "Acoustic span embeddings for multilingual query-by-example search", SLT 2021: a
network encodes the whole region, a span's vector is made of the frames under it. Here a span is cut into
equal parts, the mean frames of the parts stand side by side, and a linear map makes the vector of them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from wordspot.models.encoders.spans import SpanModel
from wordspot.models.model import ConfigT


def part_means(frames: Tensor, region: Tensor, start: Tensor, stop: Tensor, parts: int) -> Tensor:
    """Returns the means of equal parts of stretches of frames, (N, parts x H).

    Args:
        frames: float32 (B, T, H).
        region: int64 (N,), the row of each stretch.
        start: float (N,), in frames, fractions allowed, within T.
        stop: float (N,), likewise.
        parts: Into which a stretch is cut.
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

    Attributes:
        family: Of wordspot.models.runtime.networks, as which it can run without torch; None where it cannot.
        parts: Into which a span is cut.
        projection: (parts x frame_dimension) to dimension, set by subclasses.
    """

    family: ClassVar[str | None] = None
    parts: int
    projection: nn.Linear

    @abstractmethod
    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns unit rows (B, ceil(T / ticks_per_frame), frame_dimension).

        features: (B, T, F), padded. lengths: int64 (B,), in ticks. What lies beyond a region's length changes
        nothing within it.
        """

    def graph(self) -> nn.Module:
        """Returns the network as its family runs it, from that family's inputs to its output."""
        return self

    def pool(self, frames: Tensor, region: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        """Returns vectors (N, dimension), of stretches as `part_means` takes them."""
        vectors: Tensor = self.projection(part_means(frames, region, start, stop, self.parts))
        return vectors

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        return self._of_spans(self.frames(features, lengths), spans)

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.frames(features, lengths)
        return self._of_spans(frames, spans), frames

    def _of_spans(self, frames: Tensor, spans: Tensor) -> Tensor:
        """Returns the vectors of spans (N, 3) of region, start, stop in ticks. frames (B, T', H)."""
        region, start, stop = spans.T
        step = self.ticks_per_frame
        return self.pool(frames, region, start.double() / step, stop.double() / step)
