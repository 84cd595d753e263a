"""Approximate search by inverted lists: codes of one byte a number (SQ8), or product codes (PQ).

Lists are the cells of a spherical k-means (Sivic and Zisserman 2003; Jegou, Douze and Schmid 2011,
"Product quantization for nearest neighbor search", for the product codes), computed by FAISS. A part of a
product code has four bits and codes what its list's centre leaves over, so that vector registers look up 32
rows at a time (Andre, Kermarrec and Le Scouarnec 2015, "Cache locality is not enough").
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
MINIMUM_TRAINING_ROWS = 256
_ADDED_AT_ONCE = 2048
# Rows from which on FAISS trains with several threads. For fewer they wait for one another longer than they
# work, on a busy machine by minutes.
_WORTH_THREADS = 1 << 17
# Codes are decoded with SIMD where their length is a multiple of this, five times as fast.
_LANES = 16
# The recall that the number of probed lists is chosen for: what is promised, 0.95, and some headroom.
_RECALL = 0.97
_WORTHWHILE = 0.005
CALIBRATION_DEPTH = 100
# So many times the rows asked for, and so many at least, are looked up by their codes and scored by what is
# stored: each may lie on a page of its own, so there is a price to more.
RESCORED = 2
LEAST_RESCORED = 1_000
_ENTRIES_PER_RESULT = 4
# Lists needed grow with this power of the results asked for among the allowed rows. Measured on naive
# vectors of speech, where 0.2 was enough for 1 to 1,000 times the results.
_DEPTH_EXPONENT = 0.25


class FaissIndex:
    """An inverted-list index with trained lists.

    Adding while others search is safe: searches run together, an addition waits for them and runs
    alone, a few milliseconds at a time.

    dimension: D of the rows, which are stored with zeros behind.
    probes: lists looked at for the best hundred among all rows; more for larger k or fewer allowed rows.
    trained_for: how many rows the number of lists was chosen for.
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
        self._lock = _SharedLock()

    @classmethod
    def trained(cls, kind: ApproximateKind, sample: NDArray[np.float32], rows: int) -> FaissIndex:
        """An empty index for about `rows` vectors, trained on sample (m, D), unit rows.

        It probes all lists until it is calibrated.
        Raises ValueError for fewer than MINIMUM_TRAINING_ROWS.
        """
        if len(sample) < MINIMUM_TRAINING_ROWS:
            raise ValueError(f"{len(sample)} training rows; at least {MINIMUM_TRAINING_ROWS} are needed")
        padded = _padded(sample)
        lists = min(list_count(rows), max(len(sample) // 8, 1))
        index = _new(kind, padded.shape[1], lists)
        index.cp.spherical = True
        index.cp.niter = _ITERATIONS
        index.cp.seed = _SEED
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = ROWS_PER_LIST
        with _threads(None if len(sample) >= _WORTH_THREADS else 1):
            index.train(padded)
        return cls(kind, index, dimension=sample.shape[1], probes=lists, trained_for=rows)

    @classmethod
    def load(
        cls, path: Path, kind: ApproximateKind, *, dimension: int, probes: int, trained_for: int, last: int
    ) -> FaissIndex:
        """Reads what `save` wrote. The caller vouches for the file: FAISS does not check its input."""
        index = faiss.read_index(str(path))
        return cls(kind, index, dimension=dimension, probes=probes, trained_for=trained_for, last=last)

    def calibrate(self, queries: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """Chooses the fewest probed lists that find 0.97 of truth, or beyond which more do not help.

        queries (q, D) unit rows; truth (q, CALIBRATION_DEPTH): ids of their exact neighbours, -1 for none.
        Found is what is among rescored(CALIBRATION_DEPTH), since those are what the best are chosen from.
        """
        wanted = _padded(queries)
        depth = rescored(truth.shape[1])
        total = max(int(np.count_nonzero(truth >= 0)), 1)
        probes, before = 1, -1.0
        while probes < self._index.nlist:
            found, _ = self._probe(wanted, depth, probes, None)
            shared: int = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(found, truth, strict=True))
            recall = shared / total
            if recall >= _RECALL or 0 < recall - before < _WORTHWHILE:
                break
            probes, before = math.ceil(probes * 1.3), recall
        self.probes = int(min(probes, self._index.nlist))

    def save(self, path: Path) -> None:
        """Raises OSError where the file cannot be written."""
        with self._lock.shared():
            data = faiss.serialize_index(self._index)
        with path.open("wb") as file:
            file.write(data.data)

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """ids (n,), vectors (n, D) unit rows."""
        check_addition(ids, vectors, self.last, self.dimension)
        for first in range(0, len(vectors), _ADDED_AT_ONCE):
            part = slice(first, first + _ADDED_AT_ONCE)
            rows, numbers = _padded(vectors[part]), np.ascontiguousarray(ids[part], dtype=np.int64)
            with self._lock.exclusive():
                self._index.add_with_ids(rows, numbers)
                self.last = int(numbers[-1])

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As VectorIndex.search."""
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with self._lock.shared():
            # What others of the allowed are in indexes of their own, nobody counts: their share is taken
            # to be the same everywhere.
            share = 1.0 if allowed is None else allowed.count / max(allowed.size, 1)
            count = max(share * self.size, 1.0)
            width = min(k, self.size, self.size if allowed is None else allowed.count)
            if width == 0 or len(queries) == 0:
                return ids, similarity
            wanted = _padded(queries)
            probes = self._probes_for(width, count)
            found = self._probe(wanted, width, probes, allowed)
            short = np.flatnonzero(found[0][:, -1] < 0)
            if len(short):
                again = self._probe(wanted[short], width, int(self._index.nlist), allowed)
                found[0][short], found[1][short] = again
        ids[:, :width] = found[0]
        similarity[:, :width] = np.where(found[0] < 0, -np.inf, found[1])
        return ids, similarity

    def _probes_for(self, width: int, count: float) -> int:
        """More than calibrated as the results asked for reach deeper into the rows."""
        lists: int = self._index.nlist
        depth = max(width / rescored(CALIBRATION_DEPTH) * self.size / count, 1.0)
        enough = _ENTRIES_PER_RESULT * width * lists / count
        wanted: float = max(self.probes * depth**_DEPTH_EXPONENT, enough)
        return min(math.ceil(wanted), lists)

    def _probe(
        self, queries: NDArray[np.float32], width: int, probes: int, allowed: IdSet | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        chosen = None if allowed is None else faiss.IDSelectorBitmap(allowed.bits)
        # A search is over sooner than threads have met.
        with _threads(1):
            similarity, ids = self._index.search(
                queries, width, params=faiss.SearchParametersIVF(nprobe=probes, sel=chosen)
            )
        return ids, similarity


def rescored(k: int) -> int:
    """How many rows the best k are chosen from, by their stored rows."""
    return max(RESCORED * k, LEAST_RESCORED)


def divide_among(threads: int) -> None:
    """How many threads FAISS uses for what the calling thread asks of it, but for searches."""
    faiss.omp_set_num_threads(threads)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many threads of FAISS's own meanwhile; None leaves them as they are."""
    before = faiss.omp_get_max_threads()
    divide_among(count or before)
    try:
        yield
    finally:
        divide_among(before)


def list_count(rows: int) -> int:
    """Lists for so many rows: 4 sqrt(n) up to 1024, sqrt(n) / 2 from four million on.

    Finding a row's list costs as much as there are lists, at every addition; searching costs as much as
    the lists are long. In between, the first weighs more.
    """
    root = math.sqrt(rows)
    return max(1, round(min(4 * root, max(_LISTS, root / 2))))


def _new(kind: ApproximateKind, dimension: int, lists: int) -> Any:
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
    """Rows (n, D) with zeros up to a multiple of _LANES, which change no inner product."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // _LANES) * _LANES), dtype=np.float32)
    padded[:, : rows.shape[1]] = rows
    return padded


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
