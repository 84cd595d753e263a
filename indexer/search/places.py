"""Places: where in an archive a query may be, as candidates of the first stage and as alignments of the
second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.search.dtw import disjoint

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
ScoreT = TypeVar("ScoreT", np.float32, np.float64)


@dataclass(frozen=True)
class Places(Generic[ScoreT]):
    """Stretches of regions with a score each.

    Attributes:
        region: int64 (n,), ordinals of regions.
        start: int64 (n,), first ticks from the recording's start.
        stop: int64 (n,), one past the last ticks.
        score: (n,), float32 for candidates: the similarity of their spans; float64 for hits.
        measured: signals (n, len(MEASURED)); None where nothing was aligned.
    """

    region: Ints
    start: Ints
    stop: Ints
    score: NDArray[ScoreT]
    measured: Doubles | None = None

    def clipped(self, view: ArchiveView, margin: int) -> tuple[Ints, Ints]:
        """Returns start and stop (n,), widened by the margin in ticks on each side, within the region."""
        start = np.maximum(self.start - margin, view.region_start[self.region])
        stop = np.minimum(self.stop + margin, view.region_stop[self.region])
        return start, stop

    def at(self, indexes: Ints) -> Places[ScoreT]:
        """Returns the places of these indexes (m,)."""
        measured = None if self.measured is None else self.measured[indexes]
        return replace(
            self,
            region=self.region[indexes],
            start=self.start[indexes],
            stop=self.stop[indexes],
            score=self.score[indexes],
            measured=measured,
        )


def distinct_places(view: ArchiveView, places: Places[np.float64]) -> Places[np.float64]:
    """Returns the places without those that overlap a better one on another channel or track.

    Microphones hear more than one speaker: what is said once is one place, on the channel that has it best.
    """
    if view.region_stream is None or not len(places.region):
        return places
    recording = view.region_recording[places.region]
    order = np.lexsort((places.start, recording))
    groups = np.append(np.unique(recording[order], return_index=True)[1], len(order)).astype(np.int64)
    cost = -places.score[order].astype(np.float32)
    selected = order[disjoint(cost, places.start[order], places.stop[order], groups)]
    return places.at(np.sort(selected))
