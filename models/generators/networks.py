"""Networks that draw pictures from codes, and that tell real from drawn: those of DCGAN (Radford, Metz and
Chintala 2016) at any size, and layers of units without convolutions as in the first of them (Goodfellow et
al. 2014).

Discriminators have no batch normalisation: the score of a picture must not depend on the others in its batch,
or a gradient penalty would mean nothing.
"""

from __future__ import annotations

import itertools
import math
from typing import Protocol

from torch import Tensor, nn

from wordspot.models.errors import BadInput

SLOPE = 0.2
BOTTLENECK = 64  # maps of the auto-encoder that gives energies
SMALLEST = 1e-6  # energy, squared


class Sizes(Protocol):
    """Of the picture and of the networks; levels, base, deep: as in GanConfig."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def base(self) -> int: ...
    @property
    def levels(self) -> int: ...
    @property
    def deep(self) -> bool: ...


def _smallest(sizes: Sizes) -> tuple[int, int]:
    """Height and width of the smallest maps. Raises BadInput."""
    part = 2**sizes.levels
    if sizes.height % part or sizes.width % part or (part > 1 and min(sizes.height, sizes.width) < 2 * part):
        raise BadInput(
            f"pictures of {sizes.height} x {sizes.width} cannot be halved {sizes.levels} times; "
            f"multiples of {part} are allowed, from {2 * part} on"
        )
    return sizes.height // part, sizes.width // part


class PictureGenerator(nn.Module):
    """Codes (B, code) to pictures (B, C, H, W), 0 to 1."""

    def __init__(self, sizes: Sizes, code: int) -> None:
        super().__init__()
        height, width = _smallest(sizes)
        if sizes.levels == 0:
            shape = (sizes.channels, height, width)
            self.layers = nn.Sequential(
                *units(code, sizes.base),
                nn.Linear(sizes.base, math.prod(shape)),
                nn.Unflatten(1, shape),
                nn.Sigmoid(),
            )
            return
        widths = [sizes.base * 2**level for level in reversed(range(sizes.levels))]  # the smallest maps first
        self.layers = nn.Sequential(
            nn.Linear(code, 2 * widths[0] * height * width, bias=False),
            nn.Unflatten(1, (2 * widths[0], height, width)),
            nn.BatchNorm2d(2 * widths[0]),
            nn.ReLU(),
            *doubling(2 * widths[0], widths),
            nn.Conv2d(widths[-1], sizes.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, codes: Tensor) -> Tensor:
        drawn: Tensor = self.layers(codes)
        return drawn


class Features(nn.Module):
    """Pictures (B, C, H, W), 0 to 1, to features (B, size)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        height, width = _smallest(sizes)
        if sizes.levels == 0:
            pixels = sizes.channels * height * width
            self.layers = nn.Sequential(nn.Flatten(), *units(pixels, sizes.base))
            self.size = sizes.base
            return
        widths = [sizes.base * 2**level for level in range(sizes.levels)]
        self.layers = halving(sizes.channels, widths, again=sizes.deep)
        self.size = widths[-1] * height * width
        if sizes.deep:
            self.layers.extend(convolved(widths[-1], 2 * widths[-1], 4, stride=2))
            self.size = 2 * widths[-1] * (height // 2) * (width // 2)

    def forward(self, pictures: Tensor) -> Tensor:
        seen: Tensor = self.layers(2 * pictures - 1)
        return seen.flatten(1)


class Discriminator(nn.Module):
    """Pictures to scores (B,)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.features = Features(sizes)
        self.score = nn.Linear(self.features.size, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.score(self.features(pictures))
        return scores[:, 0]


class Energy(nn.Module):
    """An auto-encoder: the score (B,) is minus its error, the Euclidean distance over all pixels."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        _smallest(sizes)
        widths = [sizes.base * 2**level for level in range(sizes.levels)]
        self.layers = nn.Sequential(
            halving(sizes.channels, widths),
            nn.Conv2d(widths[-1], BOTTLENECK, 1),
            *doubling(BOTTLENECK, widths[::-1], normalised=False),
            nn.Conv2d(widths[0], sizes.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        back: Tensor = self.layers(2 * pictures - 1)
        # Of an error of zero a square would give no gradient: a generator of nothing but black would stay.
        return -((back - pictures).square().flatten(1).sum(dim=1) + SMALLEST).sqrt()


def units(inputs: int, width: int) -> list[nn.Module]:
    """Two layers."""
    return [nn.Linear(inputs, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width), nn.LeakyReLU(SLOPE)]


def halving(channels: int, widths: list[int], *, again: bool = False) -> nn.Sequential:
    """Each width halves the maps; again: and looks at them once more."""
    layers: list[nn.Module] = []
    for size, width in itertools.pairwise([channels, *widths]):
        layers += convolved(size, width, 4, stride=2)
        layers += convolved(width, width, 3, stride=1) if again else []
    return nn.Sequential(*layers)


def convolved(size: int, width: int, kernel: int, *, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(size, width, kernel, stride=stride, padding=1), nn.LeakyReLU(SLOPE)]


def doubling(channels: int, widths: list[int], *, normalised: bool = True) -> nn.Sequential:
    """Each width doubles the maps."""
    layers: list[nn.Module] = []
    for size, width in itertools.pairwise([channels, *widths]):
        layers.append(nn.ConvTranspose2d(size, width, 4, stride=2, padding=1, bias=not normalised))
        layers += [nn.BatchNorm2d(width)] if normalised else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
