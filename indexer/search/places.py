"""Places: where in an archive a query may be, as candidates of the first stage and as alignments of the
second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView

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
