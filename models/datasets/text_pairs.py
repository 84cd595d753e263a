"""Texts that people answered with a text: documents with their titles, conversations with the next turn.

A source is a function that reads unpacked packages and yields pairs; it is registered with its packages,
licence and language. Each is converted once into `home/datasets/<source>/pairs.jsonl`, a line a pair.

Split by family (what its source calls one: the binaries of a source package, a conversation): 80 % train,
10 % validation, 10 % test.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.pictures import Split
from wordspot.models.datasets.speech import prepared, stamp
from wordspot.models.datasets.sprites import split_of

# Raised whenever a converter changes, so that older caches are made anew.
CACHE_VERSION = 1
MODULES = ("conversations", "headlines", "package_descriptions")
PAIRS = "pairs.jsonl"


@dataclass(frozen=True)
class Pair:
    """given: a document, or a conversation with a line a turn. answer: its title, or the next turn. family:
    unique within the source."""

    given: str
    answer: str
    family: str


Converter = Callable[[Path], Iterable[Pair]]


@dataclass(frozen=True)
class Source:
    """language: of vocabulary.LANGUAGES. split: how it is divided, in words. convert: from the folder into
    which all packages were unpacked."""

    name: str
    packages: tuple[Package, ...]
    licence: str
    language: str
    split: str
    convert: Converter


_sources: dict[str, Source] = {}


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, language: str, family: str
) -> Callable[[Converter], Converter]:
    """Registers the decorated converter as the source `name`. family: what stays together, in words."""

    def register(convert: Converter) -> Converter:
        if name in _sources:
            raise ValueError(f"source {name!r} is registered already")
        split = f"by {family}: 80 % train, 10 % validation, 10 % test"
        _sources[name] = Source(name, packages, licence, language, split, convert)
        return convert

    return register


def sources() -> dict[str, Source]:
    """All sources by name."""
    for module in MODULES:
        importlib.import_module(f"wordspot.models.datasets.{module}")
    return dict(sorted(_sources.items()))


def pairs(name: str, home: Path, packages: Path | None = None) -> dict[Split, list[Pair]]:
    """A source by splits, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    found: dict[Split, list[Pair]] = {"train": [], "validation": [], "test": []}
    with (prepare(name, home, packages) / PAIRS).open(encoding="utf-8") as lines:
        for line in lines:
            pair = Pair(**json.loads(line))
            found[split_of(f"{name} {pair.family}")].append(pair)
    return found


def prepare(name: str, home: Path, packages: Path | None = None) -> Path:
    """The folder of a source, converted on first use. Pairs that are there already are left out.

    Raises DatasetError.
    """
    known = sources()
    if name not in known:
        raise DatasetError(f"no pairs of texts {name!r}, there are {', '.join(known)}")
    one = known[name]

    def convert(root: Path, made: Path) -> None:
        seen = set()
        with (made / PAIRS).open("w", encoding="utf-8") as lines:
            for pair in one.convert(root):
                if (pair.given, pair.answer) not in seen:
                    seen.add((pair.given, pair.answer))
                    lines.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
        if not seen:
            raise DatasetError(f"source {name!r} yielded nothing")

    made_from = stamp(one.name, one.licence, one.packages, CACHE_VERSION)
    return prepared(home / "datasets" / name, made_from, one.packages, packages, convert)
