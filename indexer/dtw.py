"""Subsequence dynamic time warping: where in a stretch of frames does the query fit best?

The query must be used whole, the stretch need not be: a path may begin and end anywhere in it (open begin,
open end; Müller, Information Retrieval for Music and Motion, 2007, section 4.4). A cell costs the cosine
distance of its two frames. Each cell carries the frame its path began at, so no path is traced back and
memory is a few columns.

Two step sets (query frames, stretch frames), with the weight of the cell each arrives at:

SLOPE  (1,1) weight 1, (1,2) weight 1, (2,1) weight 2: the weight is the number of query frames covered
       (the asymmetric form of Sakoe and Chiba 1978, table I). A match is half to twice as long as the query.
       Weights along every path sum to T, the query's length, so the cheapest sum is the cheapest mean:
       cost = sum / T is the exact minimum of the mean distance a query frame.
FREE   (1,1) weight 2, (1,0) and (0,1) weight 1: the symmetric form without slope limit. Weights along a
       path sum to T + m - 1 for a match of m frames; cost = sum / (T + m - 1). The path is chosen by its sum
       and normalised afterwards, which is exact for a given begin and end and a heuristic over begins.

Costs lie in [0, 2]; where no path fits the cost is infinite.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from enum import Enum
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.protocol import normalised, quantised

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Cells of the distance matrix that are held at a time and thread. Smaller chunks fit a core's cache better,
# but what Python does for each of them keeps the other threads waiting.
CELLS_PER_CHUNK = 1 << 19
# Multiplications above which OpenBLAS divides a product among threads of its own. Ours already have every
# core; on a busy machine, waiting for one another, the two kinds together are up to twenty times slower.
PRODUCT_OF_ONE_THREAD = 1 << 18
# A thread that gets less than this to do costs more than it saves.
CELLS_PER_THREAD = 1 << 16


class Steps(Enum):
    SLOPE = "slope"
    FREE = "free"


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    options = {"nogil": True, "fastmath": {"reassoc", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder that the cache could be written to
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


@_compiled
def _similarities(frames, weights, similarity):  # type: ignore[no-untyped-def]
    rows = max(PRODUCT_OF_ONE_THREAD // weights.size, 1)
    for first in range(0, len(frames), rows):
        np.dot(frames[first : first + rows], weights, similarity[first : first + rows])


@_compiled
def _slope_curves(similarity, frames, offsets, cost, start):  # type: ignore[no-untyped-def]
    # No cell depends on another of its row, so both inner loops run on vector registers.
    width = similarity.shape[1]
    sums = np.empty((3, width + 2), np.float32)
    begins = np.zeros((3, width + 2), np.int32)
    steps = np.empty(width, np.int32)
    for window in range(len(offsets) - 1):
        sums[:] = np.inf  # two places stand before the query, so that no step needs a bounds check
        for row in range(offsets[window], offsets[window + 1]):
            distances = similarity[row]
            skipped, one, two = sums[(row - 1) % 3], sums[(row - 1) % 3][1:], sums[(row - 2) % 3][1:]
            now = sums[row % 3][2:]
            for i in range(width):
                distance = max(np.float32(1) - distances[i], np.float32(0))
                straight = min(one[i], two[i])
                both = skipped[i] + distance
                now[i] = min(straight, both) + distance
                steps[i] = np.int32(2) if both < straight else np.int32(1 if two[i] < one[i] else 0)
            begin_skipped, begin_one = begins[(row - 1) % 3], begins[(row - 1) % 3][1:]
            begin_two, begin_now = begins[(row - 2) % 3][1:], begins[row % 3][2:]
            for i in range(width):
                begin = begin_two[i] if steps[i] == 1 else begin_one[i]
                begin_now[i] = begin_skipped[i] if steps[i] == 2 else begin
            now[0] = max(np.float32(1) - distances[0], np.float32(0))
            begin_now[0] = row - offsets[window]
            cost[row] = now[frames - 1] / np.float32(frames)
            start[row] = begin_now[frames - 1]


@_compiled
def _free_curves(similarity, frames, offsets, cost, start):  # type: ignore[no-untyped-def]
    sums = np.empty(frames, np.float32)
    begins = np.empty(frames, np.int32)
    for window in range(len(offsets) - 1):
        sums[:] = np.inf
        for row in range(offsets[window], offsets[window + 1]):
            place = row - offsets[window]
            corner, corner_begin = sums[0], begins[0]
            sums[0] = max(np.float32(1) - similarity[row, 0], np.float32(0))
            begins[0] = place
            for i in range(1, frames):
                distance = max(np.float32(1) - similarity[row, i], np.float32(0))
                best, begin = corner + distance, corner_begin
                corner, corner_begin = sums[i], begins[i]
                if corner < best:
                    best, begin = corner, corner_begin
                if sums[i - 1] < best:
                    best, begin = sums[i - 1], begins[i - 1]
                sums[i] = best + distance
                begins[i] = begin
            start[row] = begins[frames - 1]
            cost[row] = sums[frames - 1] / np.float32(frames + place - start[row])


@_compiled
def _minima(cost, offsets, minima, stop, groups):  # type: ignore[no-untyped-def]
    count = 0
    for window in range(len(offsets) - 1):
        before = np.float32(np.inf)
        for row in range(offsets[window], offsets[window + 1]):
            last = row + 1 == offsets[window + 1]
            if cost[row] < before and (last or cost[row] <= cost[row + 1]):
                minima[count] = row
                stop[count] = row + 1 - offsets[window]
                count += 1
            before = cost[row]
        groups[window + 1] = count
    return count


@_compiled
def _disjoint(cost, start, stop, offsets, overlap, free, chosen):  # type: ignore[no-untyped-def]
    count = 0
    for group in range(len(offsets) - 1):
        first, last = offsets[group], offsets[group + 1]
        while True:
            best = -1
            for n in range(first, last):
                if free[n] and (best < 0 or cost[n] < cost[best]):
                    best = n
            if best < 0:
                break
            chosen[count] = best
            count += 1
            free[best] = False
            for n in range(first, last):
                shared = min(stop[n], stop[best]) - max(start[n], start[best])
                if shared > overlap * min(stop[n] - start[n], stop[best] - start[best]):
                    free[n] = False
    return count


@_compiled
def _unit_rows(features, first, offsets, out):  # type: ignore[no-untyped-def]
    for window in range(len(first)):
        for n in range(offsets[window + 1] - offsets[window]):
            source, target = features[first[window] + n], out[offsets[window] + n]
            square = np.int32(0)
            for h in range(len(source)):
                value = np.int32(source[h])
                square += value * value
            scale = np.float32(1) / np.sqrt(np.float32(max(square, np.int32(1))))
            for h in range(len(source)):
                target[h] = np.float32(source[h]) * scale


def unit_rows(features: NDArray[np.int8], first: Ints, offsets: Ints, out: Floats) -> None:
    """Copies stretches of stored frames into unit rows; a zero row stays zero.

    features (f, H), H at most 100,000, may be a memory map; stretch w is rows first[w] onward of features
    and becomes rows offsets[w] to offsets[w + 1] of out (F, H).
    """
    rows = np.ascontiguousarray(features).view()
    rows.flags.writeable = False  # one compiled form for memory maps and arrays
    _unit_rows(rows, first, offsets, out)


def alignment_curves(
    query: Floats,
    load: Callable[[int, int], Floats],
    offsets: Ints,
    steps: Steps = Steps.SLOPE,
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int32]]:
    """Best alignment ending at each frame of each window.

    query: (T, H) unit rows. offsets: (W + 1,), window w is rows offsets[w] to offsets[w + 1] of F in all.
    load: load(a, b) gives the unit rows of windows a to b - 1, concatenated; called from several threads.
    threads: at most so many, by default one a core this process may use; the result does not depend on it.
    Returns cost (F,) and the frame, counted from its window's start, at which the alignment begins (F,).
    """
    rows = int(offsets[-1])
    cost = np.full(rows, np.inf, dtype=np.float32)
    start = np.zeros(rows, dtype=np.int32)
    kernel = _slope_curves if steps is Steps.SLOPE else _free_curves
    # (H, T), filled up with columns that no result depends on: BLAS and vector registers like multiples of 8.
    weights = np.zeros((query.shape[1], -(-len(query) // 8) * 8), dtype=np.float32)
    weights[:, : len(query)] = query.T

    def fill(windows: tuple[int, int]) -> None:
        a, b = windows
        here = slice(int(offsets[a]), int(offsets[b]))
        frames = load(a, b)  # (f, H)
        similarity = np.empty((len(frames), weights.shape[1]), dtype=np.float32)
        _similarities(frames, weights, similarity)
        kernel(similarity, len(query), offsets[a : b + 1] - offsets[a], cost[here], start[here])

    cells = rows * len(query)
    workers = max(min(threads or _cores(), cells // CELLS_PER_THREAD), 1)
    bounds = np.linspace(0, rows, max(-(-cells // CELLS_PER_CHUNK), workers) + 1)
    edges = np.unique(np.searchsorted(offsets, bounds, side="left"))
    _each(fill, deque(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)), workers)
    return cost, start


def _each(fill: Callable[[tuple[int, int]], None], chunks: deque[tuple[int, int]], workers: int) -> None:
    """By this thread and workers - 1 others, each taking a chunk as it is done with the last."""

    def work() -> None:
        while True:
            try:
                chunk = chunks.popleft()
            except IndexError:
                return
            fill(chunk)

    helpers = [_pool().submit(work) for _ in range(min(workers, len(chunks)) - 1)]
    try:
        work()
    finally:
        chunks.clear()  # where it failed
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(_cores() - 1, 1), thread_name_prefix="align")


def _cores() -> int:
    """That this process may use, where the system tells; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def alignment_curve(
    query: Floats, frames: Floats, steps: Steps = Steps.SLOPE
) -> tuple[Floats, NDArray[np.int32]]:
    """Cost (F,) and first frame (F,) of the best alignment that ends at each of frames (F, H), unit rows."""
    return alignment_curves(query, lambda a, b: frames, np.array([0, len(frames)], dtype=np.int64), steps)


