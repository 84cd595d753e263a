"""Creatures of a dungeon, 20x20, in colour: the monsters of Dungeon Crawl Stone Soup (mostly CC0).

Package: the Debian source package `crawl`. Limbs that are drawn in pieces, statues and pictures of which
less than a fifth is drawn are left out. Each stands on white, shrunk from 32x32 by averaging areas.

Split by species: pictures that share a name but for its number, or most of an outline (the same beast in
other colours, as a zombie or a skeleton), stay together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError, SourcePackage
from wordspot.models.datasets.pictures import Pictures, divided, source
from wordspot.models.datasets.source import Split
from wordspot.models.datasets.sprites import outline, read, resized, shrink

PACKAGE = SourcePackage(
    "crawl", "2:0.28.0-1.1", "5a6be168f8888b84bdb199184ca20bd8636f77ba7e9e0124ebee8850092f2f47"
)
TILES = "source/rltiles/mon"
NO_CREATURES = frozenset({"tentacles", "statues"})
SIDE = 20
LEAST_DRAWN = 0.2
SAME_OUTLINE = 0.9  # shared part of two outlines, of their union


@source(
    "creatures",
    packages=(PACKAGE,),
    licence="mostly CC0, the rest public domain (RLTiles)",
    split="by species: 80 % train, 10 % validation, 10 % test",
)
def convert(root: Path) -> Mapping[Split, Pictures]:
    """Returns tiles of creatures by split; those of one species stay together."""
    (tiles,) = root.glob(f"*/{TILES}")
    files = [
        path for path in sorted(tiles.rglob("*.png")) if not NO_CREATURES & {*path.relative_to(tiles).parts}
    ]
    drawn = [(path.relative_to(tiles), read(path)) for path in files]
    drawn = [(name, rgba) for name, rgba in drawn if outline(rgba).mean() >= LEAST_DRAWN]
    if not drawn:
        raise DatasetError(f"{tiles}: no creatures")
    outlines = np.stack([resized(outline(rgba), SIDE, SIDE) for _, rgba in drawn])
    groups = species([name.as_posix() for name, _ in drawn], outlines >= 0.5)
    shrunk = np.stack([shrink(rgba, SIDE, SIDE) for _, rgba in drawn])
    return divided(shrunk, groups)


def species(names: Sequence[str], outlines: NDArray[np.bool_]) -> list[str]:
    """Returns for each picture a name of its group: the first of those it is connected with.

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
            return [names[int(group)] for group in groups]
        groups = spread
