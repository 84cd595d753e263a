"""Which stretches of a speech region become spans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput


@dataclass(frozen=True)
class SpanPlan:
    """Which stretches of a region become spans; all in ticks.

    Spans of lengths[i] start at every hops[i]-th tick. The smallest hop divides the others, so that long
    spans start where short ones do and an encoder needs one pass a start. With `snap`, each start moves to
    the nearest acoustic boundary within half the smallest hop.
    """

    lengths: tuple[int, ...] = (26, 38, 56, 82, 120)
    hops: tuple[int, ...] = (10, 10, 20, 20, 40)
    snap: bool = True

    def __post_init__(self) -> None:
        if not self.lengths or len(self.lengths) != len(self.hops):
            raise InvalidInput(f"a plan needs one hop a length, got {self.lengths} and {self.hops}")
        if min(self.hops) < 1 or any(hop % min(self.hops) for hop in self.hops):
            raise InvalidInput(f"hops {self.hops} are not allowed: each a multiple of the smallest, from 1")
        if min(self.lengths) < 1 or list(self.lengths) != sorted(set(self.lengths)):
            raise InvalidInput(f"lengths {self.lengths} are not allowed: rising, from 1")

    def spans(self, ticks: int, boundaries: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns spans (n, 2) of start and stop in a region of that many ticks, sorted; boundaries are
        sorted.

        A span that exceeds the region by at most half its hop is clipped. A region shorter than the
        shortest length gives the one span that covers it.
        """
        if ticks < self.lengths[0]:
            return np.array([[0, ticks]], np.int32)
        base = min(self.hops)
        grid = np.arange(0, ticks, base)
        starts = _snapped(grid, boundaries, base // 2) if self.snap else grid
        spans = []
        for length, hop in zip(self.lengths, self.hops, strict=True):
            start = starts[grid % hop == 0]
            start = start[start + length <= ticks + hop // 2]
            spans.append(np.stack([start, np.minimum(start + length, ticks)], axis=1))
        rows = np.concatenate(spans).astype(np.int32)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        # Two lengths may be clipped to the same stretch.
        distinct: NDArray[np.int32] = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
        return distinct


def _snapped(grid: NDArray[np.int64], boundaries: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    if not len(boundaries):
        return grid
    after = np.searchsorted(boundaries, grid).clip(max=len(boundaries) - 1)
    near = boundaries[np.stack([np.maximum(after - 1, 0), after])]  # (2, n)
    nearest = near[np.abs(near - grid).argmin(axis=0), np.arange(len(grid))]
    return np.where(np.abs(nearest - grid) <= reach, nearest, grid)
