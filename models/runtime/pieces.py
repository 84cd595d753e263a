"""Speech regions cut into pieces that a Transformer encodes one at a time, with silence around each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS_PER_FRAME = 2
PIECE_TICKS = 600  # a longer region is cut
OVERLAP_TICKS = 40  # of each neighbour, as context
EDGE_TICKS = 20  # of silence before and behind a piece
QUERY_PADDING_TICKS = 100  # of silence around a query: at the very edge of a recording it is encoded worse


@dataclass(frozen=True)
class Piece:
    """Ticks [first, last) of a region that are encoded together.

    Attributes:
        row: Number of the region.
        first: First tick, of the context before.
        last: Where the context behind ends.
        inner_first: First tick whose frame is used.
        inner_last: Where the ticks end whose frames are used.
    """

    row: int
    first: int
    last: int
    inner_first: int
    inner_last: int

    @property
    def window(self) -> int:
        """Ticks of the window, with the silence around, even."""
        return (self.last - self.first + 1) // 2 * 2 + 2 * EDGE_TICKS

    @property
    def frames(self) -> slice:
        """The used frames in the region."""
        return slice(self.inner_first // TICKS_PER_FRAME, -(-self.inner_last // TICKS_PER_FRAME))

    @property
    def window_frames(self) -> slice:
        """The used frames in the window."""
        begin = (EDGE_TICKS + self.inner_first - self.first) // TICKS_PER_FRAME
        return slice(begin, begin + self.frames.stop - self.frames.start)

    def cut(self, region: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the window (1, bands, window), contiguous, of a region's features (T, bands)."""
        out = np.full((1, region.shape[1], self.window), region.min(), np.float32)
        out[0, :, EDGE_TICKS : EDGE_TICKS + self.last - self.first] = region[self.first : self.last].T
        return out


def pieces_of(row: int, length: int) -> list[Piece]:
    """Cuts a region of so many ticks into the fewest pieces of about equal length; edges lie between
    frames."""
    count = 1 if length <= PIECE_TICKS else -(-length // (PIECE_TICKS - 2 * OVERLAP_TICKS))
    edges = [length * number // count // 2 * 2 for number in range(count)] + [length]
    return [
        Piece(row, max(0, first - OVERLAP_TICKS), min(length, last + OVERLAP_TICKS), first, last)
        for first, last in itertools.pairwise(edges)
    ]
