"""Candidates: the spans nearest to a query's vectors, and the windows around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import Mode
from wordspot.indexer.search.places import Places
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.search.windows import Windows, window_margin
from wordspot.indexer.stages import stage
from wordspot.indexer.vectors.buckets import NOMINAL_TICKS
from wordspot.indexer.vectors.protocol import IdSet

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SEARCHED_LENGTHS_TICKS = NOMINAL_TICKS[::2]  # a search takes in the lengths beside its own


@stage("candidates")
def nearest_candidates(
    view: ArchiveView, query: EmbeddedQuery, allowed: IdSet | None, k: int
) -> Places[np.float32]:
    """Returns the k nearest spans over all pieces, best first, extended to where the whole query would lie.

    A stretch may reach beyond its region. Under Mode.SOUND spans about as long as a piece are searched, else
    spans of every length, since what means the same may take any time to say.
    """
    lengths = (query.piece,) if query.mode is Mode.SOUND else SEARCHED_LENGTHS_TICKS
    parts = [view.index.search(query.vectors, k, ticks, allowed) for ticks in lengths]
    ids = np.concatenate([ids for ids, _ in parts], axis=1)  # (P, k) for each length
    similarity = np.concatenate([similarity for _, similarity in parts], axis=1)
    present = np.flatnonzero(ids.ravel() >= 0)
    best = present[np.argsort(-similarity.ravel()[present], kind="stable")[:k]]
    offset = query.offsets[best // max(1, ids.shape[1])]
    region, start, stop = view.span_extents(ids.ravel()[best])
    return Places(region, start - offset, stop + query.ticks - offset - query.piece, similarity.ravel()[best])


def candidate_windows(view: ArchiveView, query: EmbeddedQuery, candidates: Places[np.float32]) -> Windows:
    """Returns windows around the candidates; those that overlap become one."""
    start, stop = candidates.clipped(view, window_margin(query))
    # A key orders stretches by region, then by time.
    base = candidates.region << 32
    order = np.argsort(base + start, kind="stable")
    begin = (base + start)[order]
    reach = np.maximum.accumulate((base + stop)[order])
    first = np.flatnonzero(np.append(True, begin[1:] >= reach[:-1]))
    last = np.append(first[1:], len(begin)) - 1
    region = begin[first] >> 32
    return Windows(view, region, begin[first] - (region << 32), reach[last] - (region << 32))


def similarity_at(
    view: ArchiveView, candidates: Places[np.float32], region: Ints, start: Ints, stop: Ints
) -> Floats:
    """Returns the best similarity (h,) among the candidates that lie nearest to each place of their region.

    Args:
        view: that was searched.
        candidates: of the first stage.
        region: int64 (h,), ordinals of the places' regions.
        start: int64 (h,), first ticks from the recording's start.
        stop: int64 (h,), one past the last ticks.

    Returns:
        float32 (h,); a place to which no candidate is nearest gets the worst similarity of all.
    """
    candidate_start, candidate_stop = candidates.clipped(view, margin=0)
    centre = (candidates.region << 32) + candidate_start + candidate_stop
    places = (region << 32) + start + stop
    order = np.argsort(places, kind="stable")
    after = np.searchsorted(places[order], centre).clip(1, max(len(order) - 1, 1))
    left, right = order[after - 1], order[after.clip(max=len(order) - 1)]
    nearest = np.where(centre - places[left] <= places[right] - centre, left, right)
    best = np.full(len(places), candidates.score.min(), dtype=np.float32)
    np.maximum.at(best, nearest, candidates.score)
    return best
