"""Approximate search by inverted lists: codes of one byte a number (SQ8), or product codes (PQ).

Lists are the cells of a spherical k-means (Sivic and Zisserman 2003; Jegou, Douze and Schmid 2011,
"Product quantization for nearest neighbor search", for the product codes), computed by FAISS.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import faiss as untyped_faiss
import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.vectors.exact import ExactIndex, check_addition

# The stubs that FAISS ships describe its C++ signatures, not the Python ones.
faiss: Any = untyped_faiss

ApproximateKind = Literal["ivf-sq8", "ivf-pq"]

ROWS_PER_LIST = 32
_LISTS = 1024
_ITERATIONS = 6
_SEED = 20_171
_PQ_BITS = 8
_PQ_ROWS_PER_CODE = 64
MINIMUM_TRAINING_ROWS = 2**_PQ_BITS
_ADDED_AT_ONCE = 2048
# The recall that the number of probed lists is chosen for: what is promised, 0.95, and some headroom.
_RECALL = 0.97
_RECALL_DEPTH = 100
_RECALL_QUERIES = 64
_ENTRIES_PER_RESULT = 4


class FaissIndex:
    """An inverted-list index with trained lists.

    Adding while others search is safe: searches run together, an addition waits for them and runs
    alone, a few milliseconds at a time.

    probes: lists looked at for the best hundred among all rows; more for larger k or fewer allowed rows.
    trained_for: how many rows the number of lists was chosen for.
    """

    def __init__(self, kind: ApproximateKind, index: Any, *, probes: int, trained_for: int) -> None:
        self.kind = kind
        self.probes = probes
        self.trained_for = trained_for
        self._index = index
        self._lock = _SharedLock()

    @classmethod
    def trained(cls, kind: ApproximateKind, sample: NDArray[np.float32], rows: int) -> FaissIndex:
        """An empty index for about `rows` vectors, trained on sample (m, D), unit rows.

        Raises ValueError for fewer than MINIMUM_TRAINING_ROWS.
        """
        if len(sample) < MINIMUM_TRAINING_ROWS:
            raise ValueError(f"{len(sample)} training rows; at least {MINIMUM_TRAINING_ROWS} are needed")
        lists = min(list_count(rows), max(len(sample) // 8, 1))
        index = _new(kind, sample.shape[1], lists)
        index.cp.spherical = True
        index.cp.niter = _ITERATIONS
        index.cp.seed = _SEED
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = ROWS_PER_LIST
        index.train(sample)
        index.add(sample)
        probes = _probes_needed(index, sample)
        index.reset()
        return cls(kind, index, probes=probes, trained_for=rows)

    @classmethod
    def load(cls, path: Path, kind: ApproximateKind, *, probes: int, trained_for: int) -> FaissIndex:
        """Reads what `save` wrote. The caller vouches for the file: FAISS does not check its input."""
        return cls(kind, faiss.read_index(str(path)), probes=probes, trained_for=trained_for)

    def save(self, path: Path) -> None:
        """Raises OSError where the file cannot be written."""
        with self._lock.shared():
            data = faiss.serialize_index(self._index)
        with path.open("wb") as file:
            file.write(data.data)

    @property
    def dimension(self) -> int:
        return int(self._index.d)

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """ids (n,), vectors (n, D) unit rows."""
        check_addition(ids, vectors, self.size, self.dimension)
        for first in range(0, len(vectors), _ADDED_AT_ONCE):
            part = np.ascontiguousarray(vectors[first : first + _ADDED_AT_ONCE], dtype=np.float32)
            with self._lock.exclusive():
                self._index.add(part)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search; rows beyond the end of allowed are not allowed."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with self._lock.shared():
            rows = self.size
            count = rows if allowed is None else int(np.count_nonzero(allowed[:rows]))
            width = min(k, count)
            if width == 0 or len(queries) == 0:
                return ids, similarity
            wanted = np.ascontiguousarray(queries, dtype=np.float32)
            probes = self._probes_for(width, count)
            found = self._probe(wanted, width, probes, allowed)
            short = np.flatnonzero(found[0][:, -1] < 0)
            if len(short):
                again = self._probe(wanted[short], width, int(self._index.nlist), allowed)
                found[0][short], found[1][short] = again
        ids[:, :width] = found[0]
        similarity[:, :width] = np.where(found[0] < 0, -np.inf, found[1])
        return ids, similarity

    def _probes_for(self, width: int, count: int) -> int:
        """Lists that hold enough allowed rows, assuming these are spread evenly."""
        lists: int = self._index.nlist
        per_list = count / lists
        by_width = _ENTRIES_PER_RESULT * width / per_list
        by_share = self.probes * self.size / count
        return min(math.ceil(max(by_width, by_share)), lists)

    def _probe(
        self, queries: NDArray[np.float32], width: int, probes: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        chosen = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        similarity, ids = self._index.search(
            queries, width, params=faiss.SearchParametersIVF(nprobe=probes, sel=chosen)
        )
        return ids, similarity


def list_count(rows: int) -> int:
    """Lists for so many rows: 4 sqrt(n) up to 1024, sqrt(n) from a million on.

    Finding a row's list costs as much as there are lists, at every addition; searching costs as much as
    the lists are long. In between, the first weighs more.
    """
    root = math.sqrt(rows)
    return max(1, round(min(4 * root, max(_LISTS, root))))


def _new(kind: ApproximateKind, dimension: int, lists: int) -> Any:
    quantizer = faiss.IndexFlatIP(dimension)
    if kind == "ivf-sq8":
        return faiss.IndexIVFScalarQuantizer(
            quantizer, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
    parts = max(m for m in range(1, max(dimension // 4, 1) + 1) if dimension % m == 0)
    index = faiss.IndexIVFPQ(quantizer, dimension, lists, parts, _PQ_BITS, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = _ITERATIONS
    index.pq.cp.min_points_per_centroid = 1
    index.pq.cp.max_points_per_centroid = _PQ_ROWS_PER_CODE
    return index


def _probes_needed(index: Any, sample: NDArray[np.float32]) -> int:
    """The fewest probed lists that lose almost none of the best hundred in the sample.

    Lost by probing, that is: measured against the same codes with all lists probed for PQ, whose codes
    cap recall, against exact search for SQ8. The queries are sample rows pushed half-way towards
    another row, since a real query is not among the indexed.
    """
    rng = np.random.default_rng(_SEED)
    depth = min(_RECALL_DEPTH, len(sample))
    one, other = rng.integers(len(sample), size=(2, _RECALL_QUERIES))
    queries = sample[one] + 0.5 * sample[other]
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.float32(1e-12))
    if isinstance(index, faiss.IndexIVFPQ):
        _, truth = index.search(queries, depth, params=faiss.SearchParametersIVF(nprobe=index.nlist))
    else:
        exact = ExactIndex(sample.shape[1])
        exact.add(np.arange(len(sample)), sample)
        truth, _ = exact.search(queries, depth)
    probes = 1
    while probes < index.nlist:
        _, found = index.search(queries, depth, params=faiss.SearchParametersIVF(nprobe=probes))
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
        if hits >= _RECALL * truth.size:
            break
        probes = math.ceil(probes * 1.3)
    return int(min(probes, index.nlist))


class _SharedLock:
    """Many may hold it shared, or one exclusively; who waits for exclusive goes first."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._sharing = 0
        self._waiting = 0
        self._exclusive = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._turn:
            self._turn.wait_for(lambda: not self._exclusive and not self._waiting)
            self._sharing += 1
        try:
            yield
        finally:
            with self._turn:
                self._sharing -= 1
                self._turn.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._turn:
            self._waiting += 1
            self._turn.wait_for(lambda: not self._exclusive and not self._sharing)
            self._waiting -= 1
            self._exclusive = True
        try:
            yield
        finally:
            with self._turn:
                self._exclusive = False
                self._turn.notify_all()
