"""Descriptions of the packages of Debian 12 as pairs: the long one, and the short one, its title.

Lists that apt keeps: `Translation-en` for the descriptions, `Packages` for what they were built from. A
family are the packages of one source package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from wordspot.models.datasets.package import AptIndex
from wordspot.models.datasets.text_pairs import Pair, source

DESCRIPTIONS = AptIndex(
    "i18n_Translation-en", "12.15", "62f59c3cdca9786e4f7adf9002f9f5729a684adcb4667e58e448dec9b5a46c7f"
)
PACKAGES = AptIndex(
    "binary-amd64_Packages", "12.15", "515e692f2c4121c6fcec444ef100cc18f79a991910615f3a88c8b7becfc94d2f"
)
SHORTEST = 10  # words of a long description
TITLE = range(2, 15)  # words of a short one

_SPACE = re.compile(r"\s+")


@source(
    "package-descriptions",
    packages=(DESCRIPTIONS, PACKAGES),
    licence="each package's own",
    language="en",
    family="source package",
)
def convert(root: Path) -> Iterator[Pair]:
    """Yields long descriptions of Debian packages with their one-line titles, by source package."""
    with (root / PACKAGES.file_name).open(encoding="utf-8") as lines:
        sources = {
            stanza["Package"]: stanza.get("Source", stanza["Package"]).split()[0] for stanza in stanzas(lines)
        }
    with (root / DESCRIPTIONS.file_name).open(encoding="utf-8") as lines:
        for stanza in stanzas(lines):
            title, _, rest = stanza["Description-en"].partition("\n")
            long = " ".join(_SPACE.sub(" ", line).strip() for line in rest.split("\n") if line.strip(" ."))
            if len(title.split()) in TITLE and len(long.split()) >= SHORTEST:
                yield Pair(long, title, sources.get(stanza["Package"], stanza["Package"]))


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yields the fields of each stanza by name; a further line of a field is kept."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0].isspace():
            fields[name] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields
