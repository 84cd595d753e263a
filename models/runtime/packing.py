"""Speech regions packed into windows of up to 10 s with short silences between, as Whisper takes them.

Windows of 30 s retrieve no more and cost half as much again, a region by itself retrieves less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TICKS_PER_FRAME = 2
WINDOW_TICKS = 1_000
GAP_TICKS = 40
PIECE_TICKS = WINDOW_TICKS - GAP_TICKS


@dataclass(frozen=True)
class PackedPiece:
    """Ticks [first, last) of a region, which begin at tick `place` of a window.

    Attributes:
        row: Number of the region.
        first: Its first tick in the region.
        last: Where it ends, in ticks of the region.
        place: Its first tick in the window.
    """

    row: int
    first: int
    last: int
    place: int

    @property
    def end(self) -> int:
        """Where the piece ends in the window, in ticks, with the silence behind it."""
        return self.place + frame_count(self.last - self.first) * TICKS_PER_FRAME + GAP_TICKS

    @property
    def frames(self) -> slice:
        """Its frames in its region."""
        begin = self.first // TICKS_PER_FRAME
        return slice(begin, begin + frame_count(self.last - self.first))

    @property
    def window_frames(self) -> slice:
        """Its frames in its window."""
        begin = self.place // TICKS_PER_FRAME
        return slice(begin, begin + frame_count(self.last - self.first))


def windows_of(lengths: Sequence[int]) -> list[list[PackedPiece]]:
    """Packs regions of so many ticks into windows in order; one that does not fit into a window is cut."""
    windows: list[list[PackedPiece]] = []
    place = 0
    for row, length in enumerate(lengths):
        for first in range(0, length, PIECE_TICKS):
            piece = PackedPiece(row, first, min(first + PIECE_TICKS, length), place)
            if not windows or piece.end > WINDOW_TICKS:
                windows.append([])
                piece = replace(piece, place=0)
            windows[-1].append(piece)
            place = piece.end
    return windows


def packed(regions: Sequence[Floats], window: Sequence[PackedPiece], silence: float) -> Floats:
    """Returns a window (1, bands, T), contiguous, T even, of regions' features (T_i or more, bands)."""
    out = np.full((1, regions[0].shape[1], window[-1].end), silence, np.float32)
    for piece in window:
        out[0, :, piece.place : piece.place + piece.last - piece.first] = regions[piece.row][
            piece.first : piece.last
        ].T
    return out


def frame_count(ticks: int) -> int:
    """Returns how many frames so many ticks have."""
    return -(-ticks // TICKS_PER_FRAME)
