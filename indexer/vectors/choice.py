"""Which index for how many vectors, and how it is built from the stored rows."""

from __future__ import annotations

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
from wordspot.indexer.vectors.stored import StoredRows

Index = ExactIndex | FaissIndex

KINDS = ("auto", "exact", "ivf-sq8", "ivf-pq")
_GROWTH = 8
_QUERIES = 32


@dataclass(frozen=True)
class IndexPolicy:
    """kind: one of KINDS; "auto" decides by the number of rows.

    Raises ValueError for another kind.
    """

    kind: str = "auto"
    exact_below: int = 50_000

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown index kind {self.kind!r}; allowed are {', '.join(KINDS)}")

    def choose(self, rows: int) -> str:
        """The kind for so many rows; too few to train on are searched exactly whatever was asked for."""
        if rows < MINIMUM_TRAINING_ROWS:
            return "exact"
        if self.kind != "auto":
            return self.kind
        return "exact" if rows < self.exact_below else "ivf-pq"

    def fits(self, index: Index, rows: int) -> bool:
        """Whether the index can go on to serve so many rows without being trained anew."""
        if index.kind != self.choose(rows):
            return False
        return isinstance(index, ExactIndex) or rows <= _GROWTH * index.trained_for

    def build(self, dimension: int, rows: StoredRows) -> Index:
        """A new index over all the rows, of that dimension."""
        kind = self.choose(rows.count)
        if kind == "exact":
            exact = ExactIndex(dimension)
            extend(exact, rows)
            return exact
        approximate: ApproximateKind = "ivf-sq8" if kind == "ivf-sq8" else "ivf-pq"
        sample = _sample(rows)
        index = FaissIndex.trained(approximate, sample, rows.count)
        extend(index, rows)
        queries = _queries(sample)
        index.calibrate(queries, nearest(rows.blocks(), queries, CALIBRATION_DEPTH)[0])
        return index


def extend(index: Index, rows: StoredRows) -> None:
    """Adds further rows, their ids beyond those of the index."""
    for ids, block in rows.blocks():
        index.add(ids, block)


def _sample(rows: StoredRows) -> NDArray[np.float32]:
    """Evenly drawn rows, ROWS_PER_LIST a list at most, in a fixed random choice."""
    size = min(rows.count, max(ROWS_PER_LIST * list_count(rows.count), MINIMUM_TRAINING_ROWS))
    rng = np.random.default_rng(rows.count)
    return rows.sample(np.sort(rng.choice(rows.count, size, replace=False, shuffle=False)))


def _queries(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows pushed half-way towards others, since a real query is not among the indexed."""
    one, other = np.random.default_rng(len(sample)).integers(len(sample), size=(2, _QUERIES))
    return normalised(sample[one] + np.float32(0.5) * sample[other])