def subsequence_dtw(
    query: Floats,
    frames: Floats,
    offsets: Ints,
    steps: Steps = Steps.SLOPE,
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32]]:
    """The best alignment in each window.

    query (T, H) and frames (F, H) unit rows; offsets (W + 1,), strictly increasing: no window is empty.
    Returns cost, start, stop (W,): the match is frames [start, stop) of the window, the earliest of equals;
    where none fits, cost is infinite and both are 0.
    """
    offsets = np.asarray(offsets, dtype=np.int64)
    costs, starts = alignment_curves(
        query, lambda a, b: frames[offsets[a] : offsets[b]], offsets, steps, threads
    )
    ends = _argmin(costs, offsets)
    cost = costs[ends]
    fits = np.isfinite(cost)
    stop = (ends - offsets[:-1] + 1).astype(np.int32)
    return cost, np.where(fits, starts[ends], 0).astype(np.int32), np.where(fits, stop, 0).astype(np.int32)


def _argmin(values: Floats, offsets: Ints) -> Ints:
    """Place of the first smallest value of each window."""
    windows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    smallest = np.minimum.reduceat(values, offsets[:-1])
    places = np.flatnonzero(values == smallest[windows])
    return places[np.unique(windows[places], return_index=True)[1]]


def disjoint(
    cost: Floats,
    start: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    offsets: Ints,
    overlap: float = 0.5,
) -> Ints:
    """Chooses intervals, cheapest first, that share little with those already chosen of their group.

    cost, start, stop (n,): intervals [start, stop); infinite cost is never chosen. Group g is places
    offsets[g] to offsets[g + 1]. Two of a group may share at most `overlap` of the shorter.
    Returns places, group after group, cheapest first; the earlier of equals.
    """
    chosen = np.empty(len(cost), dtype=np.int64)
    count = _disjoint(
        cost, start.astype(np.int64), stop.astype(np.int64), offsets, overlap, np.isfinite(cost), chosen
    )
    return chosen[:count]


def alignments(cost: Floats, start: NDArray[np.int32], offsets: Ints, overlap: float = 0.5) -> Ints:
    """End frames (places in cost) of the non-overlapping alignments of each window, cheapest first.

    cost, start (F,) from alignment_curves. Only local minima of a window's cost over its end frames count:
    the best one, and whatever else in the window resembles the query.
    """
    minima, stop = np.empty(len(cost), np.int64), np.empty(len(cost), np.int64)
    groups = np.zeros(len(offsets), np.int64)
    count = _minima(cost, offsets, minima, stop, groups)
    minima = minima[:count]
    return minima[disjoint(cost[minima], start[minima], stop[:count], groups, overlap)]


def warm_up() -> None:
    """Compiles every kernel, so that the first search does not wait."""
    frames = normalised(np.ones((4, 2)))
    offsets = np.array([0, 4], dtype=np.int64)
    out = np.empty_like(frames)
    unit_rows(quantised(frames), offsets[:1], offsets, out)
    for steps in Steps:
        cost, start = alignment_curves(frames, lambda a, b: out, offsets, steps)
        alignments(cost, start, offsets)
