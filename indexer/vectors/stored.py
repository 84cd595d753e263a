"""The stored rows of segments, which indexes are built from and candidates are rescored by."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.checked import CheckedRows
from wordspot.indexer.vectors.exact import Block
from wordspot.indexer.vectors.protocol import normalised, unpacked

_ROWS_PER_BLOCK = 16_384
_LENGTHS_PER_BLOCK = 1 << 20

Lengths = NDArray[np.uint16]
Packed = NDArray[np.uint8] | NDArray[np.int8] | CheckedRows


@dataclass(frozen=True)
class SegmentSpans:
    """The spans of one segment. Both arrays may be memory maps.

    Attributes:
        vectors: (n, D), as `packed` returns them.
        lengths: uint16 (n,), in ticks.
    """

    vectors: Packed
    lengths: Lengths


class StoredRows:
    """The rows of segments whose length is selected, read at each use.

    Ids count through all rows of the segments, from `first`.

    Attributes:
        count: rows selected.
    """

    def __init__(
        self,
        segments: Sequence[SegmentSpans],
        selected: Callable[[Lengths], NDArray[np.bool_]] | None = None,
        first: int = 0,
    ) -> None:
        """Takes the selection as a function from lengths (n,) to a mask (n,); None means all."""
        self._parts: list[tuple[int, Packed, NDArray[np.uint32]]] = []
        for segment in segments:
            places = [np.zeros(0, dtype=np.uint32)]
            for start in range(0, len(segment.lengths), _LENGTHS_PER_BLOCK):
                lengths = np.ascontiguousarray(segment.lengths[start : start + _LENGTHS_PER_BLOCK])
                mask = np.ones(len(lengths), np.bool_) if selected is None else selected(lengths)
                places.append((np.flatnonzero(mask) + start).astype(np.uint32))
            self._parts.append((first, segment.vectors, np.concatenate(places)))
            first += len(segment.lengths)
        self.count = sum(len(places) for _, _, places in self._parts)

    def blocks(self) -> Iterator[Block]:
        """Yields ids (n,) and unit rows (n, D) of a block at a time."""
        for first, vectors, places in self._parts:
            for start in range(0, len(places), _ROWS_PER_BLOCK):
                part = places[start : start + _ROWS_PER_BLOCK]
                yield part + np.int64(first), normalised(unpacked(vectors[part]))
                _release_pages(vectors)

    def sample(self, indexes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns unit rows (m, D) at ascending indexes (m,) among these rows."""
        edges = np.cumsum([0, *(len(places) for _, _, places in self._parts)])
        cuts = np.searchsorted(indexes, edges)
        parts = []
        for (_, vectors, places), start, a, b in zip(self._parts, edges, cuts, cuts[1:], strict=False):
            parts.append(unpacked(vectors[places[indexes[a:b] - start]]))
            _release_pages(vectors)
        return normalised(np.concatenate(parts))


def gather_rows(vectors: Sequence[Packed], ids: NDArray[np.int64]) -> NDArray[np.int8]:
    """Returns unpacked rows (n, D) of ids (n,), which count through the vectors of all segments."""
    edges = np.cumsum([0, *map(len, vectors)])
    order = np.argsort(ids, kind="stable")  # neighbours lie on one page of memory
    cuts = np.searchsorted(ids[order], edges)
    rows = np.empty((len(ids), unpacked(vectors[0][:0]).shape[1] if vectors else 0), dtype=np.int8)
    for part, start, a, b in zip(vectors, edges, cuts, cuts[1:], strict=False):
        if a < b:
            rows[order[a:b]] = unpacked(part[ids[order[a:b]] - start])
    return rows


def readable_rows(stored: Packed, first: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[Any]:
    """Returns the array of all rows, of which the ranges [first, stop) (m,) may be read. Raises DataLoss."""
    return stored.checked_array(first, stop) if isinstance(stored, CheckedRows) else stored


def _release_pages(vectors: Packed) -> None:
    """Releases the pages of a memory map, which otherwise count as memory of this process."""
    if isinstance(vectors, CheckedRows):
        vectors.mapped.release_pages()
    elif isinstance(vectors, np.memmap):
        vectors._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
