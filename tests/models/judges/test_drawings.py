"""Drawn pictures are judged by more than their looks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.pictures import Pictures
from wordspot.models.evaluation import Subject
from wordspot.models.judges import drawings, pictures

SIDE = 8


def slopes(count: int, seed: int) -> Pictures:
    """Brighter from top to bottom, each from a level and by a step of its own."""
    rng = np.random.default_rng(seed)
    level, step = rng.uniform(0, 100, (count, 1)), rng.uniform(2, 20, (count, 1))
    rows = level + step * np.arange(SIDE)  # (count, SIDE)
    pixels = np.broadcast_to(rows[:, :, None, None], (count, SIDE, SIDE, 1))
    return Pictures(pixels.astype(np.uint8), np.full(count, -1))


DATA = {"train": slopes(400, 0), "validation": slopes(60, 2), "test": slopes(200, 1)}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (drawings, pictures):
        monkeypatch.setattr(module, "pictures", lambda name, split, home: DATA[split])


def judged(judge: Any, model: Any) -> dict[str, Metric]:
    card = card_of("fake", "picture", "sample", data={"source": "slopes"})
    return {metric.name: metric for metric in judge(Subject(model, card, Path("nowhere")))}


class Drawer:
    """Draws from a set of pictures; completes by going on as the last two rows do, or with grey."""

    options: frozenset[str] = frozenset()
    config = SimpleNamespace(classes=10)

    def __init__(self, known: Tensor, wise: bool = True) -> None:
        self.known, self.wise = known, wise

    def sample(self, count: int, rng: Generator) -> Tensor:
        return self.known[torch.randint(len(self.known), (count,), generator=rng)]

    def complete(self, given: Tensor, known: Tensor, rng: Generator) -> Tensor:
        shown = int(known[0, 0, :, 0].sum())
        step = given[:, :, shown - 1] - given[:, :, shown - 2]
        further = torch.arange(1, SIDE + 1 - shown)[None, None, :, None]
        rest = given[:, :, shown - 1, None] + step[:, :, None] * further
        return torch.cat([given[:, :, :shown], rest if self.wise else torch.full_like(rest, 0.5)], dim=2)


def test_copies_of_training_pictures_are_found() -> None:
    copying = judged(drawings.novelty, Drawer(DATA["train"].tensor()))
    assert copying["copied"].value == 1.0
    assert copying["copied"].floor < 0.2
    novel = judged(drawings.novelty, Drawer(slopes(3_000, 5).tensor()))
    assert novel["copied"].value < 0.2


def test_one_picture_again_and_again_is_not_distinct() -> None:
    assert (
        judged(drawings.novelty, Drawer(DATA["test"].tensor()[:1]))["distinct"].value == 1 / drawings.SET_SIZE
    )


def test_a_completion_is_compared_with_the_nearest_training_picture() -> None:
    wise = judged(drawings.completion, Drawer(DATA["train"].tensor()))
    blind = judged(drawings.completion, Drawer(DATA["train"].tensor(), wise=False))
    for covered in (50, 75):
        assert wise[f"hidden_{covered}_of_nearest"].value < 1 < blind[f"hidden_{covered}_of_nearest"].value
        assert wise[f"hidden_error_{covered}"].baseline == blind[f"hidden_error_{covered}"].baseline


class Auto:
    """Gives energies: how far a picture is from being brighter from top to bottom."""

    objective = SimpleNamespace(energy=True)

    def discriminator(self, given: Tensor) -> Tensor:
        return -(given[:, :, 1:] - given[:, :, :-1]).clamp_max(0).abs().flatten(1).sum(dim=1)


def test_energies_are_judged_by_how_well_they_tell_real_pictures() -> None:
    real = DATA["test"].tensor()
    sets = SimpleNamespace(
        test=real, normal=torch.rand(real.shape, generator=torch.Generator().manual_seed(0))
    )
    (found,) = drawings._energy(Auto(), sets)  # type: ignore[arg-type]
    assert (found.name, found.value) == ("energy_auc", 1.0)
    assert drawings._energy(Drawer(real), sets) == []  # type: ignore[arg-type]


class Copier:
    """Takes each pixel for the one before it, or else for any of four grey levels."""

    palette = torch.linspace(0, 1, 4)[:, None]

    def quantised(self, given: Tensor) -> Tensor:
        return (given.flatten(1) * 3).round().long()

    def nll(self, given: Tensor, rng: Generator) -> Tensor:
        return torch.full((len(given),), 64 * 1.3863)


def test_nats_of_colours_are_compared_with_copying_the_pixel_before() -> None:
    found = judged(pictures.likelihood, Copier())
    assert found["nats"].value == pytest.approx(64 * 1.3863)
    # Rows are of one colour: only the first pixel of a row can differ from the one before.
    assert 1 < found["nats"].baseline < 64 * 0.6
    assert found["nats_of_copying"].value == pytest.approx(found["nats"].value / found["nats"].baseline)
