"""What the words of WordNet 3.0 mean, with examples (Princeton University).

Package: Debian `wordnet-base` (the WordNet licence, which allows any use). A gloss is preceded by its words,
which are what it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.texts import source

PACKAGE = Package(
    "wordnet-base", "1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"
)
PARTS = ("adj", "adv", "noun", "verb")


@source("wordnet", packages=(PACKAGE,), licence="WordNet-3.0")
def convert(root: Path) -> Iterator[str]:
    """Yields the words of each set of synonyms with its gloss."""
    for part in PARTS:
        with (root / f"usr/share/wordnet/data.{part}").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("  "):  # the licence
                    continue
                fields, _, gloss = line.partition("|")
                entry = fields.split()
                words = entry[4 : 4 + 2 * int(entry[3], 16) : 2]
                yield f"{' '.join(words).replace('_', ' ')} {gloss}"
