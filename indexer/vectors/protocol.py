"""What every vector index promises."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among unit rows.

    Ids are positions: the caller adds 0, 1, 2, ... in order, each once. The index copies what it is
    given. Larger similarity is more similar.
    """

    @property
    def size(self) -> int:
        """Vectors added so far."""
        ...

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """ids (n,), vectors (n, D) unit rows."""
        ...

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """queries (q, D) unit rows; allowed (size,) by id, None means all.

        Returns ids (q, k) and similarity (q, k), best first; missing places are id -1 and -inf.
        """
        ...


def normalised(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Unit rows as a new float32 array (n, D); a zero row stays zero. Used by build and query alike."""
    rows = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(norms, np.float32(1e-12)))
