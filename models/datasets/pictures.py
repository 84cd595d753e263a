"""Real pictures for training and judging, as arrays.

A source is a function that reads unpacked packages and yields its pictures by split; it is stored as
`<split>.npz`. A user's own folder of pictures stands in for a source, and is read each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import UnidentifiedImageError
from torch import Tensor

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import SHARES, Source, Split, find, registering, split_of
from wordspot.models.datasets.sprites import read, shrink

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})

_OWN = re.compile(r"(?P<folder>.+)@(?P<height>\d+)x(?P<width>\d+)")


@dataclass(frozen=True)
class Pictures:
    """Pictures of one split.

    Attributes:
        pixels: uint8 (N, H, W, C).
        labels: int64 (N,), -1 where there is none.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, rows: slice) -> Pictures:
        """Returns the pictures of some rows, with their labels."""
        return Pictures(self.pixels[rows], self.labels[rows])

    def tensor(self) -> Tensor:
        """Returns float32 (N, C, H, W), 0 to 1."""
        return as_floats(torch.from_numpy(self.pixels))


def as_floats(pixels: Tensor) -> Tensor:
    """Returns float32 (N, C, H, W), 0 to 1, of uint8 (N, H, W, C)."""
    return pixels.permute(0, 3, 1, 2).float() / 255


PictureConverter = Callable[[Path], Mapping[Split, Pictures]]


@dataclass(frozen=True)
class PictureSource(Source):
    """convert: from the folder into which all packages were unpacked."""

    convert: PictureConverter

    kind = "pictures"

    def convert_into(self, folder: Path, root: Path) -> None:
        for split, part in self.convert(root).items():
            np.savez_compressed(folder / f"{split}.npz", pixels=part.pixels, labels=part.labels)


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, split: str
) -> Callable[[PictureConverter], PictureConverter]:
    """Registers the decorated converter as the source `name`."""
    return registering(lambda convert: PictureSource(name, packages, licence, split, convert))


def pictures(name: str, split: Split, home: Path, packages: Path | None = None) -> Pictures:
    """Returns one split of a source, converted on first use.

    name: as `own` gives it for a user's own folder, which is read each time.
    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    if is_own(name):
        return load_own(name)[split]
    folder = find(name, PictureSource).fetch(home, packages)
    with np.load(folder / f"{split}.npz", allow_pickle=False) as arrays:
        return Pictures(arrays["pixels"], arrays["labels"])


def divided(pixels: NDArray[np.uint8], groups: Sequence[str]) -> Mapping[Split, Pictures]:
    """Divides pictures by the names of their groups: 80 % train, 10 % validate, 10 % test. pixels: (N, H, W,
    C)."""
    splits = np.array([split_of(group) for group in groups])
    rows = {split: np.flatnonzero(splits == split) for split, _ in SHARES}
    return {split: Pictures(pixels[members], np.full(len(members), -1)) for split, members in rows.items()}


def own(folder: Path, height: int, width: int) -> str:
    """Returns the name, as a source, of a user's own pictures at that size."""
    return f"{folder.resolve()}@{height}x{width}"


def is_own(name: str) -> bool:
    """Returns whether the name of a source is that of pictures of the user (`own`)."""
    return _OWN.fullmatch(name) is not None


def load_own(name: str) -> Mapping[Split, Pictures]:
    """Returns the pictures of a user's folder. Every file is a group of its own.

    name: as `own` gives it. Raises DatasetError.
    """
    match = _OWN.fullmatch(name)
    assert match is not None
    folder, size = Path(match["folder"]), (int(match["height"]), int(match["width"]))
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in ENDINGS]
    if not files:
        raise DatasetError(
            f"{folder}: no pictures; files that end with {', '.join(sorted(ENDINGS))} are allowed"
        )
    try:
        pixels = np.stack([shrink(read(file), *size) for file in files])
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"{folder}: {error}") from error
    return divided(pixels, [file.relative_to(folder).as_posix() for file in files])
