"""Approximate search by inverted lists: codes of one byte a number (SQ8), or product codes (PQ).

Lists are the cells of a spherical k-means (Sivic and Zisserman 2003, "Video Google"; Jegou, Douze and Schmid
2011, "Product quantization for nearest neighbor search", for the product codes), computed by FAISS. Each part
of a product code has four bits and codes the residual to the centre of the list, so that vector registers
look up 32 rows at a time (Andre, Kermarrec and Le Scouarnec 2015, "Cache locality is not enough").
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

from wordspot.indexer.vectors.exact import check_addition
from wordspot.indexer.vectors.protocol import IdSet

# The stubs that FAISS ships describe its C++ signatures, not the Python ones.
faiss: Any = untyped_faiss

ApproximateKind = Literal["ivf-sq8", "ivf-pq"]

ROWS_PER_LIST = 32
_LISTS = 1024
_ITERATIONS = 6
_SEED = 20_171
_PQ_BITS = 4
_PQ_PARTS = 64  # of a row at most, half a byte each, and of two numbers at least
_PQ_ROWS_PER_CODE = 1024
MIN_TRAINING_ROWS = 256
_ROWS_PER_ADDITION = 2048
# From so many rows on FAISS trains with several threads. For fewer they synchronise longer than they work, on
# a busy machine by minutes.
_MULTITHREADED_ROWS = 1 << 17
# FAISS decodes codes with SIMD, five times as fast, if their length is a multiple of this.
_LANES = 16
# The recall that the number of probed lists is chosen for: 0.95 is documented, the rest is a margin.
_RECALL = 0.97
_MIN_RECALL_GAIN = 0.005
CALIBRATION_DEPTH = 100
# Rows that are found by their codes and rescored by what is stored: by the rows requested, and at least. Each
# may lie on a page of its own, so more cost time.
RESCORING_FACTOR = 2
MIN_RESCORED_ROWS = 1_000
_ENTRIES_PER_RESULT = 4
# The number of lists grows with this power of the results requested among the allowed rows. Measured on naive
# vectors of speech, where 0.2 was enough for 1 to 1,000 times the results.
_DEPTH_EXPONENT = 0.25


class FaissIndex:
    """An inverted-list index with trained lists.

    Adding while other threads search is safe: searches run concurrently, an addition waits for them and runs
    exclusively, a few milliseconds at a time.

    Attributes:
        kind: of its codes.
        dimension: D of the rows, which are stored with zeros appended.
        probes: lists that are searched for the best hundred among all rows; more for larger k or fewer
            allowed rows.
        trained_for: number of rows that the number of lists was chosen for.
        last: the largest id added, -1 for none.
    """

    def __init__(
        self,
        kind: ApproximateKind,
        index: Any,
        *,
        dimension: int,
        probes: int,
        trained_for: int,
        last: int = -1,
    ) -> None:
        self.kind = kind
        self.dimension = dimension
        self.probes = probes
        self.trained_for = trained_for
        self.last = last
        self._index = index
        self._lock = _ReadWriteLock()

    @classmethod
    def trained(cls, kind: ApproximateKind, sample: NDArray[np.float32], rows: int) -> FaissIndex:
        """Returns an empty index for about `rows` vectors, trained on a sample (m, D) of unit rows.

        It probes all lists until it is calibrated.

        Raises:
            ValueError: for a sample of fewer than MIN_TRAINING_ROWS.
        """
        if len(sample) < MIN_TRAINING_ROWS:
            raise ValueError(f"training rows must be at least {MIN_TRAINING_ROWS}, got {len(sample)}")
        padded = _padded(sample)
        lists = min(list_count(rows), max(len(sample) // 8, 1))
        index = _empty_index(kind, padded.shape[1], lists)
        index.cp.spherical = True
        index.cp.niter = _ITERATIONS
        index.cp.seed = _SEED
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = ROWS_PER_LIST
        with _thread_count(None if len(sample) >= _MULTITHREADED_ROWS else 1):
            index.train(padded)
        return cls(kind, index, dimension=sample.shape[1], probes=lists, trained_for=rows)

    @classmethod
    def load(
        cls, path: Path, kind: ApproximateKind, *, dimension: int, probes: int, trained_for: int, last: int
    ) -> FaissIndex:
        """Reads what `save` wrote. The file must be trusted, as FAISS does not check its input."""
        index = faiss.read_index(str(path))
        return cls(kind, index, dimension=dimension, probes=probes, trained_for=trained_for, last=last)

    def calibrate(self, queries: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """Sets the smallest number of probed lists with a recall of 0.97, or beyond which more do not help.

        Args:
            queries: (q, D) unit rows.
            truth: (q, CALIBRATION_DEPTH), ids of their exact neighbours, -1 for none. A neighbour counts as
                recalled if it is among the rows that are rescored.
        """
        padded = _padded(queries)
        depth = rescoring_depth(truth.shape[1])
        relevant = max(int(np.count_nonzero(truth >= 0)), 1)
        probes, previous_recall = 1, -1.0
        while probes < self._index.nlist:
            ids, _ = self._probe(padded, depth, probes, None)
            recalled: int = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(ids, truth, strict=True))
            recall = recalled / relevant
            if recall >= _RECALL or 0 < recall - previous_recall < _MIN_RECALL_GAIN:
                break
            probes, previous_recall = math.ceil(probes * 1.3), recall
        self.probes = int(min(probes, self._index.nlist))

    def save(self, path: Path) -> None:
        """Writes the index. Raises OSError if the file cannot be written."""
        with self._lock.reading():
            data = faiss.serialize_index(self._index)
        with path.open("wb") as file:
            file.write(data.data)

    @property
    def size(self) -> int:
        """Vectors added so far."""
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Adds vectors (n, D), unit rows, under ids (n,)."""
        check_addition(ids, vectors, self.last, self.dimension)
        for first in range(0, len(vectors), _ROWS_PER_ADDITION):
            part = slice(first, first + _ROWS_PER_ADDITION)
            rows, numbers = _padded(vectors[part]), np.ascontiguousarray(ids[part], dtype=np.int64)
            with self._lock.writing():
                self._index.add_with_ids(rows, numbers)
                self.last = int(numbers[-1])

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with self._lock.reading():
            # The allowed ids are spread over the indexes of all classes; their share is taken to be the same
            # in each.
            share = 1.0 if allowed is None else allowed.count / max(allowed.size, 1)
            count = max(share * self.size, 1.0)
            width = min(k, self.size, self.size if allowed is None else allowed.count)
            if width == 0 or len(queries) == 0:
                return ids, similarity
            padded = _padded(queries)
            nearest = self._probe(padded, width, self._probes_for(width, count), allowed)
            incomplete = np.flatnonzero(nearest[0][:, -1] < 0)
            if len(incomplete):
                exhaustive = self._probe(padded[incomplete], width, int(self._index.nlist), allowed)
                nearest[0][incomplete], nearest[1][incomplete] = exhaustive
        ids[:, :width] = nearest[0]
        similarity[:, :width] = np.where(nearest[0] < 0, -np.inf, nearest[1])
        return ids, similarity

    def _probes_for(self, width: int, count: float) -> int:
        """Returns the lists to probe: more than calibrated where more results of fewer rows are requested."""
        lists: int = self._index.nlist
        depth = max(width / rescoring_depth(CALIBRATION_DEPTH) * self.size / count, 1.0)
        enough = _ENTRIES_PER_RESULT * width * lists / count
        probes: float = max(self.probes * depth**_DEPTH_EXPONENT, enough)
        return min(math.ceil(probes), lists)

    def _probe(
        self, queries: NDArray[np.float32], width: int, probes: int, allowed: IdSet | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed.bits)
        # A search takes less time than starting threads.
        with _thread_count(1):
            similarity, ids = self._index.search(
                queries, width, params=faiss.SearchParametersIVF(nprobe=probes, sel=selector)
            )
        return ids, similarity


