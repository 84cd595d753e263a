"""Sampling from categorical distributions."""

from __future__ import annotations

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
