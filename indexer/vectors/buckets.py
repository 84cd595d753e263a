"""Buckets: one index for each of a few classes of span length, and the snapshot of them that a view searches.

A query is compared with spans about as long as itself. With one index a class, a search reads no other class,
and classes are searched in parallel. The best candidates are rescored by their stored rows, so that codes of
a few bytes a row suffice to find them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.exact import ExactIndex, merge_neighbours
from wordspot.indexer.vectors.faiss_index import rescoring_depth, set_thread_count
from wordspot.indexer.vectors.policy import Index, IndexPolicy, extend
from wordspot.indexer.vectors.protocol import IdSet, normalised
from wordspot.indexer.vectors.stored import Lengths, Packed, SegmentSpans, StoredRows, gather_rows

# The lengths of the default plan of spans. Spans of another length go to the nearest.
NOMINAL_TICKS = (26, 38, 56, 82, 120)
_EDGES = np.sqrt(np.multiply(NOMINAL_TICKS[:-1], NOMINAL_TICKS[1:]))
MAX_RESCORED_ROWS = 20_000  # unless a search requests more

Neighbours = tuple[NDArray[np.int64], NDArray[np.float32]]


def bucket_of(lengths: Lengths) -> NDArray[np.uint8]:
    """Returns the class of each length in ticks (n,), an index into NOMINAL_TICKS, as uint8 (n,)."""
    return np.searchsorted(_EDGES, lengths, side="right").astype(np.uint8)


def search_order(ticks: int) -> Iterator[tuple[int, ...]]:
    """Yields the classes to search together for a query of that many ticks, until one search finds spans.

    First those of 2/3 to 4/3 of its length, if any; then each other class, the nearest first.
    """
    similar = tuple(n for n, length in enumerate(NOMINAL_TICKS) if 2 * ticks <= 3 * length <= 4 * ticks)
    if similar:
        yield similar
    others = sorted(
        set(range(len(NOMINAL_TICKS))) - set(similar), key=lambda n: abs(np.log(NOMINAL_TICKS[n] / ticks))
    )
    for number in others:
        yield (number,)


class BucketedIndex:
    """All spans of some segments; ids are span numbers, which count through the segments.

    Extending it while other threads search is safe.

    Attributes:
        indexes: one a class.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = tuple(indexes)

    @classmethod
    def build(cls, policy: IndexPolicy, dimension: int, segments: Sequence[SegmentSpans]) -> BucketedIndex:
        """Returns a new index over all spans of the segments, whose vectors have the dimension."""
        return cls(_for_each_bucket(lambda bucket: policy.build(dimension, _rows(segments, bucket, first=0))))

    def extended(self, policy: IndexPolicy, segments: Sequence[SegmentSpans], indexed: int) -> BucketedIndex:
        """Returns an index over all spans of the segments, of which the first `indexed` are in this one.

        A class whose index still fits is extended in place, the others are rebuilt.
        """
        first = self.size

        def extend_bucket(bucket: int) -> Index:
            index, rows = self.indexes[bucket], _rows(segments[indexed:], bucket, first)
            if not policy.fits(index, index.size + rows.count):
                return policy.build(index.dimension, _rows(segments, bucket, first=0))
            extend(index, rows)
            return index

        return BucketedIndex(_for_each_bucket(extend_bucket))

    @property
    def size(self) -> int:
        """Spans in all classes."""
        return sum(index.size for index in self.indexes)

    @property
    def exact(self) -> bool:
        """Whether every class is searched exhaustively."""
        return all(isinstance(index, ExactIndex) for index in self.indexes)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        ticks: int,
        allowed: IdSet | None = None,
        *,
        ordered: bool = True,
    ) -> Neighbours:
        """As SpanIndex.search, by the indexes' approximate similarity; best first only if ordered."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        if allowed is not None and not allowed.count:
            return ids, similarity
        for buckets in search_order(ticks):
            indexes = [self.indexes[bucket] for bucket in buckets if self.indexes[bucket].size]
            if indexes:
                ids, similarity = merge_neighbours(
                    _search_in_parallel(indexes, queries, k, allowed), k, ordered=ordered
                )
            if (ids >= 0).any():
                break
        return ids, similarity


def _rows(segments: Sequence[SegmentSpans], bucket: int, first: int) -> StoredRows:
    return StoredRows(segments, lambda lengths: bucket_of(lengths) == bucket, first)


def _for_each_bucket(make: Callable[[int], Index]) -> list[Index]:
    """Returns an index a class, several made in parallel. Threads of FAISS would synchronise at every block
    of rows, which on a busy machine takes longer than the work.
    """
    workers = min(_cores(), len(NOMINAL_TICKS))

    def make_in_thread(bucket: int) -> Index:
        set_thread_count(max(_cores() // workers, 1))
        return make(bucket)

    # Not the pool of searches, which would be blocked.
    with ThreadPoolExecutor(workers, thread_name_prefix="indexing") as pool:
        return list(pool.map(make_in_thread, range(len(NOMINAL_TICKS))))


def _search_in_parallel(
    indexes: Sequence[Index], queries: NDArray[np.float32], k: int, allowed: IdSet | None
) -> list[Neighbours]:
    """Returns the neighbours in each index, which are searched in parallel."""
    return list(_pool().map(lambda index: index.search(queries, k, allowed), indexes))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores(), thread_name_prefix="nearest")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Snapshot:
    """The SpanIndex of a view: the spans at the time it was made, although the index may have grown since."""

    def __init__(self, index: BucketedIndex, vectors: Sequence[Packed]) -> None:
        """Takes the stored vectors of all spans in the index, one (n_i, D) a segment."""
        self.size = sum(map(len, vectors))
        self._index = index
        self._vectors = vectors

    def search(
        self, queries: NDArray[np.float32], k: int, ticks: int, allowed: IdSet | None = None
    ) -> Neighbours:
        """As SpanIndex.search."""
        if allowed is None and self._index.size > self.size:
            allowed = self._all
        if self._index.exact:
            return self._index.search(queries, k, ticks, allowed)
        depth = max(k, min(rescoring_depth(k), MAX_RESCORED_ROWS, self.size))
        ids, _ = self._index.search(queries, depth, ticks, allowed, ordered=False)
        return merge_neighbours([(ids, self._similarity(queries, ids))], k)

    @cached_property
    def _all(self) -> IdSet:
        return IdSet.every(self.size)

    def _similarity(self, queries: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the similarity (q, n) of queries (q, D) and rows (q, n); -inf where the id is -1."""
        similarity = np.full(ids.shape, -np.inf, dtype=np.float32)
        for query, row, values in zip(queries, ids, similarity, strict=True):
            present = np.flatnonzero(row >= 0)
            values[present] = normalised(gather_rows(self._vectors, row[present])) @ query
        return similarity
