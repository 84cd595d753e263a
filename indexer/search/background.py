"""The background of an archive: random windows and spans, by which a query's scores are normalised.

The places that are drawn mostly remain when the archive changes; see draws.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import to_seconds
from wordspot.indexer.search.draws import derived_keys, draw, keys_of
from wordspot.indexer.search.dtw import alignment_curves
from wordspot.indexer.search.normalisation import (
    INDEPENDENT_WINDOWS,
    BackgroundStatistics,
    background_statistics,
    decoy_share,
    normalised_similarity,
)
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.search.windows import Windows, window_ticks
from wordspot.indexer.vectors.protocol import normalised

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

BACKGROUND_SPANS = 4_096


class Background:
    """What all searches derive from a view's speech. Its size does not depend on the number of spans."""

    def __init__(self, view: ArchiveView, settings: SearchSettings, recording_rank: Ints) -> None:
        """Takes an order of recordings (recordings,) that does not depend on when they were indexed."""
        self._settings = settings
        self._ticks_per_frame = view.encoder.ticks_per_frame
        ticks = (view.region_stop - view.region_start).astype(np.int64)
        ticks[~view.alive[view.region_recording]] = 0
        # Longest first: those that hold a query are the first so many, and their speech is a partial sum.
        order = np.lexsort((view.region_start, recording_rank[view.region_recording], -ticks))
        self._region_order = order[: np.count_nonzero(ticks)]
        self._region_ticks = ticks[self._region_order]
        self._speech_ticks = np.cumsum(self._region_ticks)
        contents = keys_of([f"{settings.seed} {entry.content or entry.id}" for entry in view.recordings])
        starts = view.region_start.astype(np.int64)
        if view.region_stream is not None:
            starts += view.region_stream.astype(np.int64) << 32
        self._region_keys = derived_keys(contents[view.region_recording], starts)
        self._drawn: dict[int, tuple[Ints, Doubles]] = {}
        self._span_lengths, self._span_vectors = self._random_spans(view)

    @property
    def speech_seconds(self) -> float:
        """Duration of all regions, of which there is at least one."""
        return to_seconds(int(self._speech_ticks[-1]))

    def windows(self, view: ArchiveView, query: EmbeddedQuery) -> Windows:
        """Returns random stretches as long as a candidate's window, uniform over the archive's speech."""
        region, place = self._places(self._fitting_regions(query))
        width = window_ticks(query)
        first, last = (bound[region].astype(np.int64) for bound in (view.region_start, view.region_stop))
        start = first + np.floor(place * (np.maximum(last - first - width, 0) + 1)).astype(np.int64)
        return Windows(view, region, start, np.minimum(start + width, last))

    def cost_statistics(self, query: EmbeddedQuery, windows: Windows, curve: Floats) -> BackgroundStatistics:
        """Returns what the query's costs are normalised by.

        Args:
            query: that was aligned.
            windows: those of `windows` for the query.
            curve: float32 (F,), the query's alignment costs over the windows.
        """
        speech = float(self._speech_ticks[self._fitting_regions(query) - 1])
        share = decoy_share(speech, window_ticks(query))
        decoy_costs = None
        if share:
            settings = self._settings
            decoy_curve, _ = alignment_curves(
                query.frames[::-1], windows.load, windows.offsets, settings.steps, settings.threads
            )
            decoy_costs = _finite(windows.best_costs(decoy_curve))
        return background_statistics(_finite(windows.best_costs(curve)), decoy_costs, share)

    def similarity_scores(self, query: EmbeddedQuery, similarity: Floats) -> Doubles:
        """Returns similarities (n,) normalised by those of random spans, of similar length if enough were
        drawn."""
        vectors = self._span_vectors
        first, last = np.searchsorted(
            3 * self._span_lengths, (2 * query.piece, 4 * query.piece + 1), side="left"
        )
        if last - first >= INDEPENDENT_WINDOWS:
            vectors = vectors[first:last]
        return normalised_similarity(similarity, (vectors @ query.vectors.T).ravel().astype(np.float64))

    def _fitting_regions(self, query: EmbeddedQuery) -> int:
        """Returns how many regions, the longest first, can hold a match under the slope limit."""
        shortest = (len(query.frames) // 2) * self._ticks_per_frame + 1
        return int(np.searchsorted(-self._region_ticks, -shortest, side="right"))

    def _places(self, fitting: int) -> tuple[Ints, Doubles]:
        """Returns regions (w,) and relative places in them (w,), 0 to below 1, uniform over the speech of the
        `fitting` longest regions."""
        if fitting not in self._drawn:
            order = self._region_order[:fitting]
            count = self._settings.background_windows
            drawn, place = draw(self._region_keys[order], self._region_ticks[:fitting], count)
            region = order[drawn]
            ascending = np.lexsort((place, region))  # loading is fastest in the regions' order
            self._drawn[fitting] = region[ascending], place[ascending]
        return self._drawn[fitting]

    def _random_spans(self, view: ArchiveView) -> tuple[Ints, Floats]:
        """Returns lengths (n,), ascending, and unit vectors (n, D) of random spans."""
        counts = np.where(view.alive[view.region_recording], np.diff(view.region_span), 0)
        if counts.sum() <= BACKGROUND_SPANS:
            region = np.repeat(np.arange(len(counts)), counts)
            first_rows = np.repeat(np.cumsum(counts) - counts, counts)
            spans = view.region_span[region] + np.arange(len(region)) - first_rows
        else:
            # Keys other than those of the windows: otherwise both are drawn from the same regions.
            region, place = draw(derived_keys(self._region_keys, 1), counts, BACKGROUND_SPANS)
            spans = np.unique(view.region_span[region] + np.floor(place * counts[region]).astype(np.int64))
        _, start, stop = view.span_extents(spans)
        order = np.argsort(stop - start, kind="stable")
        return (stop - start)[order], normalised(view.span_vectors(spans)[order])


def _finite(costs: Floats) -> Doubles:
    return costs[np.isfinite(costs)].astype(np.float64)
