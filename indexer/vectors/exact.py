"""Exhaustive search: the oracle of every other index, and the right choice for a small archive."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 32_768
_QUERIES_AT_ONCE = 256


class ExactIndex:
    """Compares a query with every row, block by block.

    Adding while others search is safe: a search sees the rows there were when it began.
    """

    kind = "exact"

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._blocks: tuple[NDArray[np.float32], ...] = ()

    @property
    def size(self) -> int:
        return sum(len(block) for block in self._blocks)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """ids (n,), vectors (n, D) unit rows."""
        check_addition(ids, vectors, self.size, self._dimension)
        blocks = self._blocks
        if blocks and len(blocks[-1]) + len(vectors) <= _ROWS_AT_ONCE:
            self._blocks = (*blocks[:-1], np.concatenate([blocks[-1], vectors]))
        else:
            self._blocks = (*blocks, np.array(vectors, dtype=np.float32))

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search; rows beyond the end of allowed are not allowed."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        blocks = self._blocks
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            part = slice(first, first + _QUERIES_AT_ONCE)
            ids[part], similarity[part] = nearest(blocks, queries[part], k, allowed)
        return ids, similarity


def check_addition(ids: NDArray[np.int64], vectors: NDArray[np.float32], size: int, dimension: int) -> None:
    """Raises ValueError unless ids continue at size and vectors are (n, dimension)."""
    if vectors.shape != (len(ids), dimension):
        raise ValueError(f"vectors of shape {vectors.shape}; expected ({len(ids)}, {dimension})")
    if not np.array_equal(ids, np.arange(size, size + len(ids))):
        raise ValueError(f"ids must count on from {size}")


def nearest(
    blocks: Iterable[NDArray[np.float32]],
    queries: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As VectorIndex.search over rows that come block by block, read once; ids count through them."""
    best_ids = np.full((len(queries), k), -1, dtype=np.int64)
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    offset = 0
    for block in blocks:
        for start in range(0, len(block), _ROWS_AT_ONCE):
            rows = block[start : start + _ROWS_AT_ONCE]
            first = offset + start
            numbers = np.arange(first, first + len(rows), dtype=np.int64)
            if allowed is not None:
                chosen = np.flatnonzero(allowed[first : first + len(rows)])
                if len(chosen) < len(rows):
                    numbers, rows = numbers[chosen], rows[chosen]
            found = queries @ rows.T  # (q, rows)
            best_ids, best = _merge(best_ids, best, numbers, found, k)
        offset += len(block)
    return best_ids, best


def _merge(
    ids: NDArray[np.int64],
    similarity: NDArray[np.float32],
    numbers: NDArray[np.int64],
    found: NDArray[np.float32],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best k of those kept (q, k) and those found (q, n); the kept have the lower ids."""
    if found.shape[1] > k > 0:
        place = np.argpartition(-found, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(found, place, axis=1)
        found_ids = numbers[place]
    else:
        found_ids = np.broadcast_to(numbers, found.shape)
    all_ids = np.concatenate([ids, found_ids], axis=1)
    all_similarity = np.concatenate([similarity, found], axis=1)
    order = np.lexsort((all_ids, -all_similarity), axis=-1)[:, :k]
    return np.take_along_axis(all_ids, order, axis=1), np.take_along_axis(all_similarity, order, axis=1)
