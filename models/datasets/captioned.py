"""Pictures and clips that somebody said in words what they show, and how they are divided.

A source is a function that reads unpacked packages and yields what is shown; it is registered with its
packages and licence. Each is converted once into `home/datasets/<source>/`: `pixels.npz`, and a line for
each in `captions.jsonl`.

Split by family: what its source calls a family (an emoji in all its skin tones, all stamps of one name, all
clips of one unit in one action) is on one side, so are families of which two pictures are the same.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from torch import Tensor

from wordspot.models.conditional.vocabulary import LANGUAGES
from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.pictures import Split
from wordspot.models.datasets.speech import prepared, stamp
from wordspot.models.datasets.sprites import split_of

# Raised whenever a converter changes, so that older caches are made anew.
CACHE_VERSION = 1
MODULES = ("openclipart", "openmoji", "stamps", "wesnoth")
PIXELS, CAPTIONS = "pixels.npz", "captions.jsonl"
SPLIT = "by family: 80 % train, 10 % validation, 10 % test"
LONGEST = 12  # English words and marks
ALIKE = 0.02  # root of the mean squared difference, of white, up to which pictures are the same
PATCH = 6  # pixels
MOST_OF_FAMILY = 6  # of those that are held out


@dataclass(frozen=True)
class Shown:
    """pixels: uint8 (H, W, 3), or (T, H, W, 3) of a clip; all of a source are equally large. texts: captions
    by language, English ones always. family: unique within the source. split: where the source says so
    itself."""

    pixels: NDArray[np.uint8]
    texts: Mapping[str, str]
    family: str
    split: Split | None = None


Converter = Callable[[Path], Iterable[Shown]]


@dataclass(frozen=True)
class Source:
    """convert: from the folder into which all packages were unpacked. split: how it is divided, in words."""

    name: str
    packages: tuple[Package, ...]
    licence: str
    convert: Converter
    split: str


_sources: dict[str, Source] = {}


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, split: str = SPLIT
) -> Callable[[Converter], Converter]:
    """Registers the decorated converter as the source `name`."""

    def register(convert: Converter) -> Converter:
        if name in _sources:
            raise ValueError(f"source {name!r} is registered already")
        _sources[name] = Source(name, packages, licence, convert, split)
        return convert

    return register


def sources() -> dict[str, Source]:
    """All sources by name."""
    for module in MODULES:
        importlib.import_module(f"wordspot.models.datasets.{module}")
    return dict(sorted(_sources.items()))


@dataclass(frozen=True)
class Captions:
    """pixels: uint8 (N, H, W, C), or (N, T, H, W, C) of clips. texts, families: one of each."""

    pixels: NDArray[np.uint8]
    texts: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, rows: Sequence[int]) -> Captions:
        """Some, in the given order."""
        texts, families = (tuple(one[row] for row in rows) for one in (self.texts, self.families))
        return Captions(self.pixels[np.asarray(rows, np.int64)], texts, families)

    def tensor(self) -> Tensor:
        """float32 (N, C, H, W) or (N, T, C, H, W), 0 to 1."""
        return torch.from_numpy(self.pixels).movedim(-1, -3).float() / 255


def captions(
    names: Sequence[str], language: str, home: Path, packages: Path | None = None
) -> dict[Split, Captions]:
    """What the sources have in a language, converted on first use.

    Captions of more than LONGEST English words, and those with an English word that only one family of these
    sources has, which nobody could learn and be asked, are left out. Of a family that is held out, at most
    MOST_OF_FAMILY are taken, from all over it.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    parts = [_read(name, prepare(name, home, packages)) for name in names]
    rows = [row for _, some in parts for row in some]
    english = [LANGUAGES["en"].split(row["en"]) for row in rows]
    short = [n for n, row in enumerate(rows) if language in row and len(english[n]) <= LONGEST]
    kept = _common([(rows[n]["family"], set(english[n])) for n in short])
    numbers = [short[place] for place in kept]
    pixels = np.concatenate([shown for shown, _ in parts])
    heads = _related([rows[n]["family"] for n in numbers], pixels[numbers])
    splits: dict[str, Split] = {row["family"]: cast(Split, row["split"]) for row in rows}
    sides: dict[Split, list[int]] = {"train": [], "validation": [], "test": []}
    families: dict[str, list[int]] = {}
    for n in numbers:
        families.setdefault(rows[n]["family"], []).append(n)
    for family, some in families.items():
        split = splits[heads[family]]
        most = len(some) if split == "train" else MOST_OF_FAMILY
        sides[split] += [some[place] for place in _apart(len(some), most)]
    return {
        split: Captions(
            pixels[some := sorted(chosen)],
            tuple(rows[n][language] for n in some),
            tuple(rows[n]["family"] for n in some),
        )
        for split, chosen in sides.items()
    }


