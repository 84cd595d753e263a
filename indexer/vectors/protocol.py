"""What every vector index promises, and how rows are brought to one length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class IdSet:
    """Which of the ids 0 to size - 1 a search may find; ids beyond are not in it.

    bits: uint8 (ceil(size / 8),), lowest bit first, an eighth of what a mask would be. Not to be changed.
    count: ids in the set.
    """

    def __init__(self, size: int, bits: NDArray[np.uint8]) -> None:
        self.size = size
        self.bits = bits
        self.count = int(np.bitwise_count(bits).sum(dtype=np.int64))

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> IdSet:
        """mask (size,)."""
        return cls(len(mask), np.packbits(mask, bitorder="little"))

    @classmethod
    def none(cls, size: int) -> IdSet:
        return cls(size, np.zeros(-(-size // 8), dtype=np.uint8))

    @classmethod
    def every(cls, size: int) -> IdSet:
        return cls.none(size).with_ranges([(0, size)])

    def with_ranges(self, ranges: Iterable[tuple[int, int]]) -> IdSet:
        """This set and the ids [first, stop) of each range, which lie within the size."""
        bits = self.bits.copy()
        _fill(bits, ranges)
        return IdSet(self.size, bits)

    def without_ranges(self, ranges: Iterable[tuple[int, int]]) -> IdSet:
        """This set but for the ids [first, stop) of each range."""
        bits = ~self.bits
        _fill(bits, ranges)
        return IdSet(self.size, ~bits)

    def mask(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,): which of the ids (n,) are in the set."""
        inside = ids < self.size
        safe = np.where(inside, ids, 0)
        if not self.size:
            return np.zeros(len(ids), dtype=np.bool_)
        held: NDArray[np.bool_] = (self.bits[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1 > 0
        return held & inside


def _fill(bits: NDArray[np.uint8], ranges: Iterable[tuple[int, int]]) -> None:
    for first, stop in ranges:
        if first >= stop:
            continue
        low, high = first >> 3, (stop - 1) >> 3
        head, tail = 0xFF << (first & 7) & 0xFF, 0xFF >> (7 - ((stop - 1) & 7))
        if low == high:
            bits[low] |= head & tail
        else:
            bits[low] |= head
            bits[low + 1 : high] = 0xFF
            bits[high] |= tail


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among unit rows.

    Ids rise from row to row and from addition to addition. The index copies what it is given. Larger
    similarity is more similar.
    """

    @property
    def size(self) -> int:
        """Vectors added so far."""
        ...

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """ids (n,), vectors (n, D) unit rows."""
        ...

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """queries (q, D) unit rows; allowed: None means all.

        Returns ids (q, k) and similarity (q, k), best first; missing places are id -1 and -inf.
        """
        ...


class SpanIndex(Protocol):
    """Nearest spans of like duration. Ids are span numbers."""

    @property
    def size(self) -> int: ...

    def search(
        self, queries: NDArray[np.float32], k: int, ticks: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search, among spans about as long as ticks, or the nearest length there is."""
        ...


def normalised(vectors: NDArray[np.floating] | NDArray[np.int8]) -> NDArray[np.float32]:
    """Unit rows as a new float32 array (n, D); a zero row stays zero. Used by build and query alike."""
    rows = np.asarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, np.newaxis]
    return np.ascontiguousarray(rows / np.maximum(norms, np.float32(1e-12)))


def quantised(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Rows as they are stored, int8 (n, D): round(127 row / max|row|); a zero row stays zero.

    Only a row's direction is kept, for every reader makes unit rows of them. vectors are finite.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    stored: NDArray[np.int8] = np.rint(
        rows / np.maximum(largest, np.float32(1e-30)) * np.float32(127)
    ).astype(np.int8)
    return stored
