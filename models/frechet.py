"""The Fréchet distance of two sets of pictures in features (Heusel et al. 2017: FID).

    distance(features(real), features(drawn))

Each set of features is taken as normally distributed; the distance of the distributions is
    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)
"""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor, nn

WIDTHS = (32, 64)
POOLED_SIZE = 2  # side of the maps after average pooling


def distance(first: Tensor, second: Tensor) -> float:
    """Returns the Fréchet distance of features, (N, D) and (M, D), N and M above D."""
    (mean, covariance), (other_mean, other_covariance) = _moments(first), _moments(second)
    root = _root(covariance)
    cross_term = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp_min(0).sqrt().sum()
    return float(
        (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross_term
    )


@torch.no_grad()
def random_features(pictures: Tensor) -> Tensor:
    """Returns features (B, D) of pictures (B, C, H, W), 0 to 1, by a convolutional network of random weights.

    The weights depend on the number of channels alone. The features need no labels, and training may be
    validated by them without using the judges' features.
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
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(POOLED_SIZE), nn.Flatten()).eval()


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.double()
    return rows.mean(dim=0), rows.T.cov()


def _root(covariance: Tensor) -> Tensor:
    values, axes = torch.linalg.eigh(covariance)
    root: Tensor = axes * values.clamp_min(0).sqrt() @ axes.T
    return root
