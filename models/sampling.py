"""Randomness from a generator alone: samples of categorical distributions, and dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def sample_categorical(probabilities: Tensor, rng: Generator) -> Tensor:
    """Draws one category of each distribution, by the inverse of its cumulative sum.

    Args:
        probabilities: (..., N), from 0; each row is divided by its sum.
        rng: on the device of the probabilities.

    Returns:
        int64 (...), 0 to N - 1.
    """
    cumulative = probabilities.cumsum(dim=-1)
    uniform = torch.rand((*probabilities.shape[:-1], 1), generator=rng, device=probabilities.device)
    return (cumulative <= cumulative[..., -1:] * uniform).sum(dim=-1).clamp_max(probabilities.shape[-1] - 1)


def dropout(values: Tensor, share: float, rng: Generator, shape: Sequence[int] | None = None) -> Tensor:
    """Returns values of which a share is zero, the others scaled so that the mean stays.

    Args:
        values: of any shape.
        share: 0 to below 1; nothing is drawn for 0.
        rng: on the device of the values.
        shape: of the mask, which is broadcast to that of the values; None for the same.
    """
    if not share:
        return values
    mask = torch.rand(values.shape if shape is None else shape, generator=rng, device=values.device) >= share
    return values * mask / (1 - share)
