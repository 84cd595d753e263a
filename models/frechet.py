"""How far one set of pictures is from another, seen as clouds of features (Heusel et al. 2017: FID).

    distance(features(real), features(drawn))

Each cloud is taken as a normal distribution; between those the Frechet distance is
    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)
"""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor, nn

WIDTHS = (32, 64)
CELLS = 2  # along each side of a picture, over which features are averaged


def distance(one: Tensor, other: Tensor) -> float:
    """Rows of features (N, D) and (M, D), N and M above D."""
    (mean, spread), (other_mean, other_spread) = _normal(one), _normal(other)
    root = _root(spread)
    crossed = torch.linalg.eigvalsh(root @ other_spread @ root).clamp_min(0).sqrt().sum()
    return float((mean - other_mean).square().sum() + spread.trace() + other_spread.trace() - 2 * crossed)


@torch.no_grad()
def random_features(pictures: Tensor) -> Tensor:
    """pictures (B, C, H, W), 0 to 1: (B, D) of a convolutional network that never learned anything.

    The same for all pictures of as many channels. It tells shapes and edges apart, and needs no labels: what
    training may go by without a look at what judges in the end.
    """
    return torch.cat(
        [_network(pictures.shape[1]).to(part.device)(part) for part in torch.split(pictures, 500)]
    )


@cache
def _network(channels: int) -> nn.Module:
    rng = torch.Generator().manual_seed(channels)
    layers: list[nn.Module] = []
    for size, width in itertools.pairwise((channels, *WIDTHS)):
        layer = nn.Conv2d(size, width, 5, stride=2, padding=2)
        for parameter in layer.parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            parameter.data.copy_(noise * (2 / (25 * size)) ** 0.5)
        layers += [layer, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(CELLS), nn.Flatten()).eval()


def _normal(rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.double()
    return rows.mean(dim=0), rows.T.cov()


def _root(spread: Tensor) -> Tensor:
    values, axes = torch.linalg.eigh(spread)
    root: Tensor = axes * values.clamp_min(0).sqrt() @ axes.T
    return root
