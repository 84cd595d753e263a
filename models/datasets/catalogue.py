"""Every data source: what `wordspot data` lists and fetches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets import (
    analogies,
    captioned,
    fonts,
    glove,
    pictures,
    poems,
    speech,
    text_pairs,
    texts,
)
from wordspot.models.datasets.package import DatasetError, Package


@dataclass(frozen=True)
class Entry:
    """kind: speech, pictures, captions, text, pairs of texts, words or font. split: how it is divided, in
    words. packages: what it is fetched from. fetched: whether it lies below the state folder."""

    name: str
    kind: str
    licence: str
    split: str
    packages: tuple[str, ...]
    fetched: bool


@dataclass(frozen=True)
class Single:
    """A source of its own kind. prepare: fetches it into the state folder, and gives the folder."""

    kind: str
    licence: str
    split: str
    package: Package
    prepare: Callable[[Path], Path]


SINGLES: Mapping[str, Single] = {
    analogies.NAME: Single("words", analogies.LICENCE, "never trains", analogies.GENSIM, analogies.prepare),
    fonts.NAME: Single("font", fonts.LICENCE, "never trains", fonts.PACKAGE, fonts.prepare),
    glove.NAME: Single("words", glove.LICENCE, "trained already", glove.PACKAGE, glove.prepare),
    poems.NAME: Single("text", poems.LICENCE, poems.SPLIT, poems.PACKAGE, poems.prepare),
}


def entries(home: Path) -> list[Entry]:
    """In order of kind and name."""
    found = [
        Entry(one.name, "pictures", one.licence, one.split, _names(one.packages), _fetched(one.name, home))
        for one in pictures.sources().values()
    ]
    for kind, some in (("captions", captioned.sources()), ("pairs of texts", text_pairs.sources())):
        found += [
            Entry(one.name, kind, one.licence, one.split, _names(one.packages), _fetched(one.name, home))
            for one in some.values()
        ]
    found += [
        Entry(one.name, "speech", one.licence, _held_out(one), _names(one.packages), _fetched(one.name, home))
        for one in speech.sources().values()
    ]
    found += [
        Entry(one.name, "text", one.licence, "trains", _names(one.packages), _fetched(one.name, home))
        for one in texts.sources().values()
    ]
    found += [
        Entry(name, one.kind, one.licence, one.split, _names((one.package,)), _fetched(name, home))
        for name, one in SINGLES.items()
    ]
    return sorted(found, key=lambda entry: (entry.kind, entry.name))


def fetch(name: str, home: Path) -> Path:
    """The folder of a source, fetched and converted where it is not there yet. Raises DatasetError."""
    if name in pictures.sources():
        return pictures.prepare(name, home)
    if name in speech.sources():
        speech.clips(name, home)
        return home / "datasets" / name
    for kind in (texts, captioned, text_pairs):
        if name in kind.sources():
            folder: Path = kind.prepare(name, home)
            return folder
    if name in SINGLES:
        return SINGLES[name].prepare(home)
    kinds = (pictures, speech, texts, captioned, text_pairs)
    known = sorted([*(name for kind in kinds for name in kind.sources()), *SINGLES])
    raise DatasetError(f"no data source {name!r}; there are {', '.join(known)}")


def _names(packages: Iterable[Package]) -> tuple[str, ...]:
    return tuple(f"{package.name} {package.version}" for package in packages)


def _held_out(one: speech.Source) -> str:
    if one.held_out == 1:
        return "never trains"
    return f"{1 - one.held_out:.0%} train, by scene" if one.held_out else "trains"


def _fetched(name: str, home: Path) -> bool:
    return speech.read_stamp(home / "datasets" / name) is not None
