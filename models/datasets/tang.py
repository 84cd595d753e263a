"""Poems of the Tang in traditional characters, from the Complete Tang Poems.

Package: `chinese-poetry` of the npm registry (MIT). A paragraph is a poem; its characters are its words.
Poems with marks of missing or doubtful characters are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import NpmPackage
from wordspot.models.datasets.texts import source

PACKAGE = NpmPackage(
    "chinese-poetry",
    "2.0.1",
    "25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
)
DOUBTFUL = frozenset("《》（）□")


@source("tang", packages=(PACKAGE,), licence="MIT")
def convert(root: Path) -> Iterator[str]:
    """Yields the poems with spaces between characters, so that each is a word."""
    for text in texts(root):
        yield " ".join(text)


def texts(root: Path) -> Iterator[str]:
    """Yields the poems without doubtful characters, with their punctuation. root: the unpacked package's
    folder."""
    for path in sorted((root / "package/dist/quantangshi").glob("poet.tang.*.json")):
        for poem in json.loads(path.read_text(encoding="utf-8")):
            text = "".join(poem["paragraphs"])
            if not DOUBTFUL & set(text):
                yield text
