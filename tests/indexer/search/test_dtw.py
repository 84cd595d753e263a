"""The kernels against librosa, against every path there is, and on matches planted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer.search import dtw, dtw_arrays, dtw_compiled
from wordspot.indexer.search.dtw import Steps
from wordspot.indexer.vectors.protocol import normalised, packed, quantised, unpacked

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# (query frames, window frames) of each step and the weight of the cell it arrives at.
STEPS = {
    Steps.SLOPE: (((1, 1), (1, 2), (2, 1)), (1, 1, 2)),
    Steps.FREE: (((1, 1), (1, 0), (0, 1)), (2, 1, 1)),
}


def alignment_curve(
    query: Floats, frames: Floats, steps: Steps = Steps.SLOPE
) -> tuple[Floats, NDArray[np.int32]]:
    """Cost (F,) and first frame (F,) of the best alignment that ends at each frame of one window (F, H)."""
    return dtw.alignment_curves(query, lambda a, b: frames, np.array([0, len(frames)], dtype=np.int64), steps)


def subsequence_dtw(
    query: Floats,
    frames: Floats,
    offsets: Ints,
    steps: Steps = Steps.SLOPE,
    threads: int | None = None,
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32]]:
    """The best alignment in each window.

    Returns cost, start, stop (W,): the match is frames [start, stop) of the window, the earliest of equals;
    where none fits, cost is infinite and both are 0.
    """
    offsets = np.asarray(offsets, dtype=np.int64)
    costs, starts = dtw.alignment_curves(
        query, lambda a, b: frames[offsets[a] : offsets[b]], offsets, steps, threads
    )
    ends = first_minima(costs, offsets)
    cost = costs[ends]
    fits = np.isfinite(cost)
    stop = (ends - offsets[:-1] + 1).astype(np.int32)
    return cost, np.where(fits, starts[ends], 0).astype(np.int32), np.where(fits, stop, 0).astype(np.int32)


def first_minima(values: Floats, offsets: Ints) -> Ints:
    """Index of the first smallest value of each window."""
    windows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    smallest = np.minimum.reduceat(values, offsets[:-1])
    places = np.flatnonzero(values == smallest[windows])
    return places[np.unique(windows[places], return_index=True)[1]]


@pytest.fixture(autouse=True, params=[dtw_arrays, dtw_compiled], ids=["arrays", "compiled"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtw._selection, "kernels", request.param)


def random_rows(seed: int, count: int, width: int = 8) -> NDArray[np.float32]:
    return normalised(np.random.default_rng(seed).standard_normal((count, width)))


def weight(steps: Steps, query: int, matched: int) -> int:
    """Sum of the weights along a path."""
    return query if steps is Steps.SLOPE else query + matched - 1


@pytest.mark.parametrize("steps", Steps)
@pytest.mark.parametrize(("query_frames", "window_frames"), [(1, 5), (2, 9), (7, 8), (13, 40), (31, 90)])
def test_costs_and_starts_equal_librosas_for_every_end_frame(
    steps: Steps, query_frames: int, window_frames: int
) -> None:
    query, window = random_rows(1, query_frames), random_rows(2, window_frames)
    sizes, weights = STEPS[steps]
    total = librosa.sequence.dtw(
        C=np.maximum(1 - query @ window.T, 0),
        step_sizes_sigma=np.array(sizes),
        weights_mul=np.array(weights, dtype=np.float64),
        subseq=True,
        backtrack=False,
    )
    cost, start = alignment_curve(query, window, steps)
    reachable = np.isfinite(total[-1])
    np.testing.assert_array_equal(np.isfinite(cost), reachable)
    matched = np.arange(window_frames) - start + 1
    weights_along = np.array([weight(steps, query_frames, m) for m in matched])
    np.testing.assert_allclose((cost * weights_along)[reachable], total[-1][reachable], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_match_begins_and_ends_where_librosas_path_does(seed: int) -> None:
    query, window = random_rows(seed, 12), random_rows(seed + 50, 50)
    sizes, weights = STEPS[Steps.SLOPE]
    _, path = librosa.sequence.dtw(
        C=np.maximum(1 - query @ window.T, 0),
        step_sizes_sigma=np.array(sizes),
        weights_mul=np.array(weights, dtype=np.float64),
        subseq=True,
    )
    _, start, stop = subsequence_dtw(query, window, np.array([0, 50]))
    assert (start[0], stop[0] - 1) == (path[-1, 1], path[0, 1])


def every_path(
    distances: NDArray[np.float32], steps: Steps, place: tuple[int, int], total: float, begin: int
) -> Iterator[tuple[int, int, float]]:
    """All (begin, end, weighted sum) of paths that go on from place."""
    i, j = place
    if i == distances.shape[0] - 1:
        yield begin, j, total
    for (down, right), factor in zip(*STEPS[steps], strict=True):
        if i + down < distances.shape[0] and j + right < distances.shape[1]:
            there = (i + down, j + right)
            yield from every_path(distances, steps, there, total + factor * distances[there], begin)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", Steps)
def test_the_normalised_cost_is_that_of_the_cheapest_of_all_paths(steps: Steps, seed: int) -> None:
    query, window = random_rows(seed, 4, 3), random_rows(seed + 100, 6, 3)
    distances = np.maximum(1 - query @ window.T, 0)
    paths = [
        path for j in range(6) for path in every_path(distances, steps, (0, j), float(distances[0, j]), j)
    ]
    cost, start = alignment_curve(query, window, steps)
    for end in range(6):
        ending = [path for path in paths if path[1] == end]
        if not ending:
            assert np.isinf(cost[end])
            continue
        begin, _, total = min(ending, key=lambda path: path[2])
        assert start[end] == begin
        assert cost[end] == pytest.approx(total / weight(steps, 4, end - begin + 1), abs=1e-5)


def test_under_the_slope_limit_the_cheapest_sum_is_the_cheapest_mean() -> None:
    query, window = random_rows(5, 5, 3), random_rows(6, 8, 3)
    distances = np.maximum(1 - query @ window.T, 0)
    means = [
        total / weight(Steps.SLOPE, 5, end - begin + 1)
        for j in range(8)
        for begin, end, total in every_path(distances, Steps.SLOPE, (0, j), float(distances[0, j]), j)
    ]
    cost, _, _ = subsequence_dtw(query, window, np.array([0, 8]))
    assert cost[0] == pytest.approx(min(means), abs=1e-5)


@pytest.mark.parametrize("steps", Steps)
def test_a_planted_copy_costs_nothing_and_is_found_where_it_is(steps: Steps) -> None:
    query, windows = random_rows(7, 20), random_rows(8, 300)
    windows[130:150] = query
    cost, start, stop = subsequence_dtw(query, windows, np.array([0, 100, 200, 300]), steps)
    assert cost[1] == pytest.approx(0, abs=1e-5)
    assert (start[1], stop[1]) == (30, 50)
    assert min(cost[0], cost[2]) > 0.3


@pytest.mark.parametrize("speed", [0.6, 0.75, 1.5, 1.9])
def test_a_copy_said_slower_or_faster_within_the_slope_limit_costs_nothing(speed: float) -> None:
    query = random_rows(9, 30)
    said = query[(np.arange(round(30 / speed)) * speed).astype(int)]
    window = np.concatenate([random_rows(10, 25), said, random_rows(11, 25)])
    cost, start, stop = subsequence_dtw(query, window, np.array([0, len(window)]))
    assert cost[0] < 0.35
    assert abs(start[0] - 25) <= 3
    assert abs(stop[0] - 25 - len(said)) <= 3


def test_a_window_shorter_than_half_the_query_fits_nothing_under_the_slope_limit() -> None:
    query, windows = random_rows(12, 21), random_rows(13, 21)
    cost, start, stop = subsequence_dtw(query, windows, np.array([0, 10, 21]))
    assert np.isinf(cost[0])
    assert (start[0], stop[0]) == (0, 0)
    assert np.isfinite(cost[1])


@pytest.mark.parametrize("steps", Steps)
def test_a_window_does_not_feel_its_neighbours_nor_the_number_of_threads(steps: Steps) -> None:
    query = random_rows(14, 40, 24)
    lengths = np.random.default_rng(15).integers(1, 400, 200)
    offsets = np.append(0, np.cumsum(lengths))
    frames = random_rows(16, int(offsets[-1]), 24)
    together = subsequence_dtw(query, frames, offsets, steps, threads=4)
    for one, four in zip(subsequence_dtw(query, frames, offsets, steps, threads=1), together, strict=True):
        np.testing.assert_array_equal(one, four)
    for window in range(0, 200, 17):
        part = frames[offsets[window] : offsets[window + 1]]
        alone = subsequence_dtw(query, part, np.array([0, len(part)]), steps)
        assert alone[0][0] == pytest.approx(together[0][window], abs=1e-5)
        assert (alone[1][0], alone[2][0]) == (together[1][window], together[2][window])


def test_two_occurrences_in_one_window_are_two_alignments_and_the_best_comes_first() -> None:
    query, window = random_rows(17, 20), random_rows(18, 120)
    window[10:30] = normalised(query + 0.2 * random_rows(19, 20))
    window[35:55] = query
    offsets = np.array([0, 60, 120])
    cost, start = dtw.alignment_curves(query, lambda a, b: window[offsets[a] : offsets[b]], offsets)
    ends = dtw.alignments(cost, start, offsets)
    assert [(int(start[end]), int(end) + 1) for end in ends[:2]] == [(35, 55), (10, 30)]
    assert (np.diff(cost[ends[ends < 60]]) >= 0).all()
    assert (cost[ends[ends >= 60]] > 0.3).all()


def test_chosen_intervals_share_at_most_half_of_the_shorter_within_their_group() -> None:
    cost = np.array([3, 1, 2, 4, np.inf, 1], dtype=np.float32)
    start = np.array([0, 4, 9, 14, 30, 4])
    stop = np.array([10, 14, 19, 24, 40, 14])
    chosen = dtw.disjoint(cost, start, stop, np.array([0, 5, 5, 6]))
    # 1 comes first; 2 shares half with it, 0 more; 3 shares half with 2; 4 is infinite, 5 in another group.
    assert chosen.tolist() == [1, 2, 3, 5]
    assert dtw.disjoint(cost, start, stop, np.array([0, 5, 5, 6]), overlap=0.0).tolist() == [1, 3, 5]


def test_stored_frames_become_unit_rows_as_numpy_makes_them(tmp_path: Path) -> None:
    features = np.random.default_rng(20).integers(-127, 128, (50, 7)).astype(np.int8)
    features[5] = 0
    np.save(tmp_path / "frames.npy", features)
    stored = np.load(tmp_path / "frames.npy", mmap_mode="r")
    first, offsets = np.array([40, 0, 3]), np.array([0, 10, 13, 50])
    out = np.empty((50, 7), dtype=np.float32)
    dtw.unit_rows(stored, first, offsets, out)
    rows = np.concatenate([features[40:50], features[0:3], features[3:40]])
    np.testing.assert_allclose(out, normalised(rows), atol=1e-6)
    assert not out[15].any()


def test_unit_rows_of_packed_frames_are_those_of_what_they_hold(tmp_path: Path) -> None:
    stored = packed(np.vstack([random_rows(5, 20), np.zeros((1, 8))]).repeat(4, axis=1))
    assert stored.dtype == np.uint8
    np.save(tmp_path / "frames.npy", stored)
    out = np.empty((21, 32), dtype=np.float32)
    first, offsets = np.array([11, 0]), np.array([0, 10, 21])
    dtw.unit_rows(np.load(tmp_path / "frames.npy", mmap_mode="r"), first, offsets, out)
    np.testing.assert_allclose(out, np.roll(normalised(unpacked(stored)), 10, axis=0), atol=1e-6)
    assert not out[9].any()


@pytest.mark.parametrize(("query_frames", "width"), [(1, 8), (2, 16), (13, 24), (40, 64)])
def test_both_kinds_of_kernels_agree(query_frames: int, width: int) -> None:
    rng = np.random.default_rng(23)
    lengths = np.concatenate([[1, 1, 900], rng.integers(1, 120, 60), [2, 500]])
    offsets = np.append(0, np.cumsum(lengths))
    stored = packed(random_rows(24, int(offsets[-1]), width))
    # Equal frames side by side, so that steps tie.
    stored[1:900:3] = stored[:899:3]
    first = np.append(rng.integers(0, 5, len(lengths) - 1), 0)
    rows, same = np.empty((2, int(offsets[-1]), width), np.float32)
    dtw_arrays.unit_rows(stored, first, offsets, rows)
    dtw_compiled.unit_rows(stored, first, offsets, same)
    np.testing.assert_allclose(rows, same, rtol=2e-7)
    similarity = np.ascontiguousarray(rows @ random_rows(25, query_frames + 3, width).T)
    found = []
    for kernels in (dtw_arrays, dtw_compiled):
        cost, start = np.empty(len(rows), np.float32), np.empty(len(rows), np.int32)
        kernels.slope_curves(similarity, query_frames, offsets, cost, start)
        ends, groups = kernels.minima(cost, offsets)
        chosen = kernels.disjoint(cost[ends], start[ends].astype(np.int64), ends + 1, groups, 0.3)
        found.append((cost, start[np.isfinite(cost)], ends, groups, chosen))
    for arrays, compiled in zip(*found, strict=True):
        np.testing.assert_array_equal(arrays, compiled)


def test_nothing_to_align_is_no_error() -> None:
    cost, start = dtw.alignment_curves(random_rows(26, 5), lambda a, b: random_rows(27, 0), np.zeros(1, int))
    assert len(cost) == len(start) == len(dtw.alignments(cost, start, np.zeros(1, int))) == 0


def test_what_numba_compiled_is_loaded_once_there_is_much_to_align(monkeypatch: pytest.MonkeyPatch) -> None:
    selection = dtw._KernelSelection()
    monkeypatch.setattr(dtw, "_selection", selection)
    query, window, offsets = random_rows(28, 10), random_rows(29, 100), np.array([0, 100])
    before = dtw.alignment_curves(query, lambda a, b: window, offsets)
    assert selection.kernels is dtw_arrays
    selection.count_cells(dtw.CELLS_BEFORE_COMPILED)
    selection.wait()
    assert selection.kernels is dtw_compiled
    for one, other in zip(dtw.alignment_curves(query, lambda a, b: window, offsets), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_after_warming_up_a_search_compiles_nothing(tmp_path: Path) -> None:
    dtw.warm_up()
    kernels = [
        dtw_compiled.slope_curves, dtw_compiled.free_curves, dtw_compiled._find_minima, dtw_compiled._select,
        dtw_compiled._unit_rows, dtw_compiled._unit_rows_of_packed,
    ]  # fmt: skip
    before = [len(kernel.signatures) for kernel in kernels]
    np.save(tmp_path / "frames.npy", quantised(random_rows(21, 60)))
    offsets = np.array([0, 60])
    out = np.empty((60, 8), dtype=np.float32)
    dtw.unit_rows(np.load(tmp_path / "frames.npy", mmap_mode="r"), offsets[:1], offsets, out)
    for steps in Steps:
        cost, start = dtw.alignment_curves(random_rows(22, 9), lambda a, b: out, offsets, steps)
        dtw.alignments(cost, start, offsets)
    assert [len(kernel.signatures) for kernel in kernels] == before
