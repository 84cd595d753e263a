"""A few hundred articles of the English Wikipedia of 2010, from A on.

Package: `gensim` of the Python package index, which brings them as test data (CC-BY-SA-3.0). Tables,
templates, references and markup are left out.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from wordspot.models.datasets.analogies import GENSIM
from wordspot.models.datasets.texts import source

FILE = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

_NESTED = re.compile(r"\{\{[^{}]*\}\}|\{\|[^{}]*\|\}")
_DROPPED = re.compile(
    r"<!--.*?-->|<ref[^>/]*/>|<(ref|math|code|gallery)\b.*?</\1>|<[^>]*>|\[\[(?:File|Image|Category):[^]]*\]\]"
    r"|https?://\S+|'{2,}",
    re.DOTALL | re.IGNORECASE,
)
_LINK = re.compile(r"\[\[(?:[^]|]*\|)?([^]|]*)\]\]")


@source("wikipedia", packages=(GENSIM,), licence="CC-BY-SA-3.0")
def convert(root: Path) -> Iterator[str]:
    """Yields the lines of articles without their markup."""
    with bz2.open(root / FILE) as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag.endswith("}text") and element.text:
                yield from _plain(element.text).splitlines()
            element.clear() if element.tag.endswith("}page") else None


def _plain(text: str) -> str:
    before = ""
    while text != before:  # templates lie within templates
        before, text = text, _NESTED.sub(" ", text)
    return _LINK.sub(r"\1", _DROPPED.sub(" ", text))