def rescoring_depth(k: int) -> int:
    """Returns how many rows are rescored to find the best k."""
    return max(RESCORING_FACTOR * k, MIN_RESCORED_ROWS)


def set_thread_count(threads: int) -> None:
    """Sets how many threads FAISS uses for calls of this thread other than searches."""
    faiss.omp_set_num_threads(threads)


@contextmanager
def _thread_count(count: int | None) -> Iterator[None]:
    """Sets the number of threads of FAISS inside the context; None leaves it unchanged."""
    before = faiss.omp_get_max_threads()
    set_thread_count(count or before)
    try:
        yield
    finally:
        set_thread_count(before)


def list_count(rows: int) -> int:
    """Returns the number of lists for n rows: 4 sqrt(n) up to 1024, sqrt(n) / 2 from four million on.

    Adding a row costs time in proportion to the number of lists, searching in proportion to their length. In
    between, the first weighs more.
    """
    root = math.sqrt(rows)
    return max(1, round(min(4 * root, max(_LISTS, root / 2))))


def _empty_index(kind: ApproximateKind, dimension: int, lists: int) -> Any:
    quantizer = faiss.IndexFlatIP(dimension)
    if kind == "ivf-sq8":
        return faiss.IndexIVFScalarQuantizer(
            quantizer, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
    parts = max(m for m in range(1, min(dimension // 2, _PQ_PARTS) + 1) if dimension % m == 0)
    index = faiss.IndexIVFPQFastScan(quantizer, dimension, lists, parts, _PQ_BITS, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.pq.cp.niter = _ITERATIONS
    index.pq.cp.min_points_per_centroid = 1
    index.pq.cp.max_points_per_centroid = _PQ_ROWS_PER_CODE
    return index


def _padded(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns rows (n, D) padded with zeros to a multiple of _LANES, which changes no inner product."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // _LANES) * _LANES), dtype=np.float32)
    padded[:, : rows.shape[1]] = rows
    return padded


class _ReadWriteLock:
    """A readers-writer lock that prefers writers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._waiting_writers = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Shares the lock with other readers inside the context."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting_writers)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lock exclusively inside the context."""
        with self._changed:
            self._waiting_writers += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._waiting_writers -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
