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
from wordspot.models.datasets.source import Source, register

GENSIM = PythonPackage(
    "gensim",
    "4.4.0",
    "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    tags="cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
)
FILES = ("questions-words.txt", "wordsim353.tsv", "simlex999.txt")


@dataclass(frozen=True)
class Analogy:
    """a : b = c : d, lower case."""

    a: str
    b: str
    c: str
    d: str


@dataclass(frozen=True)
class AnalogySource(Source):
    """The analogy questions and word similarities of gensim's test data."""

    kind = "words"

    def convert_into(self, folder: Path, root: Path) -> None:
        for name in FILES:
            shutil.copy(root / "gensim/test/test_data" / name, folder)


ANALOGIES = register(
    AnalogySource("analogies", (GENSIM,), "Apache-2.0 (analogies); free for research (pairs)", "never trains")
)


def sections(home: Path) -> dict[str, list[Analogy]]:
    """Returns analogies by section, `family` for one."""
    by_section: dict[str, list[Analogy]] = {}
    with (ANALOGIES.fetch(home) / FILES[0]).open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(":"):
                section = by_section.setdefault(line[1:].strip(), [])
            else:
                section.append(Analogy(*line.lower().split()))
    return by_section


def likeness(home: Path) -> dict[str, list[tuple[str, str, float]]]:
    """Returns pairs of words in lower case with people's judgement of their similarity, by test."""
    by_test: dict[str, list[tuple[str, str, float]]] = {}
    for name in FILES[1:]:
        with (ANALOGIES.fetch(home) / name).open(encoding="utf-8") as lines:
            rows = [row for row in csv.reader(lines, delimiter="\t") if not row[0].startswith("#")]
        by_test[name.partition(".")[0]] = [
            (first.lower(), second.lower(), float(mean)) for first, second, mean in rows
        ]
    return by_test
