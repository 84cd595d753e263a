"""Generators and discriminators of pictures: those of DCGAN (Radford, Metz and Chintala 2016) at any size,
and dense layers as in the first GAN (Goodfellow et al. 2014).

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
BOTTLENECK = 64  # maps of the energy discriminator
MIN_ENERGY_SQUARED = 1e-6


class Sizes(Protocol):
    """Sizes of pictures and networks, as `GanConfig` has them."""

    @property
    def height(self) -> int:
        """Of pictures, in pixels."""

    @property
    def width(self) -> int:
        """Of pictures, in pixels."""

    @property
    def channels(self) -> int:
        """Of pictures."""

    @property
    def base(self) -> int:
        """Channels of the largest maps, or units of a dense layer."""

    @property
    def levels(self) -> int:
        """How often the maps are halved; 0 for dense layers without convolutions."""

    @property
    def deep(self) -> bool:
        """Whether the discriminator has two convolutions at each size and halves the last once more."""


def _smallest_size(sizes: Sizes) -> tuple[int, int]:
    """Returns height and width of the smallest maps. Raises BadInput if the picture cannot be halved."""
    part = 2**sizes.levels
    if sizes.height % part or sizes.width % part or (part > 1 and min(sizes.height, sizes.width) < 2 * part):
        raise BadInput(
            f"height and width must be multiples of {part}, {2 * part} at least, to be halved {sizes.levels} "
            f"times, got {sizes.height} x {sizes.width}"
        )
    return sizes.height // part, sizes.width // part


class PictureGenerator(nn.Module):
    """Generates pictures (B, C, H, W), 0 to 1, from codes (B, code)."""

    def __init__(self, sizes: Sizes, code: int) -> None:
        super().__init__()
        height, width = _smallest_size(sizes)
        if sizes.levels == 0:
            shape = (sizes.channels, height, width)
            self.layers = nn.Sequential(
                *dense_layers(code, sizes.base),
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
            *upsampling(2 * widths[0], widths),
            nn.Conv2d(widths[-1], sizes.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Returns pictures (B, C, H, W) of codes (B, size)."""
        generated: Tensor = self.layers(codes)
        return generated


class Features(nn.Module):
    """Computes features (B, size) of pictures (B, C, H, W), 0 to 1."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        height, width = _smallest_size(sizes)
        if sizes.levels == 0:
            pixels = sizes.channels * height * width
            self.layers = nn.Sequential(nn.Flatten(), *dense_layers(pixels, sizes.base))
            self.size = sizes.base
            return
        widths = [sizes.base * 2**level for level in range(sizes.levels)]
        self.layers = downsampling(sizes.channels, widths, double=sizes.deep)
        self.size = widths[-1] * height * width
        if sizes.deep:
            self.layers.extend(convolution(widths[-1], 2 * widths[-1], 4, stride=2))
            self.size = 2 * widths[-1] * (height // 2) * (width // 2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns features (B, size) of pictures (B, C, H, W), 0 to 1."""
        features: Tensor = self.layers(2 * pictures - 1)
        return features.flatten(1)


class Discriminator(nn.Module):
    """Scores pictures (B, C, H, W), 0 to 1, with logits (B,)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.features = Features(sizes)
        self.score = nn.Linear(self.features.size, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns scores (B,) of pictures (B, C, H, W), 0 to 1; higher is more real."""
        scores: Tensor = self.score(self.features(pictures))
        return scores[:, 0]


class EnergyDiscriminator(nn.Module):
    """Scores pictures by an auto-encoder: minus its Euclidean reconstruction error, (B,)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        _smallest_size(sizes)
        widths = [sizes.base * 2**level for level in range(sizes.levels)]
        self.layers = nn.Sequential(
            downsampling(sizes.channels, widths),
            nn.Conv2d(widths[-1], BOTTLENECK, 1),
            *upsampling(BOTTLENECK, widths[::-1], normalised=False),
            nn.Conv2d(widths[0], sizes.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns the negative error (B,) of reconstructing pictures (B, C, H, W), 0 to 1."""
        reconstructed: Tensor = self.layers(2 * pictures - 1)
        # A squared error of zero has no gradient: a generator that makes only black would stay so.
        return -((reconstructed - pictures).square().flatten(1).sum(dim=1) + MIN_ENERGY_SQUARED).sqrt()


def dense_layers(inputs: int, width: int) -> list[nn.Module]:
    """Returns two dense layers with leaky ReLU."""
    return [nn.Linear(inputs, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width), nn.LeakyReLU(SLOPE)]


def downsampling(channels: int, widths: list[int], *, double: bool = False) -> nn.Sequential:
    """Returns convolutions that halve the maps once a width; double: with a second convolution each."""
    layers: list[nn.Module] = []
    for size, width in itertools.pairwise([channels, *widths]):
        layers += convolution(size, width, 4, stride=2)
        layers += convolution(width, width, 3, stride=1) if double else []
    return nn.Sequential(*layers)


def convolution(size: int, width: int, kernel: int, *, stride: int) -> list[nn.Module]:
    """Returns a convolution with leaky ReLU."""
    return [nn.Conv2d(size, width, kernel, stride=stride, padding=1), nn.LeakyReLU(SLOPE)]


def upsampling(channels: int, widths: list[int], *, normalised: bool = True) -> nn.Sequential:
    """Returns transposed convolutions that double the maps once a width; normalised: over the batch."""
    layers: list[nn.Module] = []
    for size, width in itertools.pairwise([channels, *widths]):
        layers.append(nn.ConvTranspose2d(size, width, 4, stride=2, padding=1, bias=not normalised))
        layers += [nn.BatchNorm2d(width)] if normalised else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
