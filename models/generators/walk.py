"""A walk through the codes of a model: from one random code to the next, a picture at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import Generator, Tensor

STEPS = 12  # from one random code to the next


def walk(
    decode: Callable[[Tensor], Tensor], codes: Callable[[int, Generator], Tensor], count: int, rng: Generator
) -> Iterator[Tensor]:
    """decode: (B, code) to (B, ...). codes: so many random ones. Yields count times (...)."""
    here, there = codes(1, rng), codes(1, rng)
    for step in range(count):
        share = step % STEPS / STEPS
        if step and not share:
            here, there = there, codes(1, rng)
        yield decode(between(here, there, share))[0]


def between(here: Tensor, there: Tensor, share: float) -> Tensor:
    """On the arc, not the chord: as far from the middle as a random code is."""
    angle = share * math.pi / 2
    return math.cos(angle) * here + math.sin(angle) * there
