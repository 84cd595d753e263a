"""Alignment kernels compiled by numba: the fastest once they are loaded.

Loading them takes longer than a few searches; dtw_arrays.py does the same in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    options = {"nogil": True, "fastmath": {"reassoc", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder that the cache could be written to
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


@_compiled
def slope_curves(similarity, frames, offsets, cost, start):  # type: ignore[no-untyped-def]
    """As dtw_arrays.slope_curves."""
    # No cell depends on another of its row, so both inner loops run on vector registers.
    width = similarity.shape[1]
    sums = np.empty((3, width + 2), np.float32)
    begins = np.zeros((3, width + 2), np.int32)
    steps = np.empty(width, np.int32)
    for window in range(len(offsets) - 1):
        sums[:] = np.inf  # two cells precede the query, so that no step needs a bounds check
        for row in range(offsets[window], offsets[window + 1]):
            distances = similarity[row]
            skipped, previous, second_previous = (
                sums[(row - 1) % 3],
                sums[(row - 1) % 3][1:],
                sums[(row - 2) % 3][1:],
            )
            current = sums[row % 3][2:]
            for i in range(width):
                distance = max(np.float32(1) - distances[i], np.float32(0))
                straight = min(previous[i], second_previous[i])
                double = skipped[i] + distance
                current[i] = min(straight, double) + distance
                steps[i] = (
                    np.int32(2)
                    if double < straight
                    else np.int32(1 if second_previous[i] < previous[i] else 0)
                )
            begin_skipped, begin_previous = begins[(row - 1) % 3], begins[(row - 1) % 3][1:]
            begin_second_previous, begin_current = begins[(row - 2) % 3][1:], begins[row % 3][2:]
            for i in range(width):
                begin = begin_second_previous[i] if steps[i] == 1 else begin_previous[i]
                begin_current[i] = begin_skipped[i] if steps[i] == 2 else begin
            current[0] = max(np.float32(1) - distances[0], np.float32(0))
            begin_current[0] = row - offsets[window]
            cost[row] = current[frames - 1] / np.float32(frames)
            start[row] = begin_current[frames - 1]


@_compiled
def free_curves(similarity, frames, offsets, cost, start):  # type: ignore[no-untyped-def]
    """Writes what dtw.alignment_curves returns under Steps.FREE, as dtw_arrays.slope_curves."""
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
def _find_minima(cost, offsets, places, groups):  # type: ignore[no-untyped-def]
    count = 0
    for window in range(len(offsets) - 1):
        before = np.float32(np.inf)
        for row in range(offsets[window], offsets[window + 1]):
            last = row + 1 == offsets[window + 1]
            if cost[row] < before and (last or cost[row] <= cost[row + 1]):
                places[count] = row
                count += 1
            before = cost[row]
        groups[window + 1] = count
    return count


@_compiled
def _select(cost, start, stop, offsets, overlap, free, selected):  # type: ignore[no-untyped-def]
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
            selected[count] = best
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


@_compiled
def _unit_rows_of_packed(features, first, offsets, out):  # type: ignore[no-untyped-def]
    half = features.shape[1]
    for window in range(len(first)):
        for n in range(offsets[window + 1] - offsets[window]):
            source, target = features[first[window] + n], out[offsets[window] + n]
            square = np.int32(0)
            for h in range(half):
                low, high = np.int32(source[h] & 15) - 8, np.int32(source[h] >> 4) - 8
                square += low * low + high * high
            scale = np.float32(1) / np.sqrt(np.float32(max(square, np.int32(1))))
            for h in range(half):
                target[h] = np.float32(np.int32(source[h] & 15) - 8) * scale
                target[half + h] = np.float32(np.int32(source[h] >> 4) - 8) * scale


def minima(cost: Floats, offsets: Ints) -> tuple[Ints, Ints]:
    """As dtw_arrays.minima."""
    places = np.empty(len(cost), np.int64)
    groups = np.zeros(len(offsets), np.int64)
    count = _find_minima(cost, offsets, places, groups)
    return places[:count], groups


def disjoint(cost: Floats, start: Ints, stop: Ints, offsets: Ints, overlap: float) -> Ints:
    """As dtw.disjoint."""
    selected = np.empty(len(cost), np.int64)
    count = _select(cost, start, stop, offsets, overlap, np.isfinite(cost), selected)
    return selected[:count]


def unit_rows(
    features: NDArray[np.int8] | NDArray[np.uint8], first: Ints, offsets: Ints, out: Floats
) -> None:
    """As dtw.unit_rows."""
    rows = np.ascontiguousarray(features).view()
    rows.flags.writeable = False  # one compiled form for memory maps and arrays
    (_unit_rows if rows.dtype == np.int8 else _unit_rows_of_packed)(rows, first, offsets, out)
