"""Real pictures for training and judging, as arrays.

A source is a function that reads unpacked packages and yields its pictures by split; it is registered with
its packages and licence. Each source is converted once into `home/datasets/<source>/<split>.npz`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.speech import prepared, stamp

# Raised whenever a converter changes, so that older caches are made anew.
CACHE_VERSION = 1
MODULES = ("creatures", "digits", "faces", "fashion", "ring")

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Pictures:
    """pixels: uint8 (N, H, W, C). labels: int64 (N,), -1 where there is none."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, rows: slice) -> Pictures:
        return Pictures(self.pixels[rows], self.labels[rows])

    def tensor(self) -> Tensor:
        """float32 (N, C, H, W), 0 to 1."""
        return as_floats(torch.from_numpy(self.pixels))


def as_floats(pixels: Tensor) -> Tensor:
    """uint8 (N, H, W, C) to float32 (N, C, H, W), 0 to 1."""
    return pixels.permute(0, 3, 1, 2).float() / 255


Converter = Callable[[Path], Mapping[Split, Pictures]]


@dataclass(frozen=True)
class Source:
    """convert: from the folder into which all packages were unpacked. split: how it is divided, in words."""

    name: str
    packages: tuple[Package, ...]
    licence: str
    split: str
    convert: Converter


_sources: dict[str, Source] = {}


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, split: str
) -> Callable[[Converter], Converter]:
    """Registers the decorated converter as the source `name`."""

    def register(convert: Converter) -> Converter:
        if name in _sources:
            raise ValueError(f"source {name!r} is registered already")
        _sources[name] = Source(name, packages, licence, split, convert)
        return convert

    return register


def sources() -> dict[str, Source]:
    """All sources by name."""
    for module in MODULES:
        importlib.import_module(f"wordspot.models.datasets.{module}")
    return dict(sorted(_sources.items()))


def pictures(name: str, split: Split, home: Path, packages: Path | None = None) -> Pictures:
    """One split of a source, converted on first use.

    name: as `sprites.own` gives it for a user's own folder, which is read each time.
    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    from wordspot.models.datasets import sprites

    if sprites.is_own(name):
        return sprites.load(name)[split]
    with np.load(prepare(name, home, packages) / f"{split}.npz", allow_pickle=False) as arrays:
        return Pictures(arrays["pixels"], arrays["labels"])


def prepare(name: str, home: Path, packages: Path | None = None) -> Path:
    """The folder of a source's arrays, converted on first use. Raises DatasetError."""
    known = sources()
    if name not in known:
        raise DatasetError(f"no pictures {name!r}, there are {', '.join(known)}")
    one, folder = known[name], home / "datasets" / name
    made_from = stamp(one.name, one.licence, one.packages, CACHE_VERSION)

    def convert(root: Path, made: Path) -> None:
        for split, some in one.convert(root).items():
            np.savez_compressed(made / f"{split}.npz", pixels=some.pixels, labels=some.labels)

    return prepared(folder, made_from, one.packages, packages, convert)
