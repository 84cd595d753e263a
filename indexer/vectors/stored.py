"""The rows that indexes are built from and candidates are scored by: those of the segments, in order."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.exact import Block
from wordspot.indexer.vectors.protocol import normalised

_ROWS_AT_ONCE = 16_384
_LENGTHS_AT_ONCE = 1 << 20

Lengths = NDArray[np.uint16]


@dataclass(frozen=True)
class Stored:
    """One segment's spans. vectors int8 (n, D); lengths uint16 (n,), ticks; both may be memory maps."""

    vectors: NDArray[np.int8]
    lengths: Lengths


class StoredRows:
    """Those rows of segments whose length is chosen, read anew whenever they are asked for.

    Ids count through all rows of the segments, from `first`.
    """

    def __init__(
        self,
        segments: Sequence[Stored],
        chosen: Callable[[Lengths], NDArray[np.bool_]] | None = None,
        first: int = 0,
    ) -> None:
        """chosen: from lengths (n,) to a mask (n,); None means all."""
        self._parts: list[tuple[int, NDArray[np.int8], NDArray[np.uint32]]] = []
        for segment in segments:
            places = [np.zeros(0, dtype=np.uint32)]
            for start in range(0, len(segment.lengths), _LENGTHS_AT_ONCE):
                lengths = np.ascontiguousarray(segment.lengths[start : start + _LENGTHS_AT_ONCE])
                mask = np.ones(len(lengths), np.bool_) if chosen is None else chosen(lengths)
                places.append((np.flatnonzero(mask) + start).astype(np.uint32))
            self._parts.append((first, segment.vectors, np.concatenate(places)))
            first += len(segment.lengths)
        self.count = sum(len(places) for _, _, places in self._parts)

    def blocks(self) -> Iterator[Block]:
        """Ids and unit rows of a block at a time."""
        for first, vectors, places in self._parts:
            for start in range(0, len(places), _ROWS_AT_ONCE):
                part = places[start : start + _ROWS_AT_ONCE]
                yield part + np.int64(first), normalised(vectors[part])
                _let_go(vectors)

    def sample(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit rows (m, D) at the places chosen (m,), rising, counted among these rows."""
        edges = np.cumsum([0, *(len(places) for _, _, places in self._parts)])
        cuts = np.searchsorted(chosen, edges)
        drawn = []
        for (_, vectors, places), start, a, b in zip(self._parts, edges, cuts, cuts[1:], strict=False):
            drawn.append(vectors[places[chosen[a:b] - start]])
            _let_go(vectors)
        return normalised(np.concatenate(drawn))


def gathered(vectors: Sequence[NDArray[np.int8]], ids: NDArray[np.int64]) -> NDArray[np.int8]:
    """Rows (n, D) of the segments' vectors, of ids (n,), which count through all of them."""
    edges = np.cumsum([0, *map(len, vectors)])
    order = np.argsort(ids, kind="stable")  # neighbours lie on one page of memory
    cuts = np.searchsorted(ids[order], edges)
    rows = np.empty((len(ids), vectors[0].shape[1] if vectors else 0), dtype=np.int8)
    for part, start, a, b in zip(vectors, edges, cuts, cuts[1:], strict=False):
        if a < b:
            rows[order[a:b]] = part[ids[order[a:b]] - start]
    return rows


def _let_go(vectors: NDArray[np.int8]) -> None:
    """Returns the pages of a memory map, which else count as this process's memory; they are read anew."""
    mapped = getattr(vectors, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
