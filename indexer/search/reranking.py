"""Re-ranking: candidates aligned with the query frame by frame, with pseudo-relevance feedback.

candidates -> windows -> alignments (dtw.py) -> pseudo-relevance feedback -> scores (normalisation.py)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import to_seconds, to_tick
from wordspot.indexer.search.background import Background
from wordspot.indexer.search.calibration import MEASURED, query_change
from wordspot.indexer.search.candidates import candidate_windows, similarity_at
from wordspot.indexer.search.dtw import alignment_curves, alignments, disjoint
from wordspot.indexer.search.normalisation import BackgroundStatistics
from wordspot.indexer.search.places import Places
from wordspot.indexer.search.query import EmbeddedQuery
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.search.windows import Windows
from wordspot.indexer.stages import stage

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

FEEDBACK_MARGIN_TICKS = to_tick(0.05)
EPSILON = 1e-6  # keeps logarithms finite


def places_by_similarity(
    view: ArchiveView, background: Background, query: EmbeddedQuery, candidates: Places[np.float32]
) -> Places[np.float64]:
    """Returns the candidates that do not overlap better ones, scored by their vectors alone."""
    order = np.argsort(candidates.region, kind="stable")
    region = candidates.region[order]
    start, stop = candidates.clipped(view, margin=0)
    start, stop, similarity = start[order], stop[order], candidates.score[order]
    groups = np.append(np.unique(region, return_index=True)[1], len(region))
    selected = disjoint(-similarity, start, stop, groups)
    score = background.similarity_scores(query, similarity[selected])
    return Places(region[selected], start[selected], stop[selected], score)


@stage("alignment")
def places_by_alignment(
    view: ArchiveView,
    background: Background,
    query: EmbeddedQuery,
    candidates: Places[np.float32],
    settings: SearchSettings,
) -> Places[np.float64]:
    """Returns the best alignments of the query around the candidates, scored by both stages.

    Args:
        view: that is searched.
        background: random windows and spans of the view.
        query: that is searched for.
        candidates: of the first stage.
        settings: weights of both stages and of the feedback.
    """
    windows, background_windows = candidate_windows(view, query, candidates), background.windows(view, query)
    all_windows = background_windows.concatenated(windows)  # together: enough work to divide among threads
    curve, starts = alignment_curves(
        query.frames, all_windows.load, all_windows.offsets, settings.steps, settings.threads
    )
    background_curve, curve = np.split(curve, background_windows.offsets[-1:])
    starts = starts[background_windows.offsets[-1] :]
    ends = alignments(curve, starts, windows.offsets)
    region, start, stop = _stretches(view, windows, starts, ends)
    if not len(ends):
        return Places(region, start, stop, np.empty(0), np.empty((0, len(MEASURED))))
    statistics = background.cost_statistics(query, background_windows, background_curve)
    location, scale = statistics.location, statistics.scale
    share = settings.similarity_weight
    similarity = background.similarity_scores(query, similarity_at(view, candidates, region, start, stop))
    first_cost = curve[ends]
    best_place = int(np.argmax(share * similarity - (1 - share) * first_cost.astype(np.float64) / scale))
    cost = _with_feedback(view, settings, best_place, first_cost, location, region, start, stop)
    score = (1 - share) * (location - cost.astype(np.float64)) / scale + share * similarity
    measured = np.column_stack(
        [
            (location - first_cost.astype(np.float64)) / scale,
            (first_cost.astype(np.float64) - cost) / scale,
            similarity,
            np.abs(np.log((stop - start) / query.ticks)),
            *(np.full(len(ends), value) for value in _circumstances(background, query, statistics)),
        ]
    )
    return Places(region, start, stop, score, measured)


def _stretches(
    view: ArchiveView, windows: Windows, starts: NDArray[np.int32], ends: Ints
) -> tuple[Ints, Ints, Ints]:
    """Returns region, start and stop (n,) of alignments, in ticks from the recording's start.

    Args:
        view: that is searched.
        windows: in which the query was aligned.
        starts: int32 (F,), the frame of its window at which the alignment that ends in each frame begins.
        ends: int64 (n,), frames at which alignments end.
    """
    window = np.searchsorted(windows.offsets, ends, side="right") - 1
    region, step = windows.region[window], view.encoder.ticks_per_frame
    origin = view.region_start[region] + windows.first[window] * step
    start = origin + starts[ends].astype(np.int64) * step
    stop = np.minimum(
        origin + (ends - windows.offsets[window] + 1) * step, view.region_stop[region].astype(np.int64)
    )
    return region, start, stop


def _circumstances(
    background: Background, query: EmbeddedQuery, statistics: BackgroundStatistics
) -> tuple[float, ...]:
    """Returns the signals of MEASURED that all places of a query have in common, in that order."""
    return (
        math.log(to_seconds(query.ticks)),
        math.log(query_change(query.frames) + EPSILON),
        math.log(statistics.deviation / max(statistics.location, EPSILON) + EPSILON),
        statistics.location,
        math.log(background.speech_seconds),
    )


def _with_feedback(
    view: ArchiveView,
    settings: SearchSettings,
    first: int,
    cost: Floats,
    background_cost: float,
    region: Ints,
    start: Ints,
    stop: Ints,
) -> Floats:
    """Returns the costs (n,) of places after pseudo-relevance feedback.

    The best place is taken as relevant, and the best feedback_depth places are aligned with it as a second
    example (Chen, Lee, Yeh and Lee 2010, "Improved spoken term detection by feature space pseudo-relevance
    feedback"). A word cut out of its sentence sounds unlike those of the archive; the best place is an
    example of it within its context. Its own cost does not change, and no other cost falls below it.

    Args:
        view: that is searched.
        settings: weight and depth of the feedback.
        first: index of the best place.
        cost: float32 (n,), of aligning the query.
        background_cost: median cost of random places, which stands for places that are not aligned again.
        region: int64 (n,), ordinals of the places' regions.
        start: int64 (n,), first ticks from the recording's start.
        stop: int64 (n,), one past the last ticks.
    """
    if len(cost) < 2 or not settings.feedback_weight:
        return cost
    best = np.argsort(cost, kind="stable")[: settings.feedback_depth]
    rest = best[best != first]
    rest = rest[np.lexsort((start[rest], region[rest]))]
    windows = Windows(
        view,
        region[rest],
        np.maximum(start[rest] - FEEDBACK_MARGIN_TICKS, view.region_start[region[rest]]).astype(np.int64),
        np.minimum(stop[rest] + FEEDBACK_MARGIN_TICKS, view.region_stop[region[rest]]).astype(np.int64),
    )
    first_place = slice(first, first + 1)
    example = Windows(view, region[first_place], start[first_place], stop[first_place]).load(0, 1)
    curve, _ = alignment_curves(example, windows.load, windows.offsets, settings.steps, settings.threads)
    feedback_cost = windows.best_costs(curve)
    feedback_cost = np.where(np.isfinite(feedback_cost), feedback_cost, np.float32(background_cost))
    feedback_cost += max(cost[first] - feedback_cost.min(), 0)
    all_costs = np.full(len(cost), background_cost, np.float32)
    all_costs[rest] = feedback_cost
    all_costs[first] = cost[first]
    return (1 - settings.feedback_weight) * cost + settings.feedback_weight * all_costs
