"""Pictures and clips with captions, and how they are divided.

A source is a function that reads unpacked packages and yields what is shown; it is stored as `pixels.npz`,
and a line for each in `captions.jsonl`.

Split by family: what its source calls a family (an emoji in all its skin tones, all stamps of one name, all
clips of one unit in one action) is on one side, so are families of which two pictures are the same.
"""

from __future__ import annotations

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

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import Source, Split, find, registering, split_of
from wordspot.models.vocabulary import LANGUAGES

PIXELS, CAPTIONS = "pixels.npz", "captions.jsonl"
SPLIT = "by family: 80 % train, 10 % validation, 10 % test"
LONGEST = 12  # English words and marks
ALIKE = 0.02  # root of the mean squared difference, of white, up to which pictures are the same
PATCH = 6  # pixels
MOST_OF_FAMILY = 6  # of those that are held out


@dataclass(frozen=True)
class Shown:
    """A picture or clip with captions.

    Attributes:
        pixels: uint8 (H, W, 3), or (T, H, W, 3) of a clip; all of a source are equally large.
        texts: Captions by language, English ones always.
        family: Unique within the source.
        split: Which split it belongs to, where the source says so itself.
    """

    pixels: NDArray[np.uint8]
    texts: Mapping[str, str]
    family: str
    split: Split | None = None


CaptionConverter = Callable[[Path], Iterable[Shown]]


@dataclass(frozen=True)
class CaptionSource(Source):
    """convert: from the folder into which all packages were unpacked."""

    convert: CaptionConverter

    kind = "captions"

    def convert_into(self, folder: Path, root: Path) -> None:
        captioned = list(self.convert(root))
        if not captioned:
            raise DatasetError(f"source {self.name!r} yielded nothing")
        np.savez_compressed(folder / PIXELS, pixels=np.stack([example.pixels for example in captioned]))
        with (folder / CAPTIONS).open("w", encoding="utf-8") as lines:
            for example in captioned:
                family = f"{self.name}/{example.family}"
                row = {"family": family, "split": example.split or split_of(family), **example.texts}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, split: str = SPLIT
) -> Callable[[CaptionConverter], CaptionConverter]:
    """Registers the decorated converter as the source `name`."""
    return registering(lambda convert: CaptionSource(name, packages, licence, split, convert))


@dataclass(frozen=True)
class Captions:
    """Pictures or clips with a caption each.

    Attributes:
        pixels: uint8 (N, H, W, C), or (N, T, H, W, C) of clips.
        texts: A caption of each.
        families: The family of each.
    """

    pixels: NDArray[np.uint8]
    texts: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, rows: Sequence[int]) -> Captions:
        """Returns the examples of some rows, in the given order."""
        texts, families = (tuple(values[row] for row in rows) for values in (self.texts, self.families))
        return Captions(self.pixels[np.asarray(rows, np.int64)], texts, families)

    def tensor(self) -> Tensor:
        """Returns float32 (N, C, H, W) or (N, T, C, H, W), 0 to 1."""
        return torch.from_numpy(self.pixels).movedim(-1, -3).float() / 255


def captions(
    names: Sequence[str], language: str, home: Path, packages: Path | None = None
) -> dict[Split, Captions]:
    """Returns what the sources have in a language, converted on first use.

    Captions of more than LONGEST English words, and those with an English word that only one family of these
    sources has, which nobody could learn and be asked, are left out. Of a family that is held out, at most
    MOST_OF_FAMILY are taken, from all over it.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    parts = [_read(find(name, CaptionSource).fetch(home, packages)) for name in names]
    rows = [row for _, lines in parts for row in lines]
    english = [LANGUAGES["en"].split(row["en"]) for row in rows]
    short = [n for n, row in enumerate(rows) if language in row and len(english[n]) <= LONGEST]
    common = _common([(rows[n]["family"], set(english[n])) for n in short])
    numbers = [short[place] for place in common]
    pixels = np.concatenate([shown for shown, _ in parts])
    heads = _related([rows[n]["family"] for n in numbers], pixels[numbers])
    splits: dict[str, Split] = {row["family"]: cast(Split, row["split"]) for row in rows}
    sides: dict[Split, list[int]] = {"train": [], "validation": [], "test": []}
    families: dict[str, list[int]] = {}
    for n in numbers:
        families.setdefault(rows[n]["family"], []).append(n)
    for family, members in families.items():
        split = splits[heads[family]]
        most = len(members) if split == "train" else MOST_OF_FAMILY
        sides[split] += [members[place] for place in _apart(len(members), most)]
    return {
        split: Captions(
            pixels[ordered := sorted(chosen)],
            tuple(rows[n][language] for n in ordered),
            tuple(rows[n]["family"] for n in ordered),
        )
        for split, chosen in sides.items()
    }


def _read(folder: Path) -> tuple[NDArray[np.uint8], list[dict[str, str]]]:
    """Returns the pixels and lines of a source."""
    with (folder / CAPTIONS).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with np.load(folder / PIXELS, allow_pickle=False) as arrays:
        return arrays["pixels"], rows


def _common(captions: Sequence[tuple[str, set[str]]]) -> list[int]:
    """Returns the numbers of captions all of whose words occur in two families or more.

    captions: family and words of each.
    """
    numbers = list(range(len(captions)))
    while True:
        where: dict[str, set[str]] = {}
        for n in numbers:
            for word in captions[n][1]:
                where.setdefault(word, set()).add(captions[n][0])
        common = [n for n in numbers if all(len(where[word]) > 1 for word in captions[n][1])]
        if len(common) == len(numbers):
            return numbers
        numbers = common


def _related(families: Sequence[str], pixels: NDArray[np.uint8]) -> dict[str, str]:
    """Returns for each family one that decides for all it is connected with: by pictures that are all but the
    same.

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
        (place[families[first]], place[families[second]])
        for first, second in pairs
        if families[first] != families[second]
        and np.square((flat[first].astype(np.float32) - flat[second]) / 255).mean() <= ALIKE**2
    ]
    ones, others = np.array(joined, np.int64).reshape(-1, 2).T
    graph = csr_matrix((np.ones(len(ones)), (ones, others)), (len(names), len(names)))
    labels = connected_components(graph, directed=False)[1].tolist()
    head: dict[int, str] = {}
    for name, label in zip(names, labels, strict=True):
        head.setdefault(label, name)
    return {name: head[label] for name, label in zip(names, labels, strict=True)}


def _apart(count: int, most: int) -> list[int]:
    """Returns at most so many of count places, evenly apart."""
    return sorted({n * count // most for n in range(most)}) if count > most else list(range(count))
