"""Exhaustive search: the reference for every other index, and the fastest for a small archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.protocol import IdSet

_ROWS_PER_BLOCK = 32_768
_QUERIES_PER_BLOCK = 256


Block = tuple[NDArray[np.int64], NDArray[np.float32]]


class ExactIndex:
    """Compares a query with every row, block by block.

    Adding while other threads search is safe: a search sees the rows present when it began.
    """

    kind = "exact"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: tuple[Block, ...] = ()

    @classmethod
    def load(cls, path: Path, dimension: int) -> ExactIndex:
        """Reads what `save` wrote. Raises ValueError if the file is anything else."""
        index = cls(dimension)
        with path.open("rb") as file:
            ids, rows = (np.load(file, allow_pickle=False) for _ in range(2))
        index.add(ids, rows)
        return index

    def save(self, path: Path) -> None:
        """Writes ids, then rows, as NumPy arrays one after the other."""
        blocks = self._blocks
        with path.open("wb") as file:
            np.save(file, np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in blocks)]))
            empty = np.zeros((0, self.dimension), np.float32)
            np.save(file, np.concatenate([empty, *(rows for _, rows in blocks)]))

    @property
    def size(self) -> int:
        """Vectors added so far."""
        return sum(len(ids) for ids, _ in self._blocks)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Adds vectors (n, D), unit rows, under ids (n,)."""
        blocks = self._blocks
        check_addition(ids, vectors, int(blocks[-1][0][-1]) if blocks else -1, self.dimension)
        if not len(ids):
            return
        if blocks and len(blocks[-1][0]) + len(ids) <= _ROWS_PER_BLOCK:
            old_ids, old_rows = blocks[-1]
            last = (np.concatenate([old_ids, ids]), np.concatenate([old_rows, vectors]))
            self._blocks = (*blocks[:-1], last)
        else:
            self._blocks = (*blocks, (np.array(ids, dtype=np.int64), np.array(vectors, dtype=np.float32)))

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        blocks = self._blocks
        for first in range(0, len(queries), _QUERIES_PER_BLOCK):
            part = slice(first, first + _QUERIES_PER_BLOCK)
            ids[part], similarity[part] = nearest(blocks, queries[part], k, allowed)
        return ids, similarity


def check_addition(ids: NDArray[np.int64], vectors: NDArray[np.float32], last: int, dimension: int) -> None:
    """Raises ValueError unless ids are above the last and ascend, and vectors are (n, dimension)."""
    if vectors.shape != (len(ids), dimension):
        raise ValueError(f"vectors must have the shape ({len(ids)}, {dimension}), got {vectors.shape}")
    if (np.diff(ids, prepend=last) <= 0).any():
        raise ValueError(f"ids must ascend from {last + 1}")


def nearest(
    blocks: Iterable[Block], queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As VectorIndex.search, over ids and unit rows in blocks, each of which is read once."""
    best_ids = np.full((len(queries), k), -1, dtype=np.int64)
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for ids, block in blocks:
        for start in range(0, len(block), _ROWS_PER_BLOCK):
            numbers, rows = ids[start : start + _ROWS_PER_BLOCK], block[start : start + _ROWS_PER_BLOCK]
            if allowed is not None:
                selected = np.flatnonzero(allowed.mask(numbers))
                if len(selected) < len(rows):
                    numbers, rows = numbers[selected], rows[selected]
            similarity = queries @ rows.T  # (q, rows)
            best_ids, best = merge_neighbours(
                [(best_ids, best), (np.broadcast_to(numbers, similarity.shape), similarity)], k
            )
    return best_ids, best


def merge_neighbours(
    results: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int, *, ordered: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Merges several results of VectorIndex.search into the best k; equals by id.

    Args:
        results: ids (q, n_i) and similarities (q, n_i) of each.
        k: neighbours of each query; missing ones are id -1 and -inf.
        ordered: best first; otherwise in any order, which takes less time.

    Returns:
        Ids (q, k) and similarities (q, k).
    """
    ids = np.concatenate([part for part, _ in results], axis=1)
    similarity = np.concatenate([part for _, part in results], axis=1)
    if ids.shape[1] > (2 * k if ordered else k) > 0:
        # Sorting what is discarded would take most of the time.
        place = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        ids = np.take_along_axis(ids, place, axis=1)
        similarity = np.take_along_axis(similarity, place, axis=1)
    if not ordered and ids.shape[1] == k:
        return ids, similarity
    order = np.lexsort((ids, -similarity), axis=-1)[:, :k]
    best_ids = np.full((len(ids), k), -1, dtype=np.int64)
    best = np.full((len(ids), k), -np.inf, dtype=np.float32)
    best_ids[:, : order.shape[1]] = np.take_along_axis(ids, order, axis=1)
    best[:, : order.shape[1]] = np.take_along_axis(similarity, order, axis=1)
    return best_ids, best
