"""Interpolation in the latent space of a model, from one random code to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import Generator, Tensor

STEPS = 12  # from one random code to the next


def interpolate(
    decode: Callable[[Tensor], Tensor], codes: Callable[[int, Generator], Tensor], count: int, rng: Generator
) -> Iterator[Tensor]:
    """Yields decoded codes on a path through random codes.

    Args:
        decode: codes (B, code) to outputs (B, ...).
        codes: draws so many random codes, (B, code).
        count: outputs to yield, (...) each.
        rng: of the random codes.
    """
    start, end = codes(1, rng), codes(1, rng)
    for step in range(count):
        share = step % STEPS / STEPS
        if step and not share:
            start, end = end, codes(1, rng)
        yield decode(on_arc(start, end, share))[0]


def on_arc(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Returns the point at a share, 0 to 1, of the arc between two codes, whose norm is that of a random code
    (White 2016, Sampling generative networks)."""
    angle = share * math.pi / 2
    return math.cos(angle) * start + math.sin(angle) * end
