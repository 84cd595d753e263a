"""The GNU Collaborative International Dictionary of English: definitions and quotations.

Package: Debian `dict-gcide` (GPL-2+); the text is Webster's of 1913 with additions. What stands between a
headword and its definition (pronunciation, inflection, origin), marks of the source and names of those quoted
are left out.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.texts import source

PACKAGE = Package(
    "dict-gcide",
    "0.48.5+nmu2",
    "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
)

_MARKED = re.compile(r"\[[^]]*\]|\\[^\\]*\\|--[A-Z][^\n]*|[{}]")


@source("gcide", packages=(PACKAGE,), licence="GPL-2.0-or-later")
def convert(root: Path) -> Iterator[str]:
    """Yields the paragraphs of the dictionary without their markup."""
    with gzip.open(root / "usr/share/dictd/gcide.dict.dz", "rt", encoding="utf-8", errors="replace") as file:
        text = file.read()
    for paragraph in text.split("\n\n"):
        yield " ".join(_MARKED.sub(" ", paragraph).split())
