"""Spans by duration: an index for each of a few classes of length, and what a view searches.

A query is compared with spans about as long as itself. With an index a class, no search looks at others,
and classes are searched side by side. The best candidates are scored by their stored rows, so that codes of
a few bytes a row are enough to find them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.choice import Index, IndexPolicy, extend
from wordspot.indexer.vectors.exact import ExactIndex, merged
from wordspot.indexer.vectors.faiss_index import divide_among, rescored
from wordspot.indexer.vectors.protocol import IdSet, normalised
from wordspot.indexer.vectors.stored import Lengths, Stored, StoredRows, gathered

# In ticks: the lengths of the usual plan. Spans of another plan, or cut short by the end of a region, go to
# the nearest.
NOMINAL = (26, 38, 56, 82, 120)
_EDGES = np.sqrt(np.multiply(NOMINAL[:-1], NOMINAL[1:]))
# Scored by their stored rows at most, unless more are asked for.
MOST_RESCORED = 20_000

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def bucket_of(lengths: Lengths) -> NDArray[np.uint8]:
    """(n,): the class of each length in ticks (n,), a place in NOMINAL."""
    return np.searchsorted(_EDGES, lengths, side="right").astype(np.uint8)


def rounds(ticks: int) -> Iterator[tuple[int, ...]]:
    """Classes to search for a query of so many ticks: 2/3 to 4/3 of its length, if any; then, in case that
    those are empty, one after the other from the nearest.
    """
    like = tuple(n for n, length in enumerate(NOMINAL) if 2 * ticks <= 3 * length <= 4 * ticks)
    if like:
        yield like
    others = sorted(set(range(len(NOMINAL))) - set(like), key=lambda n: abs(np.log(NOMINAL[n] / ticks)))
    for number in others:
        yield (number,)


class BucketedIndex:
    """All spans of some segments; ids are span numbers, which count through the segments.

    Growing while others search is safe.
    indexes: one a class.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = tuple(indexes)

    @classmethod
    def build(cls, policy: IndexPolicy, dimension: int, segments: Sequence[Stored]) -> BucketedIndex:
        return cls(_for_each_bucket(lambda bucket: policy.build(dimension, _rows(segments, bucket, first=0))))

    def grown(self, policy: IndexPolicy, segments: Sequence[Stored], known: int) -> BucketedIndex:
        """With the rows of all segments, of which the first `known` are here.

        An index that goes on to fit is extended in place, the others are built anew.
        """
        first = self.size

        def one(bucket: int) -> Index:
            index, rows = self.indexes[bucket], _rows(segments[known:], bucket, first)
            if not policy.fits(index, index.size + rows.count):
                return policy.build(index.dimension, _rows(segments, bucket, first=0))
            extend(index, rows)
            return index

        return BucketedIndex(_for_each_bucket(one))

    @property
    def size(self) -> int:
        return sum(index.size for index in self.indexes)

    @property
    def exact(self) -> bool:
        return all(isinstance(index, ExactIndex) for index in self.indexes)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        ticks: int,
        allowed: IdSet | None = None,
        *,
        ordered: bool = True,
    ) -> Found:
        """As SpanIndex.search, by the indexes' own, approximate similarity; else ordered, in any order."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        if allowed is not None and not allowed.count:
            return ids, similarity
        for buckets in rounds(ticks):
            indexes = [self.indexes[bucket] for bucket in buckets if self.indexes[bucket].size]
            if indexes:
                ids, similarity = merged(_side_by_side(indexes, queries, k, allowed), k, ordered=ordered)
            if (ids >= 0).any():
                break
        return ids, similarity


def _rows(segments: Sequence[Stored], bucket: int, first: int) -> StoredRows:
    return StoredRows(segments, lambda lengths: bucket_of(lengths) == bucket, first)


def _for_each_bucket(make: Callable[[int], Index]) -> list[Index]:
    """An index a class, several at a time. Threads of FAISS's own would wait for one another at every block
    of rows, on a busy machine longer than they work.
    """
    workers = min(_cores(), len(NOMINAL))

    def alone(bucket: int) -> Index:
        divide_among(max(_cores() // workers, 1))
        return make(bucket)

    # Not the pool of searches, which would have to wait.
    with ThreadPoolExecutor(workers, thread_name_prefix="indexing") as pool:
        return list(pool.map(alone, range(len(NOMINAL))))


def _side_by_side(
    indexes: Sequence[Index], queries: NDArray[np.float32], k: int, allowed: IdSet | None
) -> list[Found]:
    """Each searched by a thread of its own."""
    return list(_pool().map(lambda index: index.search(queries, k, allowed), indexes))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores(), thread_name_prefix="nearest")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Snapshot:
    """The SpanIndex of a view: the spans there were when it was made, though the index may have grown."""

    def __init__(self, index: BucketedIndex, vectors: Sequence[NDArray[np.int8]]) -> None:
        """vectors: one (n_i, D) a segment, of all spans in the index."""
        self.size = sum(map(len, vectors))
        self._index = index
        self._vectors = vectors

    def search(self, queries: NDArray[np.float32], k: int, ticks: int, allowed: IdSet | None = None) -> Found:
        """As SpanIndex.search."""
        if allowed is None and self._index.size > self.size:
            allowed = self._all
        if self._index.exact:
            return self._index.search(queries, k, ticks, allowed)
        depth = max(k, min(rescored(k), MOST_RESCORED, self.size))
        ids, _ = self._index.search(queries, depth, ticks, allowed, ordered=False)
        return merged([(ids, self._similarity(queries, ids))], k)

    @cached_property
    def _all(self) -> IdSet:
        return IdSet.every(self.size)

    def _similarity(self, queries: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of each query (q, D) and its found rows (q, n); -inf where none was found."""
        similarity = np.full(ids.shape, -np.inf, dtype=np.float32)
        for query, row, values in zip(queries, ids, similarity, strict=True):
            there = np.flatnonzero(row >= 0)
            values[there] = normalised(gathered(self._vectors, row[there])) @ query
        return similarity
