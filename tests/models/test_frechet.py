"""Distances between sets of pictures, against scipy, and on real digits spoiled in every way."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from wordspot.models import frechet
from wordspot.models.judges.drawings import coverage, to_nearest


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Two halves of the 1,797 digits of the UCI repository, (N, 1, 8, 8), 0 to 1."""
    pictures = torch.from_numpy(load_digits().images / 16).float()[:, None]
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    one, other = pictures[order].chunk(2)
    return one, other


def spoiled(how: str) -> Tensor:
    pictures, rng = digits()[1], torch.Generator().manual_seed(1)
    if how == "noise":
        return (pictures + 0.4 * torch.randn(pictures.shape, generator=rng)).clamp(0, 1)
    if how == "blur":
        return torch.nn.functional.avg_pool2d(pictures, 3, stride=1, padding=1)
    if how == "shuffled":
        flat = pictures.flatten(1)
        return flat.gather(1, torch.rand(flat.shape, generator=rng).argsort(dim=1)).reshape(pictures.shape)
    if how == "one picture":
        return pictures[:1].expand_as(pictures)
    return pictures


def distance(how: str) -> float:
    return frechet.distance(*(frechet.random_features(some) for some in (digits()[0], spoiled(how))))


def test_the_distance_is_that_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(500, 6)), 1.5 * rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) + 0.3
    spreads = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(spreads[0] @ spreads[1]).real
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(spreads[0] + spreads[1] - 2 * root)
    assert frechet.distance(torch.from_numpy(one), torch.from_numpy(other)) == pytest.approx(expected)


@pytest.mark.parametrize("how", ["noise", "blur", "shuffled", "one picture"])
def test_spoiled_digits_are_farther_away_than_other_digits(how: str) -> None:
    assert distance(how) > 5 * distance("not at all")


def test_more_noise_is_farther_away() -> None:
    real, other = digits()
    rng = torch.Generator().manual_seed(2)
    noise = torch.randn(other.shape, generator=rng)
    found = [
        frechet.distance(
            frechet.random_features(real), frechet.random_features((other + s * noise).clamp(0, 1))
        )
        for s in (0.0, 0.1, 0.2, 0.4)
    ]
    assert found == sorted(found)


def test_one_good_picture_again_and_again_covers_nothing() -> None:
    real = frechet.random_features(digits()[0])
    assert coverage(real, frechet.random_features(digits()[1])) > 0.9
    assert coverage(real, frechet.random_features(spoiled("one picture"))) < 0.05


def test_a_copy_is_at_no_distance_from_the_training_pictures() -> None:
    known, other = digits()
    assert float(to_nearest(known[:20], known).max()) < 1e-3
    assert float(to_nearest(other[:20], known).median()) > 0.5
