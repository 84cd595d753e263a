"""Windows: stretches of regions as frames, wide enough to align a query in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import to_tick
from wordspot.indexer.search.dtw import unit_rows
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.vectors.stored import readable_rows

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MARGIN_TICKS = to_tick(0.08)


class Windows:
    """Stretches of regions whose frames are loaded when needed, fastest in the regions' order.

    Attributes:
        region: int64 (W,), ordinals of regions.
        first: (W,), frame of the region at which each window begins.
        offsets: (W + 1,), the first frame of each window among the frames of all.
    """

    def __init__(self, view: ArchiveView, region: Ints, start: Ints, stop: Ints) -> None:
        """Takes (W,) of regions, and of first and one past the last ticks from the recording's start."""
        step = view.encoder.ticks_per_frame
        origin = view.region_start[region].astype(np.int64)
        self._view = view
        self.region, self._start, self._stop = region, start, stop
        self.first = (start - origin) // step
        self.offsets = np.append(0, np.cumsum(-(-(stop - origin) // step) - self.first))
        self._segment = view.region_segment[region]
        self._row = view.region_frame[region] + self.first

    def concatenated(self, other: Windows) -> Windows:
        """Returns these windows and then others of the same view."""
        return Windows(
            self._view,
            np.append(self.region, other.region),
            np.append(self._start, other._start),
            np.append(self._stop, other._stop),
        )

    def load(self, a: int, b: int) -> Floats:
        """Returns the frames (F, H) of windows a to b - 1 as unit rows."""
        rows = np.empty(
            (int(self.offsets[b] - self.offsets[a]), self._view.encoder.frame_dimension), np.float32
        )
        cuts = np.flatnonzero(np.diff(self._segment[a:b])) + a + 1
        for i, j in zip([a, *cuts], [*cuts, b], strict=True):
            first, offsets = self._row[i:j], self.offsets[i : j + 1]
            frames = readable_rows(self._view.frames[int(self._segment[i])], first, first + np.diff(offsets))
            unit_rows(frames, first, offsets - self.offsets[a], rows)
        return rows

    def best_costs(self, curve: Floats) -> Floats:
        """Returns the lowest cost (W,) in each window of an alignment curve (F,) over all of them."""
        costs: Floats = np.minimum.reduceat(curve, self.offsets[:-1])
        return costs


def window_margin(query: EmbeddedQuery) -> int:
    """Returns by how many ticks a candidate is widened on each side.

    That is room for the grid of spans and for a span that is too short, and a third of the phrase beyond the
    piece, which may be spoken that much slower. Twice the margin finds the same hits and takes longer.
    """
    return MARGIN_TICKS + query.piece // 12 + (query.ticks - query.piece) // 3


def window_ticks(query: EmbeddedQuery) -> int:
    """Returns the length of a widened candidate in ticks."""
    return query.ticks + 2 * window_margin(query)
