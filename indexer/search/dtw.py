"""Subsequence dynamic time warping: where in a window of frames a query fits best.

A path covers the whole query, and may begin and end anywhere in the window (open begin, open end; Müller
2007, "Information Retrieval for Music and Motion", section 4.4). A cell costs the cosine distance of its two
frames. Each cell stores the frame at which its path begins, so no path is traced back and memory is a few
columns.

Two step sets (query frames, window frames), with the weight of the cell each arrives at:

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
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from enum import Enum
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.search import dtw_arrays
from wordspot.indexer.vectors.protocol import PACKED_WIDTH, normalised, packed, product, quantised

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Cells of the distance matrix that each thread holds at a time. Smaller chunks fit a core's cache better, but
# the interpreter's overhead for each blocks the other threads.
CELLS_PER_CHUNK = 1 << 19
# For less work than this another thread costs more than it saves.
CELLS_PER_THREAD = 1 << 16
# From so many cells on, loading the compiled kernels costs less than they save.
CELLS_BEFORE_COMPILED = 1 << 26


class Steps(Enum):
    """The step sets of an alignment's path; see the module's head."""

    SLOPE = "slope"
    FREE = "free"


class _Kernels(Protocol):
    """The kernels that both dtw_arrays.py and dtw_compiled.py implement."""

    def slope_curves(
        self, similarity: Floats, frames: int, offsets: Ints, cost: Floats, start: NDArray[np.int32]
    ) -> None: ...

    def minima(self, cost: Floats, offsets: Ints) -> tuple[Ints, Ints]: ...

    def disjoint(self, cost: Floats, start: Ints, stop: Ints, offsets: Ints, overlap: float) -> Ints: ...

    def unit_rows(
        self,
        features: NDArray[np.int8] | NDArray[np.uint8],
        first: Ints,
        offsets: Ints,
        out: Floats,
    ) -> None: ...


class _KernelSelection:
    """Selects the kernels: those in numpy, until loading the compiled ones costs less than they save."""

    def __init__(self) -> None:
        self.kernels: _Kernels = dtw_arrays
        self._cells = 0
        self._loading: threading.Thread | None = None
        self._lock = threading.Lock()

    def count_cells(self, cells: int) -> None:
        """Counts cells that are to be aligned, and begins to load the compiled kernels when they are many."""
        if self._loading is None:
            with self._lock:
                self._cells += cells
            if self._cells >= CELLS_BEFORE_COMPILED:
                self.load()

    def load(self) -> None:
        """Begins to load the compiled kernels, unless that has begun."""
        with self._lock:
            if self._loading is None:
                self._loading = threading.Thread(target=self._load, name="kernels")
                self._loading.start()

    def wait(self) -> None:
        """Returns once the compiled kernels are loaded."""
        self.load()
        assert self._loading is not None
        self._loading.join()

    def _load(self) -> None:
        from wordspot.indexer.search import dtw_compiled

        frames = normalised(np.ones((4, PACKED_WIDTH)))
        offsets = np.array([0, 4], dtype=np.int64)
        for stored in (quantised(frames), packed(frames)):
            dtw_compiled.unit_rows(stored, offsets[:1], offsets, np.empty_like(frames))
        similarity = np.ones((4, 8), np.float32)
        cost, start = np.empty(4, np.float32), np.empty(4, np.int32)
        for curves in (dtw_compiled.slope_curves, dtw_compiled.free_curves):
            curves(similarity, 4, offsets, cost, start)
        ends, groups = dtw_compiled.minima(cost, offsets)
        dtw_compiled.disjoint(cost[ends], start[ends].astype(np.int64), ends + 1, groups, 0.5)
        self.kernels = dtw_compiled


_selection = _KernelSelection()


def load_compiled() -> None:
    """Begins to load the compiled kernels in the background, for processes that will run many searches."""
    _selection.load()


def warm_up() -> None:
    """Returns once every kernel is compiled and loaded."""
    _selection.wait()


def unit_rows(
    features: NDArray[np.int8] | NDArray[np.uint8], first: Ints, offsets: Ints, out: Floats
) -> None:
    """Copies windows of stored frames into unit rows; a zero row stays zero.

    Args:
        features: stored frames (f, H), or packed (f, H / 2), H at most 100,000; may be a memory map.
        first: int64 (W,), the first row of each window in features.
        offsets: int64 (W + 1,), the first row of each window in out.
        out: float32 (F, H), written in place.
    """
    _selection.kernels.unit_rows(features, first, offsets, out)


def alignment_curves(
    query: Floats,
    load: Callable[[int, int], Floats],
    offsets: Ints,
    steps: Steps = Steps.SLOPE,
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int32]]:
    """Returns the best alignment that ends at each frame of each window.

    Args:
        query: float32 (T, H) unit rows.
        load: load(a, b) returns the unit rows of windows a to b - 1, concatenated; called from several
            threads.
        offsets: int64 (W + 1,), window w is rows offsets[w] to offsets[w + 1] of F in all.
        steps: of the paths.
        threads: at most, by default one a core that this process may use; the result does not depend on it.

    Returns:
        Cost float32 (F,), infinite where no path fits, and int32 (F,) the frame at which the alignment
        begins, from its window's start.
    """
    rows = int(offsets[-1])
    cost = np.full(rows, np.inf, dtype=np.float32)
    start = np.zeros(rows, dtype=np.int32)
    cells = rows * len(query)
    _selection.count_cells(cells)
    kernel = _curves(steps)
    # (H, T), padded with columns that no result depends on: BLAS and vector registers prefer multiples of 8.
    weights = np.zeros((query.shape[1], -(-len(query) // 8) * 8), dtype=np.float32)
    weights[:, : len(query)] = query.T

    def align(windows: tuple[int, int]) -> None:
        a, b = windows
        rows_of_chunk = slice(int(offsets[a]), int(offsets[b]))
        frames = load(a, b)  # (f, H)
        kernel(
            product(frames, weights),
            len(query),
            offsets[a : b + 1] - offsets[a],
            cost[rows_of_chunk],
            start[rows_of_chunk],
        )

    workers = max(min(threads or _cores(), cells // CELLS_PER_THREAD), 1)
    bounds = np.linspace(0, rows, max(-(-cells // CELLS_PER_CHUNK), workers) + 1)
    edges = np.unique(np.searchsorted(offsets, bounds, side="left"))
    _run_chunks(align, deque(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)), workers)
    return cost, start


def _curves(
    steps: Steps,
) -> Callable[[Floats, int, Ints, Floats, NDArray[np.int32]], None]:
    if steps is Steps.SLOPE:
        return _selection.kernels.slope_curves
    from wordspot.indexer.search import (
        dtw_compiled,  # without a slope limit a cell waits for the one before it
    )

    return dtw_compiled.free_curves


def _run_chunks(
    align: Callable[[tuple[int, int]], None], chunks: deque[tuple[int, int]], workers: int
) -> None:
    """Aligns chunks of windows in this thread and workers - 1 others."""

    def work() -> None:
        while True:
            try:
                chunk = chunks.popleft()
            except IndexError:
                return
            align(chunk)

    futures = [_pool().submit(work) for _ in range(min(workers, len(chunks)) - 1)]
    try:
        work()
    finally:
        chunks.clear()  # where it failed
        started = [future for future in futures if not future.cancel()]
        wait(started)
    for future in started:
        future.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(_cores() - 1, 1), thread_name_prefix="align")


def _cores() -> int:
    """Returns the number of cores that this process may use, if the system tells; else of all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def disjoint(
    cost: Floats,
    start: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    offsets: Ints,
    overlap: float = 0.5,
) -> Ints:
    """Selects intervals, cheapest first, that overlap little with those already selected of their group.

    Args:
        cost: float32 (n,); intervals of infinite cost are never selected.
        start: (n,).
        stop: (n,), one past the end.
        offsets: int64 (G + 1,), group g is intervals offsets[g] to offsets[g + 1].
        overlap: share of the shorter one that two of a group may have in common.

    Returns:
        Indexes of the selected intervals, group after group, cheapest first; the earlier of equals.
    """
    return _selection.kernels.disjoint(cost, start.astype(np.int64), stop.astype(np.int64), offsets, overlap)


def alignments(cost: Floats, start: NDArray[np.int32], offsets: Ints, overlap: float = 0.5) -> Ints:
    """Returns the end frames of the alignments of each window that do not overlap, cheapest first.

    Only local minima of a window's cost over its end frames count.

    Args:
        cost: float32 (F,), from alignment_curves.
        start: int32 (F,), from alignment_curves.
        offsets: int64 (W + 1,), the first frame of each window.
        overlap: as in `disjoint`.

    Returns:
        int64 (n,), indexes into cost.
    """
    ends, groups = _selection.kernels.minima(cost, offsets)
    window = np.searchsorted(offsets, ends, side="right") - 1
    return ends[disjoint(cost[ends], start[ends], ends + 1 - offsets[window], groups, overlap)]
