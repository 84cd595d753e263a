from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer.sound.spans import SpanPlan
from wordspot.indexer.vectors.buckets import NOMINAL_TICKS, BucketedIndex, Snapshot, bucket_of, search_order
from wordspot.indexer.vectors.exact import ExactIndex
from wordspot.indexer.vectors.faiss_index import FaissIndex, faiss, list_count, set_thread_count
from wordspot.indexer.vectors.policy import Index, IndexPolicy, extend
from wordspot.indexer.vectors.protocol import IdSet, normalised, packed, quantised, unpacked
from wordspot.indexer.vectors.stored import SegmentSpans, StoredRows, gather_rows

DIMENSION = 24
ROWS = 6_000
KINDS = ("exact", "ivf-sq8", "ivf-pq")
# What codes of a few bytes lose, the stored rows make good: see the tests of Snapshot.
RECALL = {"exact": 1.0, "ivf-sq8": 0.95, "ivf-pq": 0.85}
TICKS = 47
LIKE = (38, 56)

rng = np.random.default_rng(5)
centres = rng.normal(size=(60, DIMENSION))


def clustered(rows: int) -> NDArray[np.float32]:
    return normalised(
        centres[rng.integers(len(centres), size=rows)] + 0.6 * rng.normal(size=(rows, DIMENSION))
    )


def with_lengths(vectors: NDArray[np.int8], lengths: Sequence[int] = (0,)) -> SegmentSpans:
    return SegmentSpans(vectors, np.resize(np.array(lengths, dtype=np.uint16), len(vectors)))


def rows_of(*vectors: NDArray[np.int8], first: int = 0) -> StoredRows:
    return StoredRows([with_lengths(part) for part in vectors], first=first)


@pytest.fixture(scope="module")
def stored() -> list[NDArray[np.int8]]:
    """Three segments."""
    vectors = quantised(clustered(ROWS))
    return [vectors[:2_500], vectors[2_500:2_501], vectors[2_501:]]


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return clustered(40)


@pytest.fixture(scope="module")
def indexes(stored: list[NDArray[np.int8]]) -> dict[str, Index]:
    return {kind: IndexPolicy(kind).build(DIMENSION, rows_of(*stored)) for kind in KINDS}


@pytest.fixture(scope="module")
def segments(stored: list[NDArray[np.int8]]) -> list[SegmentSpans]:
    """The same, with lengths of every class, some cut short."""
    lengths = [*NOMINAL_TICKS, *NOMINAL_TICKS[:3], 19, 105]
    return [with_lengths(part, lengths) for part in stored]


def best_by_sorting(
    stored: Sequence[NDArray[np.int8]], query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    similarity = normalised(np.concatenate(stored)) @ query
    similarity[~allowed] = -np.inf
    return np.argsort(-similarity, kind="stable")[: min(k, int(allowed.sum()))]


def recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    shared = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(found, truth, strict=True))
    return shared / int((truth >= 0).sum())


