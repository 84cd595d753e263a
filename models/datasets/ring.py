"""Points in eight clouds on a ring: what a generator that keeps to one kind fails at (Metz et al. 2017).

Made, not fetched: no real data has its kinds so well apart. A point is a picture of one pixel with two
channels, where it lies across and up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models.datasets.pictures import Pictures, source
from wordspot.models.datasets.source import Split

CLOUDS = 8
RADIUS = 100.0  # of 255
SPREAD = 2.0
MIDDLE = 127.5
COUNTS: Mapping[Split, int] = {"train": 20_000, "validation": 2_000, "test": 2_000}


def middles() -> NDArray[np.float64]:
    """Returns the middles of the clouds, (CLOUDS, 2), 0 to 255."""
    angles = 2 * np.pi * np.arange(CLOUDS) / CLOUDS
    return MIDDLE + RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@source("ring", packages=(), licence="none: made by code", split="20,000 train, 2,000 validation, 2,000 test")
def convert(root: Path) -> Mapping[Split, Pictures]:
    """Returns the points of the clouds by split, each with the number of its cloud as its label."""
    by_split = {}
    for number, (split, count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng(number)
        labels = rng.integers(CLOUDS, size=count)
        points = middles()[labels] + SPREAD * rng.standard_normal((count, 2))
        by_split[split] = Pictures(points.round().clip(0, 255).astype(np.uint8)[:, None, None], labels)
    return by_split
