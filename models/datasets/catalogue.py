"""Every data source: what `wordspot data` lists and fetches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets import pictures, speech
from wordspot.models.datasets.package import DatasetError


@dataclass(frozen=True)
class Entry:
    """kind: speech or pictures. split: how it is divided, in words. packages: what it is fetched from.
    fetched: whether it lies below the state folder."""

    name: str
    kind: str
    licence: str
    split: str
    packages: tuple[str, ...]
    fetched: bool


def entries(home: Path) -> list[Entry]:
    """In order of kind and name."""
    found = [
        Entry(one.name, "pictures", one.licence, one.split, _names(one), _fetched(one.name, home))
        for one in pictures.sources().values()
    ]
    found += [
        Entry(one.name, "speech", one.licence, _held_out(one), _names(one), _fetched(one.name, home))
        for one in speech.sources().values()
    ]
    return found


def fetch(name: str, home: Path) -> Path:
    """The folder of a source, fetched and converted where it is not there yet. Raises DatasetError."""
    if name in pictures.sources():
        return pictures.prepare(name, home)
    if name in speech.sources():
        speech.clips(name, home)
        return home / "datasets" / name
    known = sorted([*pictures.sources(), *speech.sources()])
    raise DatasetError(f"no data source {name!r}; there are {', '.join(known)}")


def _names(one: pictures.Source | speech.Source) -> tuple[str, ...]:
    return tuple(f"{package.name} {package.version}" for package in one.packages)


def _held_out(one: speech.Source) -> str:
    if one.held_out == 1:
        return "never trains"
    return f"{1 - one.held_out:.0%} train, by scene" if one.held_out else "trains"


def _fetched(name: str, home: Path) -> bool:
    return speech.read_stamp(home / "datasets" / name) is not None
