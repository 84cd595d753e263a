"""Which index for how many vectors, and how it is built from the stored rows."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.exact import ExactIndex, nearest
from wordspot.indexer.vectors.faiss_index import (
    CALIBRATION_DEPTH,
    MINIMUM_TRAINING_ROWS,
    ROWS_PER_LIST,
    ApproximateKind,
    FaissIndex,
    list_count,
)
from wordspot.indexer.vectors.protocol import normalised

Index = ExactIndex | FaissIndex

KINDS = ("auto", "exact", "ivf-sq8", "ivf-pq")
_GROWTH = 8
_ROWS_AT_ONCE = 16_384
_QUERIES = 64


@dataclass(frozen=True)
class IndexPolicy:
    """kind: one of KINDS; "auto" decides by the number of rows.

    Raises ValueError for another kind.
    """

    kind: str = "auto"
    exact_below: int = 50_000
    product_codes_from: int = 5_000_000

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown index kind {self.kind!r}; allowed are {', '.join(KINDS)}")

    def choose(self, rows: int) -> str:
        """The kind for so many rows; too few to train on are searched exactly whatever was asked for."""
        if rows < MINIMUM_TRAINING_ROWS:
            return "exact"
        if self.kind != "auto":
            return self.kind
        if rows < self.exact_below:
            return "exact"
        return "ivf-sq8" if rows < self.product_codes_from else "ivf-pq"

    def fits(self, index: Index, rows: int) -> bool:
        """Whether the index can go on to serve so many rows without being trained anew."""
        if index.kind != self.choose(rows):
            return False
        return isinstance(index, ExactIndex) or rows <= _GROWTH * index.trained_for

    def build(self, dimension: int, stored: Sequence[NDArray[np.float16]]) -> Index:
        """A new index over all rows: stored is one (n_i, dimension) a segment, ids count through them."""
        rows = sum(map(len, stored))
        kind = self.choose(rows)
        if kind == "exact":
            exact = ExactIndex(dimension)
            extend(exact, stored)
            return exact
        approximate: ApproximateKind = "ivf-sq8" if kind == "ivf-sq8" else "ivf-pq"
        sample = _sample(stored, rows)
        index = FaissIndex.trained(approximate, sample, rows)
        extend(index, stored)
        queries = _queries(sample)
        blocks = (normalised(block) for vectors in stored for block in _blocks(vectors))
        index.calibrate(queries, nearest(blocks, queries, CALIBRATION_DEPTH)[0])
        return index


def extend(index: Index, stored: Sequence[NDArray[np.float16]]) -> None:
    """Adds the rows of further segments, ids counting on."""
    for vectors in stored:
        for block in _blocks(vectors):
            first = index.size
            index.add(np.arange(first, first + len(block)), normalised(block))


def _blocks(vectors: NDArray[np.float16]) -> Iterator[NDArray[np.float16]]:
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        yield vectors[first : first + _ROWS_AT_ONCE]
        _let_go(vectors)


def _let_go(vectors: NDArray[np.float16]) -> None:
    """Returns the pages of a memory map, which else count as this process's memory; they are read anew."""
    mapped = getattr(vectors, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def _sample(stored: Sequence[NDArray[np.float16]], rows: int) -> NDArray[np.float32]:
    """Evenly drawn rows, ROWS_PER_LIST a list at most, in a fixed random choice."""
    size = min(rows, max(ROWS_PER_LIST * list_count(rows), MINIMUM_TRAINING_ROWS))
    chosen = np.sort(np.random.default_rng(rows).choice(rows, size, replace=False))
    edges = np.cumsum([0, *map(len, stored)])
    parts = np.searchsorted(chosen, edges)
    drawn = []
    for vectors, start, first, last in zip(stored, edges, parts, parts[1:], strict=False):
        drawn.append(vectors[chosen[first:last] - start])
        _let_go(vectors)
    return normalised(np.concatenate(drawn))


def _queries(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows pushed half-way towards others, since a real query is not among the indexed."""
    one, other = np.random.default_rng(len(sample)).integers(len(sample), size=(2, _QUERIES))
    return normalised(sample[one] + np.float32(0.5) * sample[other])
