"""Alignment kernels in numpy, for the first searches of a process, which would have to wait for numba.

All windows advance together: one array operation handles a frame of each. The same similarities give the same
alignments as in dtw_compiled.py, bit by bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

ROWS_PER_BLOCK = 4_096  # of stored frames, which fit a core's cache


def slope_curves(
    similarity: Floats, frames: int, offsets: Ints, cost: Floats, start: NDArray[np.int32]
) -> None:
    """Writes what dtw.alignment_curves returns under Steps.SLOPE.

    Args:
        similarity: float32 (F, frames or more), of window frames and query frames.
        frames: T, of the query.
        offsets: int64 (W + 1,), the first frame of each window.
        cost, start: float32 (F,) and int32 (F,), written in place.
    """
    lengths = np.diff(offsets)
    longest_first = np.argsort(-lengths, kind="stable")
    lengths = lengths[longest_first]
    # How many windows still have a frame at each step, and the frames in that order.
    alive = np.searchsorted(-lengths, -np.arange(lengths.max(initial=0)), side="left")  # (steps,)
    rank = np.arange(int(alive.sum())) - np.repeat(np.cumsum(alive) - alive, alive)
    step = np.repeat(np.arange(len(alive)), alive)
    rows = offsets[:-1][longest_first][rank] + step  # (F,)

    # Two cells precede the query, where no path can begin, so that arrays are shifted as a whole.
    width = frames + 2
    distances = np.empty((len(rows), width), np.float32)
    distances[:, :2] = np.inf
    np.subtract(np.float32(1), similarity[rows, :frames], out=distances[:, 2:])
    np.maximum(distances[:, 2:], np.float32(0), out=distances[:, 2:])

    size = len(lengths) * width
    current, previous, second_previous = (np.full(size, np.inf, np.float32) for _ in range(3))
    begin, begin_previous, begin_second_previous = (np.zeros(size, np.int32) for _ in range(3))
    straight, double = np.empty(size, np.float32), np.empty(size, np.float32)
    costs, starts = np.empty(len(rows), np.float32), np.empty(len(rows), np.int32)
    first = 0
    for frame, windows in enumerate(alive.tolist()):
        last = first + windows
        cells = windows * width
        cell, before, skipped = slice(2, cells), slice(1, cells - 1), slice(0, cells - 2)
        distance = distances[first:last].reshape(-1)[cell]
        np.minimum(previous[before], second_previous[before], out=straight[cell])
        np.add(previous[skipped], distance, out=double[cell])
        np.minimum(straight[cell], double[cell], out=current[cell])
        current[cell] += distance
        begin[cell] = np.where(
            double[cell] < straight[cell],
            begin_previous[skipped],
            np.where(
                second_previous[before] < previous[before],
                begin_second_previous[before],
                begin_previous[before],
            ),
        )
        current[2:cells:width] = distances[first:last, 2]
        begin[2:cells:width] = frame
        costs[first:last] = current[width - 1 : cells : width]
        starts[first:last] = begin[width - 1 : cells : width]
        current, previous, second_previous = second_previous, current, previous
        begin, begin_previous, begin_second_previous = begin_second_previous, begin, begin_previous
        first = last
    cost[rows] = costs / np.float32(frames)
    start[rows] = starts


def minima(cost: Floats, offsets: Ints) -> tuple[Ints, Ints]:
    """Returns the indexes (n,) of the local minima of each window's cost (F,), the earlier of equals, and the
    first of each window among them (W + 1,)."""
    before, after = np.empty_like(cost), np.empty_like(cost)
    before[1:], after[:-1] = cost[:-1], cost[1:]
    filled = offsets[:-1] < offsets[1:]
    before[offsets[:-1][filled]] = after[offsets[1:][filled] - 1] = np.inf
    places = np.flatnonzero((cost < before) & (cost <= after))
    return places, np.searchsorted(places, offsets)


def disjoint(cost: Floats, start: Ints, stop: Ints, offsets: Ints, overlap: float) -> Ints:
    """As dtw.disjoint: each round selects the cheapest remaining interval of every group."""
    group = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    remaining = np.lexsort((cost, group))
    remaining = remaining[np.isfinite(cost[remaining])]
    selected = [remaining[:0]]
    while len(remaining):
        first = np.flatnonzero(np.diff(group[remaining], prepend=-1))
        best = remaining[first]
        selected.append(best)
        best = np.repeat(best, np.diff(first, append=len(remaining)))
        shared = np.minimum(stop[remaining], stop[best]) - np.maximum(start[remaining], start[best])
        shorter = np.minimum(stop[remaining] - start[remaining], stop[best] - start[best])
        remaining = remaining[(remaining != best) & (shared <= overlap * shorter)]
    places = np.concatenate(selected)
    return places[np.argsort(group[places], kind="stable")]


def unit_rows(
    features: NDArray[np.int8] | NDArray[np.uint8], first: Ints, offsets: Ints, out: Floats
) -> None:
    """As dtw.unit_rows."""
    lengths = np.diff(offsets)
    rows = np.repeat(first - offsets[:-1], lengths) + np.arange(offsets[0], offsets[-1])
    for begin in range(0, len(rows), ROWS_PER_BLOCK):
        stored = features[rows[begin : begin + ROWS_PER_BLOCK]]
        target = out[offsets[0] + begin :][: len(stored)]
        if stored.dtype == np.int8:
            target[:] = stored
        else:
            half = stored.shape[1]
            target[:, :half] = stored & 15
            target[:, half:] = stored >> 4
            target -= np.float32(8)
        square = np.einsum("nd,nd->n", target, target)
        target *= (np.float32(1) / np.sqrt(np.maximum(square, np.float32(1))))[:, np.newaxis]
