"""Vectors of spans, pooled from frame features, as `wordspot.models.encoders.pooled` does with tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.models.cancellation import check_cancelled

Floats = NDArray[np.float32]

PRODUCT_OF_ONE_THREAD = 1 << 18
"""Multiplications up to which OpenBLAS takes no threads of its own, which would wait for those of others."""
SPANS_AT_ONCE = 2_048  # what is looked up for them stays in a core's cache


@dataclass(frozen=True)
class Projection:
    """A linear map.

    Attributes:
        weight: float32 (out, in).
        bias: float32 (out,).
    """

    weight: Floats
    bias: Floats

    def __call__(self, rows: Floats) -> Floats:
        """Returns (N, out) of rows (N, in)."""
        return product(rows, self.weight.T) + self.bias


def product(rows: Floats, matrix: Floats) -> Floats:
    """Returns rows (N, in) times matrix (in, out), by the calling thread alone."""
    block = max(PRODUCT_OF_ONE_THREAD // matrix.size, 1)
    whole = len(rows) // block * block
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    np.matmul(
        rows[:whole].reshape(-1, block, rows.shape[1]),
        matrix,
        out=out[:whole].reshape(-1, block, matrix.shape[1]),
    )
    np.matmul(rows[whole:], matrix, out=out[whole:])
    return out


def part_means(frames: Sequence[Floats], region: NDArray[np.int64], edges: NDArray[np.float64]) -> Floats:
    """Returns the means of adjoining stretches of frames.

    frames: (T_i, H) of each region; region (N,); edges (N, parts + 1), ascending, in frames of the region,
    fractions allowed, within T_i. Returns (N, parts x H).
    """
    sizes = np.array([len(rows) for rows in frames], dtype=np.int64)
    first = np.cumsum(sizes + 1) - (sizes + 1)  # a row of zeros stands before each region's sums
    size = frames[0].shape[1]
    integral = np.empty((int(sizes.sum()) + len(sizes), size), np.float32)
    for rows, begin in zip(frames, first.tolist(), strict=True):
        integral[begin] = 0
        np.cumsum(rows, axis=0, out=integral[begin + 1 : begin + 1 + len(rows)])
    # Integrated frames, read off at fractional places, give every mean with two look-ups.
    below = np.clip(np.floor(edges).astype(np.int64), 0, (sizes[region] - 1)[:, None])
    weight = (edges - below).astype(np.float32)[..., None]
    place = below + first[region][:, None]
    width = np.maximum(np.diff(edges, axis=1), 1e-3).astype(np.float32)[..., None]
    means = np.empty((len(region), width.shape[1], size), np.float32)
    for a in range(0, len(region), SPANS_AT_ONCE):
        check_cancelled()
        chunk = slice(a, a + SPANS_AT_ONCE)
        low = integral[place[chunk]]  # (n, parts + 1, H)
        low += (integral[place[chunk] + 1] - low) * weight[chunk]
        np.divide(np.diff(low, axis=1), width[chunk], out=means[chunk])
    return means.reshape(len(region), -1)


def pooled(
    frames: Sequence[Floats],
    spans: NDArray[np.int64],
    parts: int,
    projection: Projection,
    ticks_per_frame: int,
) -> Floats:
    """Returns unit vectors (N, dimension) of spans (N, 3) of region, start, stop in ticks."""
    if not len(spans):
        return np.zeros((0, len(projection.bias)), np.float32)
    region, start, stop = spans.T
    share = np.linspace(0, 1, parts + 1)
    edges = (start[:, None] + (stop - start)[:, None] * share) / ticks_per_frame
    return unit(projection(part_means(frames, region, edges)))


def unit(rows: Floats) -> Floats:
    """Returns rows (N, D) of length 1; a zero row stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    scaled: Floats = rows / np.maximum(lengths, np.float32(1e-12))[:, None]
    return scaled