def test_exact_search_agrees_with_sorting_all_rows(
    stored: list[NDArray[np.int8]], queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    allowed = np.arange(ROWS) % 3 > 0
    for k in (1, 7, 500):
        ids, similarity = indexes["exact"].search(queries, k, IdSet.of(allowed))
        for query, row, values in zip(queries, ids, similarity, strict=True):
            expected = normalised(np.concatenate(stored)) @ query
            best = best_by_sorting(stored, query, k, allowed)
            # Rows that differ by less than a product's rounding may change places.
            np.testing.assert_allclose(expected[row], expected[best], atol=1e-6)
            np.testing.assert_allclose(values, expected[row], rtol=1e-5, atol=1e-6)
            assert len(set(row)) == k
            assert allowed[row].all()


def test_exact_search_over_many_blocks_agrees_with_one(queries: NDArray[np.float32]) -> None:
    vectors = clustered(70_000)
    whole, parts = ExactIndex(DIMENSION), ExactIndex(DIMENSION)
    whole.add(np.arange(70_000), vectors)
    for first in range(0, 70_000, 9_000):
        part = vectors[first : first + 9_000]
        parts.add(np.arange(first, first + len(part)), part)
    many = np.repeat(queries, 8, axis=0)  # more than are searched at once
    np.testing.assert_array_equal(whole.search(many, 20)[0], parts.search(many, 20)[0])


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_what_exact_search_finds(
    kind: str, share: float, queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    allowed = None if share == 1.0 else IdSet.of(rng.random(ROWS) < share)
    truth, _ = indexes["exact"].search(queries, 100, allowed)
    found, similarity = indexes[kind].search(queries, 100, allowed)
    assert recall(found, truth) >= RECALL[kind]
    assert (similarity[:, 1:] <= similarity[:, :-1]).all()
    if allowed is not None:
        assert allowed.mask(found[found >= 0]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_allowed_rows_than_asked_for_are_all_found_and_the_rest_is_missing(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    allowed = np.zeros(ROWS, dtype=np.bool_)
    allowed[[3, 2_499, 2_500, 5_999]] = True
    ids, similarity = indexes[kind].search(queries, 10, IdSet.of(allowed))
    for row in ids:
        assert sorted(row[:4]) == [3, 2_499, 2_500, 5_999]
    assert (ids[:, 4:] == -1).all()
    assert np.isneginf(similarity[:, 4:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_all_rows_can_be_asked_for(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    ids, similarity = indexes[kind].search(queries[:2], ROWS + 5)
    assert (np.sort(ids, axis=1)[:, 5:] == np.arange(ROWS)).all()
    assert np.isneginf(similarity[:, ROWS:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_allowed_yields_nothing(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    ids, similarity = indexes[kind].search(queries, 3, IdSet.none(ROWS))
    assert (ids == -1).all()
    assert np.isneginf(similarity).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_smaller_than_the_index_forbids_the_rows_beyond(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    ids, _ = indexes[kind].search(queries, 50, IdSet.every(1_001))
    assert ids.min() >= 0
    assert ids.max() < 1_001


def test_an_empty_index_yields_nothing(queries: NDArray[np.float32]) -> None:
    trained = FaissIndex.trained("ivf-sq8", clustered(500), 500)
    for index in (ExactIndex(DIMENSION), trained, IndexPolicy("ivf-pq").build(DIMENSION, rows_of())):
        assert index.size == 0
        ids, similarity = index.search(queries, 4)
        assert (ids == -1).all()
        assert np.isneginf(similarity).all()


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_do_not_rise_are_refused(kind: str, indexes: dict[str, Index]) -> None:
    with pytest.raises(ValueError, match=f"ascend from {ROWS}"):
        indexes[kind].add(np.array([ROWS - 1]), clustered(1))
    with pytest.raises(ValueError, match=f"ascend from {ROWS}"):
        indexes[kind].add(np.array([ROWS + 5, ROWS + 4]), clustered(2))
    with pytest.raises(ValueError, match="shape"):
        indexes[kind].add(np.array([ROWS]), clustered(1)[:, :-1])


def test_adding_to_a_trained_index_equals_building_it_with_all_rows_but_for_the_training(
    stored: list[NDArray[np.int8]], queries: NDArray[np.float32], indexes: dict[str, Index]
) -> None:
    grown = IndexPolicy("ivf-sq8").build(DIMENSION, rows_of(stored[0]))
    extend(grown, rows_of(*stored[1:], first=len(stored[0])))
    assert grown.size == ROWS
    truth, _ = indexes["exact"].search(queries, 100)
    assert recall(grown.search(queries, 100)[0], truth) >= 0.95


def test_searching_while_rows_are_added_sees_whole_rows_only(
    stored: list[NDArray[np.int8]], queries: NDArray[np.float32]
) -> None:
    index = IndexPolicy("ivf-sq8").build(DIMENSION, rows_of(stored[0]))
    adding = threading.Thread(target=extend, args=(index, rows_of(*[stored[2]] * 4, first=2_500)))
    truth, _ = index.search(queries, 10)
    adding.start()
    seen = []
    while adding.is_alive():
        seen.append(index.search(queries, 10, IdSet.every(2_500))[0])
    adding.join()
    assert index.size == 2_500 + 4 * len(stored[2])
    assert min((recall(found, truth) for found in seen), default=1.0) >= 0.95


def test_a_saved_index_answers_as_before(
    queries: NDArray[np.float32], indexes: dict[str, Index], tmp_path: Path
) -> None:
    for kind in ("ivf-sq8", "ivf-pq"):
        before = indexes[kind]
        assert isinstance(before, FaissIndex)
        before.save(tmp_path / kind)
        after = FaissIndex.load(
            tmp_path / kind,
            before.kind,
            dimension=DIMENSION,
            probes=before.probes,
            trained_for=before.trained_for,
            last=before.last,
        )
        assert after.size == ROWS
        for one, other in zip(before.search(queries, 30), after.search(queries, 30), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_saved_exact_index_answers_as_before(
    queries: NDArray[np.float32], indexes: dict[str, Index], tmp_path: Path
) -> None:
    for before in (indexes["exact"], ExactIndex(DIMENSION)):
        assert isinstance(before, ExactIndex)
        before.save(tmp_path / "exact")
        after = ExactIndex.load(tmp_path / "exact", DIMENSION)
        assert after.size == before.size
        for one, other in zip(before.search(queries, 30), after.search(queries, 30), strict=True):
            np.testing.assert_array_equal(one, other)


def test_product_codes_take_at_most_32_bytes_a_vector(tmp_path: Path) -> None:
    for dimension, part in ((64, 16), (256, 32), (390, 25), (24, 8)):
        rows = normalised(rng.normal(size=(300, dimension)))
        index = FaissIndex.trained("ivf-pq", rows, 300)
        assert index._index.pq.code_size == part


def test_the_kind_follows_the_number_of_rows_unless_one_is_named() -> None:
    policy = IndexPolicy("auto", exact_below=1_000)
    assert [policy.choose(rows) for rows in (0, 999, 1_000)] == ["exact", "exact", "ivf-pq"]
    assert IndexPolicy().choose(49_999) == "exact"
    assert IndexPolicy().choose(50_000) == "ivf-pq"
    assert IndexPolicy("ivf-sq8").choose(1_000) == "ivf-sq8"
    assert IndexPolicy("ivf-pq").choose(255) == "exact"
    assert IndexPolicy("exact").choose(10_000_000) == "exact"


def test_an_index_is_trained_anew_once_the_archive_has_outgrown_it(
    stored: list[NDArray[np.int8]],
) -> None:
    policy = IndexPolicy("auto", exact_below=1_000)
    small = policy.build(DIMENSION, rows_of(stored[0][:500]))
    assert policy.fits(small, 999)
    assert not policy.fits(small, 1_000)
    trained = policy.build(DIMENSION, rows_of(stored[0]))
    assert policy.fits(trained, 20_000)
    assert not policy.fits(trained, 20_001)


def test_training_on_few_rows_and_searching_leave_the_callers_threads_as_they_were() -> None:
    before = faiss.omp_get_max_threads()
    try:
        set_thread_count(3)
        index = IndexPolicy("ivf-pq").build(DIMENSION, rows_of(quantised(clustered(500))))
        index.search(clustered(2), 5)
        assert faiss.omp_get_max_threads() == 3
    finally:
        set_thread_count(before)


def test_calibration_probes_few_lists_where_few_are_enough(
    indexes: dict[str, Index], queries: NDArray[np.float32]
) -> None:
    index = indexes["ivf-sq8"]
    assert isinstance(index, FaissIndex)
    assert 1 < index.probes < list_count(ROWS) // 4
    uncalibrated = FaissIndex.trained("ivf-sq8", clustered(2_000), 2_000)
    assert uncalibrated.probes == list_count(2_000)


def test_the_number_of_lists_grows_with_the_rows_but_slower() -> None:
    assert [list_count(rows) for rows in (0, 1, 10_000, 65_536, 1_000_000, 40_000_000)] == [
        1, 4, 400, 1_024, 1_024, 3_162,
    ]  # fmt: skip


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of auto, exact, .* got 'hnsw'"):
        IndexPolicy("hnsw")
    with pytest.raises(ValueError, match="at least 256, got 255"):
        FaissIndex.trained("ivf-sq8", clustered(255), 255)


# Sets of ids, stored rows


def test_a_set_of_ids_equals_a_mask() -> None:
    for size in (0, 1, 7, 8, 9, 64, 1_000):
        mask = np.zeros(size + 8, dtype=np.bool_)
        ranges = np.sort(rng.integers(0, size + 1, size=(5, 2)), axis=1).tolist()
        for first, stop in ranges:
            mask[first:stop] = True
        some = IdSet.none(size).with_ranges(ranges)
        assert some.count == mask.sum()
        np.testing.assert_array_equal(some.mask(np.arange(size + 8)), mask)
        np.testing.assert_array_equal(some.bits, IdSet.of(mask[:size]).bits)
        others = IdSet.every(size).without_ranges(ranges)
        assert others.count == size - mask.sum()
        assert not (others.mask(np.arange(size)) & mask[:size]).any()


def test_stored_rows_are_those_of_the_chosen_lengths_with_ids_through_all_segments(
    stored: list[NDArray[np.int8]], segments: list[SegmentSpans], tmp_path: Path
) -> None:
    np.save(tmp_path / "vectors.npy", segments[0].vectors)
    mapped = SegmentSpans(np.load(tmp_path / "vectors.npy", mmap_mode="r"), segments[0].lengths)
    rows = StoredRows([mapped, *segments[1:]], lambda lengths: lengths == 38, first=100)
    expected = np.flatnonzero(np.concatenate([segment.lengths for segment in segments]) == 38)
    assert rows.count == len(expected)
    ids = np.concatenate([ids for ids, _ in rows.blocks()])
    np.testing.assert_array_equal(ids, expected + 100)
    everything = normalised(np.concatenate(stored))
    np.testing.assert_array_equal(np.concatenate([part for _, part in rows.blocks()]), everything[expected])
    chosen = np.array([0, 5, 400, rows.count - 1])
    np.testing.assert_array_equal(rows.sample(chosen), everything[expected[chosen]])
    some = np.array([5_999, 0, 2_500, 2_499, 0])
    np.testing.assert_array_equal(gather_rows(stored, some), np.concatenate(stored)[some])


def test_quantised_rows_keep_their_direction() -> None:
    rows = (rng.normal(size=(200, 64)) * np.logspace(-20, 20, 200)[:, np.newaxis]).astype(np.float32)
    rows[7] = 0
    stored = quantised(rows)
    assert stored.dtype == np.int8
    assert not stored[7].any()
    assert (np.abs(np.delete(stored, 7, axis=0)).max(axis=1) == 127).all()
    unit = normalised(rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30))
    assert (np.delete(np.einsum("nd,nd->n", normalised(stored), unit), 7) > 0.9999).all()
    assert quantised(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_rows_of_a_multiple_of_sixteen_numbers_are_packed_and_keep_their_direction() -> None:
    rows = (rng.normal(size=(200, 64)) * np.logspace(-20, 20, 200)[:, np.newaxis]).astype(np.float32)
    rows[7] = 0
    stored = packed(rows)
    assert (stored.dtype, stored.shape) == (np.uint8, (200, 32))
    restored = unpacked(stored)
    assert not restored[7].any()
    others = np.delete(np.arange(200), 7)
    largest = np.abs(rows[others]).max(axis=1, keepdims=True)
    np.testing.assert_array_equal(restored[others], np.rint(7 * (rows[others] / largest)))
    unit = normalised(rows[others] / largest)
    assert (np.einsum("nd,nd->n", normalised(restored[others]), unit) > 0.98).all()
    assert packed(np.zeros((0, 64), np.float32)).shape == (0, 32)


@pytest.mark.parametrize("width", [1, 8, 39, 40])
def test_rows_of_other_widths_are_kept_at_a_byte_a_number(width: int) -> None:
    rows = rng.normal(size=(20, width)).astype(np.float32)
    np.testing.assert_array_equal(packed(rows), quantised(rows))
    np.testing.assert_array_equal(unpacked(packed(rows)), quantised(rows))


def test_packed_rows_are_gathered_as_those_of_a_byte_are() -> None:
    rows = rng.normal(size=(30, 32)).astype(np.float32)
    some = np.array([29, 3, 17, 3, 0])
    found = gather_rows([packed(rows[:10]), quantised(rows[10:20]), packed(rows[20:])], some)
    expected = np.concatenate(
        [unpacked(packed(rows[:10])), quantised(rows[10:20]), unpacked(packed(rows[20:]))]
    )
    np.testing.assert_array_equal(found, expected[some])


# Spans by duration


@pytest.fixture(scope="module")
def bucketed(segments: list[SegmentSpans]) -> dict[str, BucketedIndex]:
    return {kind: BucketedIndex.build(IndexPolicy(kind), DIMENSION, segments) for kind in KINDS}


def like(segments: list[SegmentSpans]) -> NDArray[np.bool_]:
    """Which spans a query of TICKS is compared with."""
    lengths = np.concatenate([segment.lengths for segment in segments])
    return np.isin(bucket_of(lengths), [NOMINAL_TICKS.index(length) for length in LIKE])


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("kind", KINDS)
def test_spans_of_like_length_are_found_as_by_sorting_all(
    kind: str,
    share: float,
    queries: NDArray[np.float32],
    segments: list[SegmentSpans],
    bucketed: dict[str, BucketedIndex],
) -> None:
    vectors = [segment.vectors for segment in segments]
    mask = rng.random(ROWS) < share
    allowed = None if share == 1.0 else IdSet.of(mask)
    ids, similarity = Snapshot(bucketed[kind], vectors).search(queries, 100, TICKS, allowed)
    truth = np.full((len(queries), 100), -1)
    for query, row in zip(queries, truth, strict=True):
        best = best_by_sorting(vectors, query, 100, mask & like(segments))
        row[: len(best)] = best
    assert recall(ids, truth) >= (0.999 if kind == "exact" else 0.95)  # equals may change places
    there = ids >= 0
    assert (there == (truth >= 0)).all()
    assert (mask & like(segments))[ids[there]].all()
    expected = np.einsum("qkd,qd->qk", normalised(gather_rows(vectors, ids.ravel()))
        .reshape(*ids.shape, DIMENSION), queries)  # fmt: skip
    np.testing.assert_allclose(similarity[there], expected[there], atol=1e-5)
    assert np.isneginf(similarity[~there]).all()


def test_each_length_of_the_plan_has_a_class_of_about_its_length() -> None:
    for length in SpanPlan().lengths:
        nominal = NOMINAL_TICKS[int(bucket_of(np.array([length], dtype=np.uint16))[0])]
        assert 3 / 4 <= nominal / length <= 4 / 3
    assert bucket_of(np.array([1, 3_000], dtype=np.uint16)).tolist() == [0, len(NOMINAL_TICKS) - 1]


def test_a_query_is_compared_with_two_thirds_to_four_thirds_of_its_length_first() -> None:
    for ticks in range(10, 151):
        first = next(iter(search_order(ticks)))
        fitting = {n for n, length in enumerate(NOMINAL_TICKS) if 2 * ticks / 3 <= length <= 4 * ticks / 3}
        assert set(first) == (fitting or {0})
        assert sorted(n for group in search_order(ticks) for n in group) == list(range(len(NOMINAL_TICKS)))


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_span_is_alike_in_length_the_nearest_length_is_searched(kind: str) -> None:
    vectors = quantised(clustered(900))
    segments = [with_lengths(vectors, [26, 38, 150])]
    index = Snapshot(BucketedIndex.build(IndexPolicy(kind), DIMENSION, segments), [vectors])
    found = index.search(clustered(3), 400, 60)[0]
    assert (np.sort(found, axis=1)[:, 100:] == np.arange(1, 900, 3)).all()
    only_long = IdSet.of(np.arange(900) % 3 == 2)
    found = index.search(clustered(3), 400, 20, only_long)[0]
    assert (np.sort(found, axis=1)[:, 100:] == np.arange(2, 900, 3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_shows_nothing_of_what_was_added_since(
    kind: str, queries: NDArray[np.float32], segments: list[SegmentSpans]
) -> None:
    vectors = [segment.vectors for segment in segments]
    index = BucketedIndex.build(IndexPolicy(kind), DIMENSION, segments[:1])
    before = Snapshot(index, vectors[:1])
    was = before.search(queries, 50, TICKS)
    grown = index.extended(IndexPolicy(kind), segments, indexed=1)
    assert (grown.size, before.size) == (ROWS, 2_500)
    after, _ = Snapshot(grown, vectors).search(queries, 50, TICKS)
    assert after.max() >= 2_500
    now = before.search(queries, 50, TICKS)
    assert now[0].max() < 2_500
    assert recall(now[0], was[0]) >= 0.95


def test_only_the_classes_that_have_outgrown_their_index_are_built_anew() -> None:
    policy = IndexPolicy("auto", exact_below=1_000)
    few, more = (with_lengths(quantised(clustered(rows)), [26, 38]) for rows in (2_400, 100))
    index = BucketedIndex.build(policy, DIMENSION, [few])
    grown = index.extended(policy, [few, more], indexed=1)
    assert [part.kind for part in grown.indexes] == ["ivf-pq"] * 2 + ["exact"] * 3
    assert all(one is other for one, other in zip(index.indexes, grown.indexes, strict=True))
    short = with_lengths(quantised(clustered(20_000)), [26])
    again = grown.extended(policy, [few, more, short], indexed=2)
    assert [one is other for one, other in zip(grown.indexes, again.indexes, strict=True)] == (
        [False] + [True] * 4
    )
    assert again.size == 22_500
