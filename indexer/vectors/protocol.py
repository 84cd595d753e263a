"""The contract of every vector index, and the forms in which rows are compared and stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatT = TypeVar("FloatT", bound=np.floating[Any])

# Multiplications above which OpenBLAS divides a product among threads of its own. The callers' threads
# already use every core; on a busy machine both kinds together are up to twenty times slower.
SINGLE_THREAD_MULTIPLICATIONS = 1 << 18


def product(rows: NDArray[FloatT], matrix: NDArray[FloatT]) -> NDArray[FloatT]:
    """Returns rows (n, in) times matrix (in, out), computed by the calling thread alone."""
    block = max(SINGLE_THREAD_MULTIPLICATIONS // max(matrix.size, 1), 1)
    whole = len(rows) // block * block
    out = np.empty((len(rows), matrix.shape[1]), rows.dtype)
    np.matmul(
        rows[:whole].reshape(-1, block, rows.shape[1]),
        matrix,
        out=out[:whole].reshape(-1, block, matrix.shape[1]),
    )
    np.matmul(rows[whole:], matrix, out=out[whole:])
    return out


class IdSet:
    """A set of ids that a search may return, as a bit map.

    Attributes:
        size: ids 0 to size - 1 can be in the set.
        bits: uint8 (ceil(size / 8),), lowest bit first. Read-only.
        count: ids in the set.
    """

    def __init__(self, size: int, bits: NDArray[np.uint8]) -> None:
        self.size = size
        self.bits = bits
        self.count = int(np.bitwise_count(bits).sum(dtype=np.int64))

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> IdSet:
        """Returns the set of the ids where the mask (size,) is true."""
        return cls(len(mask), np.packbits(mask, bitorder="little"))

    @classmethod
    def none(cls, size: int) -> IdSet:
        """Returns the empty set."""
        return cls(size, np.zeros(-(-size // 8), dtype=np.uint8))

    @classmethod
    def every(cls, size: int) -> IdSet:
        """Returns the set of all ids."""
        return cls.none(size).with_ranges([(0, size)])

    def with_ranges(self, ranges: Iterable[tuple[int, int]]) -> IdSet:
        """Returns the set with the ids [first, stop) of each range, which lie within the size."""
        bits = self.bits.copy()
        _fill(bits, ranges)
        return IdSet(self.size, bits)

    def without_ranges(self, ranges: Iterable[tuple[int, int]]) -> IdSet:
        """Returns the set without the ids [first, stop) of each range."""
        bits = ~self.bits
        _fill(bits, ranges)
        return IdSet(self.size, ~bits)

    def intersection(self, other: IdSet | None) -> IdSet:
        """Returns the ids that are in both; None has all."""
        return self if other is None else IdSet(self.size, self.bits & other.bits)

    def mask(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns a mask (n,) of which ids (n,) are in the set."""
        inside = ids < self.size
        safe = np.where(inside, ids, 0)
        if not self.size:
            return np.zeros(len(ids), dtype=np.bool_)
        contained: NDArray[np.bool_] = (self.bits[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1 > 0
        return contained & inside


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

    Ids ascend from row to row and from addition to addition. The index copies its input. Larger similarity is
    more similar.
    """

    @property
    def size(self) -> int:
        """Vectors added so far."""
        ...

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Adds vectors (n, D), unit rows, under ids (n,)."""
        ...

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the nearest vectors of each query.

        Args:
            queries: (q, D) unit rows.
            k: neighbours of each query.
            allowed: ids that may be returned; None means all.

        Returns:
            Ids int64 (q, k) and similarities float32 (q, k), best first; missing ones are id -1 and -inf.
        """
        ...


class SpanIndex(Protocol):
    """Nearest spans of similar duration. Ids are span numbers."""

    @property
    def size(self) -> int:
        """Spans in the index."""
        ...

    def search(
        self, queries: NDArray[np.float32], k: int, ticks: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search, among spans about `ticks` long, or of the nearest length present."""
        ...


def normalised(vectors: NDArray[np.floating] | NDArray[np.int8]) -> NDArray[np.float32]:
    """Returns unit rows as a new float32 array (n, D); a zero row stays zero. Used for indexing and
    queries."""
    rows = np.asarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, np.newaxis]
    return np.ascontiguousarray(rows / np.maximum(norms, np.float32(1e-12)))


def quantised(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Returns rows in stored form, int8 (n, D): round(127 row / max|row|); a zero row stays zero.

    That preserves the direction of a row, which every reader normalises. Vectors must be finite.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    stored: NDArray[np.int8] = np.rint(
        rows / np.maximum(largest, np.float32(1e-30)) * np.float32(127)
    ).astype(np.int8)
    return stored


PACKED_WIDTH = 16  # rows with a multiple of this many numbers are packed


def packed(vectors: NDArray[np.floating]) -> NDArray[np.uint8] | NDArray[np.int8]:
    """Returns rows in stored form: four bits a number, uint8 (n, D / 2), if D is a multiple of PACKED_WIDTH;
    else as `quantised`.

    A number is round(7 row / max|row|) + 8, those of the first half of a row in the lower bits. The random
    error of cosines of rows of 64 numbers is about .01, which an alignment of many frames averages out.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    half, rest = divmod(rows.shape[1], 2)
    if not half or rest or rows.shape[1] % PACKED_WIDTH:
        return quantised(rows)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    codes = np.rint(rows / np.maximum(largest, np.float32(1e-30)) * np.float32(7)).astype(np.int8) + 8
    codes = codes.astype(np.uint8)
    stored: NDArray[np.uint8] = codes[:, :half] | codes[:, half:] << 4
    return stored


def unpacked(stored: NDArray[np.uint8] | NDArray[np.int8]) -> NDArray[np.int8]:
    """Returns int8 (n, D) of rows in either stored form; those of a byte a number unchanged."""
    if stored.dtype == np.int8:
        return stored  # type: ignore[return-value]
    rows = np.empty((len(stored), 2 * stored.shape[1]), np.int8)
    rows[:, : stored.shape[1]] = stored & 15
    rows[:, stored.shape[1] :] = stored >> 4
    rows -= 8
    return rows
