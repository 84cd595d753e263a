"""The policy: which index is used for how many vectors, and how it is built from the stored rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.exact import ExactIndex, nearest
from wordspot.indexer.vectors.faiss_index import (
    CALIBRATION_DEPTH,
    MIN_TRAINING_ROWS,
    ROWS_PER_LIST,
    ApproximateKind,
    FaissIndex,
    list_count,
)
from wordspot.indexer.vectors.protocol import normalised
from wordspot.indexer.vectors.stored import StoredRows

Index = ExactIndex | FaissIndex

KINDS = ("auto", "exact", "ivf-sq8", "ivf-pq")
_MAX_GROWTH = 8
_CALIBRATION_QUERIES = 32


@dataclass(frozen=True)
class IndexPolicy:
    """Decides which index is used.

    Attributes:
        kind: one of KINDS; "auto" decides by the number of rows.
        exact_below: rows below which "auto" searches exhaustively.

    Raises:
        ValueError: for an unknown kind.
    """

    kind: str = "auto"
    exact_below: int = 50_000

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"index kind must be one of {', '.join(KINDS)}, got {self.kind!r}")

    def choose(self, rows: int) -> str:
        """Returns the kind for that many rows; "exact" if they are too few to train on."""
        if rows < MIN_TRAINING_ROWS:
            return "exact"
        if self.kind != "auto":
            return self.kind
        return "exact" if rows < self.exact_below else "ivf-pq"

    def fits(self, index: Index, rows: int) -> bool:
        """Returns whether the index can hold that many rows without being trained anew."""
        if index.kind != self.choose(rows):
            return False
        return isinstance(index, ExactIndex) or rows <= _MAX_GROWTH * index.trained_for

    def build(self, dimension: int, rows: StoredRows) -> Index:
        """Returns a new index over all the rows, of that dimension."""
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
    """Adds rows whose ids follow those of the index."""
    for ids, block in rows.blocks():
        index.add(ids, block)


def _sample(rows: StoredRows) -> NDArray[np.float32]:
    """Returns a random sample of the rows (m, D), ROWS_PER_LIST a list at most, the same at each call."""
    size = min(rows.count, max(ROWS_PER_LIST * list_count(rows.count), MIN_TRAINING_ROWS))
    rng = np.random.default_rng(rows.count)
    return rows.sample(np.sort(rng.choice(rows.count, size, replace=False, shuffle=False)))


def _queries(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns rows (q, D) moved half-way towards others, since a real query is not among the indexed rows."""
    row, other_row = np.random.default_rng(len(sample)).integers(len(sample), size=(2, _CALIBRATION_QUERIES))
    return normalised(sample[row] + np.float32(0.5) * sample[other_row])
