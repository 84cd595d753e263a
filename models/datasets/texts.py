"""Real texts to learn words from, as lines.

A source is a function that reads unpacked packages and yields its texts; it is stored as `text.txt`: a line
a paragraph or message, lower case, its words parted by spaces, nothing else left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.source import Source, find, registering

TEXT = "text.txt"

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

TextConverter = Callable[[Path], Iterable[str]]


@dataclass(frozen=True)
class TextSource(Source):
    """convert: from the folder into which all packages were unpacked to paragraphs or messages.

    CACHE_VERSION covers how `words` tells words apart, too.
    """

    convert: TextConverter

    kind = "text"

    def convert_into(self, folder: Path, root: Path) -> None:
        with (folder / TEXT).open("w", encoding="utf-8") as file:
            for paragraph in self.convert(root):
                if tokens := words(paragraph):
                    file.write(" ".join(tokens) + "\n")


def source(
    name: str, *, packages: tuple[Package, ...], licence: str
) -> Callable[[TextConverter], TextConverter]:
    """Registers the decorated converter as the source `name`."""
    return registering(lambda convert: TextSource(name, packages, licence, "trains", convert))


def words(text: str) -> list[str]:
    """Returns the words of a text, lower case; an apostrophe within a word belongs to it."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def lines(name: str, home: Path, packages: Path | None = None) -> Iterator[list[str]]:
    """Yields the words of each line of a source, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    with (find(name, TextSource).fetch(home, packages) / TEXT).open(encoding="utf-8") as file:
        for line in file:
            yield line.split()
