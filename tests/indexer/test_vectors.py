from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer.vectors.choice import IndexPolicy, extend
from wordspot.indexer.vectors.exact import ExactIndex
from wordspot.indexer.vectors.faiss_index import FaissIndex, list_count
from wordspot.indexer.vectors.protocol import VectorIndex, normalised

DIMENSION = 24
ROWS = 6_000
KINDS = ("exact", "ivf-sq8", "ivf-pq")
# Product codes of six parts tell neighbours apart less well; how well is the codes' affair, not the lists'.
RECALL = {"exact": 1.0, "ivf-sq8": 0.95, "ivf-pq": 0.5}

rng = np.random.default_rng(5)
centres = rng.normal(size=(60, DIMENSION))


def clustered(rows: int) -> NDArray[np.float32]:
    return normalised(
        centres[rng.integers(len(centres), size=rows)] + 0.6 * rng.normal(size=(rows, DIMENSION))
    )


@pytest.fixture(scope="module")
def stored() -> list[NDArray[np.float16]]:
    """Three segments."""
    vectors = clustered(ROWS).astype(np.float16)
    return [vectors[:2_500], vectors[2_500:2_501], vectors[2_501:]]


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return clustered(40)


@pytest.fixture(scope="module")
def indexes(stored: list[NDArray[np.float16]]) -> dict[str, VectorIndex]:
    return {kind: IndexPolicy(kind).build(DIMENSION, stored) for kind in KINDS}


def best_by_sorting(
    stored: Sequence[NDArray[np.float16]], query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    similarity = normalised(np.concatenate(stored)) @ query
    similarity[~allowed] = -np.inf
    return np.argsort(-similarity, kind="stable")[: min(k, int(allowed.sum()))]


def recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    shared = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(found, truth, strict=True))
    return shared / int((truth >= 0).sum())


