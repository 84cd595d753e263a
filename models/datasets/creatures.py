"""Creatures of a dungeon, 20x20, in colour: the monsters of Dungeon Crawl Stone Soup (mostly CC0).

Package: the Debian source package `crawl`. Limbs that are drawn in pieces, statues and pictures of which
less than a fifth is drawn are left out. Each stands on white, shrunk from 32x32 by averaging areas.

Split by species: pictures that share a name but for its number, or most of an outline (the same beast in
other colours, as a zombie or a skeleton), stay together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.datasets.package import DatasetError, SourcePackage
from wordspot.models.datasets.pictures import Pictures, Split, source

PACKAGE = SourcePackage(
    "crawl", "2:0.28.0-1.1", "5a6be168f8888b84bdb199184ca20bd8636f77ba7e9e0124ebee8850092f2f47"
)
TILES = "source/rltiles/mon"
NO_CREATURES = frozenset({"tentacles", "statues"})
SIDE = 20
LEAST_DRAWN = 0.2
SAME_OUTLINE = 0.9  # shared part of two outlines, of their union
SHARES: tuple[tuple[Split, int], ...] = (("test", 10), ("validation", 20), ("train", 100))  # percent, up to


@source(
    "creatures",
    packages=(PACKAGE,),
    licence="mostly CC0, the rest public domain (RLTiles)",
    split="by species: 80 % train, 10 % validation, 10 % test",
)
def convert(root: Path) -> Mapping[Split, Pictures]:
    (tiles,) = root.glob(f"*/{TILES}")
    files = [
        path for path in sorted(tiles.rglob("*.png")) if not NO_CREATURES & {*path.relative_to(tiles).parts}
    ]
    drawn = [(path.relative_to(tiles), read(path)) for path in files]
    drawn = [(name, rgba) for name, rgba in drawn if outline(rgba).mean() >= LEAST_DRAWN]
    if not drawn:
        raise DatasetError(f"{tiles}: no creatures")
    outlines = np.stack([resized(outline(rgba)) for _, rgba in drawn])
    groups = species([name.as_posix() for name, _ in drawn], outlines >= 0.5)
    shrunk = np.stack([shrink(rgba) for _, rgba in drawn])
    places = np.array([_percentile(group) for group in groups])
    found: dict[Split, Pictures] = {}
    begin = 0
    for split, end in SHARES:
        rows = np.flatnonzero((begin <= places) & (places < end))
        found[split] = Pictures(shrunk[rows], np.full(len(rows), -1))
        begin = end
    return found


def read(path: Path) -> NDArray[np.uint8]:
    """(H, H, 4): red, green, blue, opacity; what is not square stands in the middle of one that is."""
    with Image.open(path) as picture:
        side = max(picture.size)
        square = Image.new("RGBA", (side, side))
        square.paste(picture.convert("RGBA"), ((side - picture.width) // 2, (side - picture.height) // 2))
        return np.asarray(square)


def outline(rgba: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): where something is drawn."""
    drawn: NDArray[np.bool_] = rgba[..., 3] >= 128
    return drawn


def shrink(rgba: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """(side, side, 3) on white."""
    opacity = rgba[..., 3:].astype(np.float32) / 255
    flat = rgba[..., :3] * opacity + 255 * (1 - opacity)
    channels = [resized(channel, side) for channel in np.moveaxis(flat, 2, 0)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def resized(plane: NDArray[Any], side: int = SIDE) -> NDArray[np.float32]:
    """(side, side): means over areas of a square plane."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((side, side), Image.Resampling.BOX))


def species(names: Sequence[str], outlines: NDArray[np.bool_]) -> list[str]:
    """For each picture a name of its group: the first of those it is connected with.

    names: unique. outlines: (N, H, W).
    """
    flat = outlines.reshape(len(outlines), -1).astype(np.float32)
    both, area = flat @ flat.T, flat.sum(axis=1)
    alike = both / (area[:, None] + area - both).clip(1) >= SAME_OUTLINE
    stems = np.array([re.sub(r"[\d_]*\.png$", "", name.rsplit("/", 1)[-1]) for name in names])
    alike |= stems[:, None] == stems
    groups = np.arange(len(names))
    while True:
        spread = np.where(alike, groups, len(names)).min(axis=1)
        if (spread == groups).all():
            return [names[group] for group in groups]
        groups = spread


def _percentile(name: str) -> int:
    """0 to 99, by the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100


def folder(path: Path, side: int = SIDE) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A user's own pictures, by name, (side, side, 3) each. Raises DatasetError if there are none."""
    found = False
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in (".png", ".gif", ".bmp", ".webp", ".jpg", ".jpeg"):
            found = True
            yield file.relative_to(path).as_posix(), shrink(read(file), side)
    if not found:
        raise DatasetError(f"{path}: no pictures (png, gif, bmp, webp, jpg)")
