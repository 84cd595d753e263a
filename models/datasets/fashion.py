"""Fashion-MNIST: articles of clothing, 28x28, grey (Xiao, Rasul, Vollgraf 2017), in the form of the digits.

Package: Debian `dataset-fashion-mnist` (MIT). Split: as published, with 5,000 of the training pictures for
validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wordspot.models.datasets import idx
from wordspot.models.datasets.package import Package
from wordspot.models.datasets.pictures import Pictures, source
from wordspot.models.datasets.source import Split

PACKAGE = Package(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)


@source("fashion", packages=(PACKAGE,), licence="MIT", split="55,000 train, 5,000 validation, 10,000 test")
def convert(root: Path) -> Mapping[Split, Pictures]:
    """Returns Fashion-MNIST's pictures by split."""
    return idx.splits(root / "usr/share/datasets/fashion-mnist", suffix=".gz")