def prepare(name: str, home: Path, packages: Path | None = None) -> Path:
    """The folder of a source, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    known = sources()
    if name not in known:
        raise DatasetError(f"no captions {name!r}, there are {', '.join(known)}")
    one = known[name]

    def convert(root: Path, made: Path) -> None:
        shown = list(one.convert(root))
        if not shown:
            raise DatasetError(f"source {name!r} yielded nothing")
        np.savez_compressed(made / PIXELS, pixels=np.stack([some.pixels for some in shown]))
        with (made / CAPTIONS).open("w", encoding="utf-8") as lines:
            for some in shown:
                family = f"{name}/{some.family}"
                row = {"family": family, "split": some.split or split_of(family), **some.texts}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    made_from = stamp(one.name, one.licence, one.packages, CACHE_VERSION)
    return prepared(home / "datasets" / name, made_from, one.packages, packages, convert)


def _read(name: str, folder: Path) -> tuple[NDArray[np.uint8], list[dict[str, str]]]:
    """Pixels and lines of a source."""
    with (folder / CAPTIONS).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with np.load(folder / PIXELS, allow_pickle=False) as arrays:
        return arrays["pixels"], rows


def _common(said: Sequence[tuple[str, set[str]]]) -> list[int]:
    """Those of whose words each is said of two families or more, by number. said: families and words."""
    kept = list(range(len(said)))
    while True:
        where: dict[str, set[str]] = {}
        for n in kept:
            for word in said[n][1]:
                where.setdefault(word, set()).add(said[n][0])
        common = [n for n in kept if all(len(where[word]) > 1 for word in said[n][1])]
        if len(common) == len(kept):
            return kept
        kept = common


def _related(families: Sequence[str], pixels: NDArray[np.uint8]) -> dict[str, str]:
    """For each family one that decides for all it is connected with: by pictures that are all but the same.

    families: of each picture, or clip. pixels: (N, ..., H, W, C).
    """
    count, height, width, channels = len(pixels), *pixels.shape[-3:]
    # What differs in the mean of patches differs; few pairs are left to be compared pixel by pixel.
    patches = pixels.reshape(count, -1, height // PATCH, PATCH, width // PATCH, PATCH, channels)
    rough = (patches.mean(axis=(3, 5)) / 255).reshape(count, -1).astype(np.float32)
    near = squareform(pdist(rough, "sqeuclidean")) <= ALIKE**2 * rough.shape[1]
    pairs = np.argwhere(np.triu(near, 1))
    flat = pixels.reshape(count, -1)
    names = sorted(set(families))
    place = {name: n for n, name in enumerate(names)}
    joined = [
        (place[families[one]], place[families[other]])
        for one, other in pairs
        if families[one] != families[other]
        and np.square((flat[one].astype(np.float32) - flat[other]) / 255).mean() <= ALIKE**2
    ]
    ones, others = np.array(joined, np.int64).reshape(-1, 2).T
    graph = csr_matrix((np.ones(len(ones)), (ones, others)), (len(names), len(names)))
    labels = connected_components(graph, directed=False)[1].tolist()
    first: dict[int, str] = {}
    for name, label in zip(names, labels, strict=True):
        first.setdefault(label, name)
    return {name: first[label] for name, label in zip(names, labels, strict=True)}


def _apart(count: int, most: int) -> list[int]:
    """At most so many of count places, evenly apart."""
    return sorted({n * count // most for n in range(most)}) if count > most else list(range(count))
