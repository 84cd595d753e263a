"""The IDX files of LeCun's digits and of sets made like them: big-endian header, then bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.pictures import Pictures
from wordspot.models.datasets.source import Split

VALIDATION = 5_000  # the last of the training pictures
UNSIGNED_BYTES = 8


def read(path: Path) -> NDArray[np.uint8]:
    """Returns an array of any number of axes; a file whose name ends in .gz is unpacked. Raises
    DatasetError."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    kind, axes = content[2], content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if content[:2] != b"\0\0" or kind != UNSIGNED_BYTES or len(values) != shape.prod():
        raise DatasetError(f"{path.name} is not an IDX file of bytes")
    return values.reshape(shape)


def splits(folder: Path, suffix: str = "") -> dict[Split, Pictures]:
    """Returns training pictures but the last 5,000, those, and the 10,000 test pictures, as published."""

    def of(part: str) -> Pictures:
        pixels = read(folder / f"{part}-images-idx3-ubyte{suffix}")[..., None]
        return Pictures(pixels, read(folder / f"{part}-labels-idx1-ubyte{suffix}").astype(np.int64))

    train = of("train")
    cut = len(train) - VALIDATION
    return {"train": train.part(slice(cut)), "validation": train.part(slice(cut, None)), "test": of("t10k")}
