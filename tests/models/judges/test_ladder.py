"""The judge of drawings itself, on handwritten digits that are spoiled step by step."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wordspot.models import frechet
from wordspot.models.datasets.pictures import pictures
from wordspot.models.judges import drawings

pytestmark = pytest.mark.slow  # fetches the digits


@dataclass(frozen=True)
class Seen:
    distance: float
    unlearned: float
    coverage: float
    least_class: float


@pytest.fixture(scope="module")
def home() -> Path:
    return Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()


@pytest.fixture(scope="module")
def seen(home: Path) -> Callable[[Tensor], Seen]:
    sets = drawings.digits(home)

    @torch.inference_mode()
    def see(some: Tensor) -> Seen:
        return Seen(
            frechet.distance(sets.features(sets.test), sets.features(some)),
            frechet.distance(frechet.random_features(sets.test), frechet.random_features(some)),
            drawings.coverage(sets.features(sets.test[: drawings.SET_SIZE]), sets.features(some)),
            sets.least_class(some),
        )

    return see


@pytest.fixture(scope="module")
def real(home: Path) -> Tensor:
    """As many training pictures as are drawn of a model, and their labels' order left alone."""
    return pictures("digits", "train", home).tensor()[-drawings.SET_SIZE :]


def noisy(some: Tensor, share: float) -> Tensor:
    noise = torch.rand(some.shape, generator=torch.Generator().manual_seed(0))
    return torch.lerp(some, noise, share)


def blurred(some: Tensor, times: int) -> Tensor:
    for _ in range(times):
        some = torch.nn.functional.avg_pool2d(some, 3, stride=1, padding=1)
    return some


def shuffled(some: Tensor, share: float) -> Tensor:
    """So many of its pixels are at each other's places."""
    flat = some.flatten(1)
    rng = torch.Generator().manual_seed(0)
    chosen = torch.randperm(flat.shape[1], generator=rng)[: int(share * flat.shape[1])]
    mixed = flat.clone()
    mixed[:, chosen] = flat[:, chosen[torch.randperm(len(chosen), generator=rng)]]
    return mixed.reshape(some.shape)


@pytest.mark.parametrize(
    ("spoil", "steps"),
    [(noisy, (0.0, 0.1, 0.2, 0.4)), (blurred, (0, 1, 2, 4)), (shuffled, (0.0, 0.1, 0.3, 1.0))],
)
def test_the_more_a_set_is_spoiled_the_farther_it_is(
    seen: Callable[[Tensor], Seen], real: Tensor, spoil: Callable[..., Tensor], steps: tuple[float, ...]
) -> None:
    found = [seen(spoil(real, step)) for step in steps]
    for figure in ("distance", "unlearned"):
        values = [getattr(one, figure) for one in found]
        assert values == sorted(values), figure
    assert [one.coverage for one in found] == sorted((one.coverage for one in found), reverse=True)


def test_one_class_by_itself_is_far_away_and_lacks_all_others(
    seen: Callable[[Tensor], Seen], home: Path, real: Tensor
) -> None:
    train = pictures("digits", "train", home)
    ones = train.tensor()[torch.from_numpy(train.labels == 1)][: drawings.SET_SIZE]
    whole, alone = seen(real), seen(ones)
    assert alone.distance > 10 * whole.distance
    assert alone.coverage < 0.3 < 0.8 < whole.coverage
    assert alone.least_class == 0 < 0.07 < whole.least_class


def test_a_collapsed_generator_meets_no_threshold(seen: Callable[[Tensor], Seen], real: Tensor) -> None:
    """Twenty good pictures over and over: each is read as a digit, and all classes may be there."""
    found = seen(real[:20].repeat(drawings.SET_SIZE // 20, 1, 1, 1))
    assert found.coverage < 0.6
    assert found.distance > 5 * seen(real).distance