def test_exact_search_agrees_with_sorting_all_rows(
    stored: list[NDArray[np.float16]], queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    allowed = np.arange(ROWS) % 3 > 0
    for k in (1, 7, 500):
        ids, similarity = indexes["exact"].search(queries, k, allowed)
        for query, row, values in zip(queries, ids, similarity, strict=True):
            np.testing.assert_array_equal(row, best_by_sorting(stored, query, k, allowed))
            np.testing.assert_allclose(values, normalised(np.concatenate(stored))[row] @ query, rtol=1e-5)


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
    kind: str, share: float, queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    allowed = None if share == 1.0 else rng.random(ROWS) < share
    truth, _ = indexes["exact"].search(queries, 100, allowed)
    found, similarity = indexes[kind].search(queries, 100, allowed)
    assert recall(found, truth) >= RECALL[kind]
    assert (similarity[:, 1:] <= similarity[:, :-1]).all()
    if allowed is not None:
        assert allowed[found[found >= 0]].all()


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_allowed_rows_than_asked_for_are_all_found_and_the_rest_is_missing(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    allowed = np.zeros(ROWS, dtype=np.bool_)
    allowed[[3, 2_499, 2_500, 5_999]] = True
    ids, similarity = indexes[kind].search(queries, 10, allowed)
    for row in ids:
        assert sorted(row[:4]) == [3, 2_499, 2_500, 5_999]
    assert (ids[:, 4:] == -1).all()
    assert np.isneginf(similarity[:, 4:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_all_rows_can_be_asked_for(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    ids, similarity = indexes[kind].search(queries[:2], ROWS + 5)
    assert (np.sort(ids, axis=1)[:, 5:] == np.arange(ROWS)).all()
    assert np.isneginf(similarity[:, ROWS:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_allowed_yields_nothing(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    ids, similarity = indexes[kind].search(queries, 3, np.zeros(ROWS, dtype=np.bool_))
    assert (ids == -1).all()
    assert np.isneginf(similarity).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_shorter_than_the_index_forbids_the_rows_beyond(
    kind: str, queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    ids, _ = indexes[kind].search(queries, 50, np.ones(1_000, dtype=np.bool_))
    assert ids.min() >= 0
    assert ids.max() < 1_000


def test_an_empty_index_yields_nothing(queries: NDArray[np.float32]) -> None:
    trained = FaissIndex.trained("ivf-sq8", clustered(500), 500)
    for index in (ExactIndex(DIMENSION), trained, IndexPolicy("ivf-pq").build(DIMENSION, [])):
        assert index.size == 0
        ids, similarity = index.search(queries, 4)
        assert (ids == -1).all()
        assert np.isneginf(similarity).all()


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_do_not_count_on_are_refused(kind: str, indexes: dict[str, VectorIndex]) -> None:
    with pytest.raises(ValueError, match=f"count on from {ROWS}"):
        indexes[kind].add(np.array([ROWS + 1]), clustered(1))
    with pytest.raises(ValueError, match="shape"):
        indexes[kind].add(np.array([ROWS]), clustered(1)[:, :-1])


def test_adding_to_a_trained_index_equals_building_it_with_all_rows_but_for_the_training(
    stored: list[NDArray[np.float16]], queries: NDArray[np.float32], indexes: dict[str, VectorIndex]
) -> None:
    grown = IndexPolicy("ivf-sq8").build(DIMENSION, stored[:1])
    extend(grown, stored[1:])
    assert grown.size == ROWS
    truth, _ = indexes["exact"].search(queries, 100)
    assert recall(grown.search(queries, 100)[0], truth) >= 0.95


def test_searching_while_rows_are_added_sees_whole_rows_only(
    stored: list[NDArray[np.float16]], queries: NDArray[np.float32]
) -> None:
    index = IndexPolicy("ivf-sq8").build(DIMENSION, stored[:1])
    adding = threading.Thread(target=extend, args=(index, [stored[2]] * 4))
    truth, _ = index.search(queries, 10)
    adding.start()
    seen = []
    while adding.is_alive():
        seen.append(index.search(queries, 10, np.ones(2_500, dtype=np.bool_))[0])
    adding.join()
    assert index.size == 2_500 + 4 * len(stored[2])
    assert min((recall(found, truth) for found in seen), default=1.0) >= 0.95


def test_a_saved_index_answers_as_before(
    queries: NDArray[np.float32], indexes: dict[str, VectorIndex], tmp_path: Path
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
        )
        assert after.size == ROWS
        for one, other in zip(before.search(queries, 30), after.search(queries, 30), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_kind_follows_the_number_of_rows_unless_one_is_named() -> None:
    policy = IndexPolicy("auto", exact_below=1_000, product_codes_from=9_000)
    assert [policy.choose(rows) for rows in (0, 999, 1_000, 8_999, 9_000)] == [
        "exact", "exact", "ivf-sq8", "ivf-sq8", "ivf-pq",
    ]  # fmt: skip
    assert IndexPolicy().choose(49_999) == "exact"
    assert IndexPolicy().choose(50_000) == "ivf-sq8"
    assert IndexPolicy().choose(5_000_000) == "ivf-pq"
    assert IndexPolicy("ivf-pq").choose(1_000) == "ivf-pq"
    assert IndexPolicy("ivf-pq").choose(255) == "exact"
    assert IndexPolicy("exact").choose(10_000_000) == "exact"


def test_an_index_is_trained_anew_once_the_archive_has_outgrown_it(
    stored: list[NDArray[np.float16]],
) -> None:
    policy = IndexPolicy("auto", exact_below=1_000)
    small = policy.build(DIMENSION, [stored[0][:500]])
    assert policy.fits(small, 999)
    assert not policy.fits(small, 1_000)
    trained = policy.build(DIMENSION, [stored[0]])
    assert policy.fits(trained, 20_000)
    assert not policy.fits(trained, 20_001)


def test_calibration_probes_few_lists_where_few_are_enough(
    indexes: dict[str, VectorIndex], queries: NDArray[np.float32]
) -> None:
    index = indexes["ivf-sq8"]
    assert isinstance(index, FaissIndex)
    assert 1 < index.probes < list_count(ROWS) // 4
    uncalibrated = FaissIndex.trained("ivf-sq8", clustered(2_000), 2_000)
    assert uncalibrated.probes == list_count(2_000)


def test_the_number_of_lists_grows_with_the_rows_but_slower() -> None:
    assert [list_count(rows) for rows in (0, 1, 10_000, 65_536, 1_000_000, 40_000_000)] == [
        1, 4, 400, 1_024, 1_024, 6_325,
    ]  # fmt: skip


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'hnsw'; allowed are auto, exact"):
        IndexPolicy("hnsw")
    with pytest.raises(ValueError, match="255 training rows; at least 256"):
        FaissIndex.trained("ivf-sq8", clustered(255), 255)
