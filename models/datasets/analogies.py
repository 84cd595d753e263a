"""Questions about words, to judge vectors by.

Package: `gensim` of the Python package index, which brings as test data: the 19,544 analogies of word2vec
(Mikolov et al. 2013, Apache-2.0) and the pairs of WordSim-353 (Finkelstein et al. 2002) and SimLex-999 (Hill
et al. 2015) with people's judgement of their likeness.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.package import PythonPackage
from wordspot.models.datasets.speech import prepared, stamp

GENSIM = PythonPackage(
    "gensim",
    "4.4.0",
    "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    tags="cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
)
CACHE_VERSION = 1
NAME = "analogies"
LICENCE = "Apache-2.0 (analogies); free for research (pairs)"
FILES = ("questions-words.txt", "wordsim353.tsv", "simlex999.txt")


@dataclass(frozen=True)
class Analogy:
    """a : b = c : d, lower case."""

    a: str
    b: str
    c: str
    d: str


def prepare(home: Path, packages: Path | None = None) -> Path:
    """The folder of the files, fetched on first use. Raises DatasetError."""
    folder = home / "datasets" / NAME
    made_from = stamp(NAME, LICENCE, (GENSIM,), CACHE_VERSION)

    def convert(root: Path, made: Path) -> None:
        for name in FILES:
            shutil.copy(root / "gensim/test/test_data" / name, made)

    return prepared(folder, made_from, (GENSIM,), packages, convert)


def sections(home: Path) -> dict[str, list[Analogy]]:
    """Analogies by section, `family` for one."""
    found: dict[str, list[Analogy]] = {}
    with (prepare(home) / FILES[0]).open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(":"):
                section = found.setdefault(line[1:].strip(), [])
            else:
                section.append(Analogy(*line.lower().split()))
    return found


def likeness(home: Path) -> dict[str, list[tuple[str, str, float]]]:
    """Pairs of words, lower case, and how alike people found them; by test."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for name in FILES[1:]:
        with (prepare(home) / name).open(encoding="utf-8") as lines:
            rows = [row for row in csv.reader(lines, delimiter="\t") if not row[0].startswith("#")]
        found[name.partition(".")[0]] = [(one.lower(), two.lower(), float(mean)) for one, two, mean in rows]
    return found
