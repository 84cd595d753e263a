"""Judges on pictures few and small enough to know the right figures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.pictures import Pictures
from wordspot.models.evaluation import Subject, measure
from wordspot.models.judges import drawings
from wordspot.models.judges import pictures as judges

SIDE = 6


def bars(count: int, seed: int) -> Pictures:
    """Two kinds: a bright bar on the left or on the right, as bright as chance will have it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    pixels = rng.integers(0, 30, (count, SIDE, SIDE, 1), dtype=np.uint8)
    for row, label in enumerate(labels):
        pixels[row, :, 4 * label : 4 * label + 2] += rng.integers(100, 220, dtype=np.uint8)
    return Pictures(pixels, labels)


DATA = {"train": bars(300, 0), "validation": bars(60, 1), "test": bars(120, 2)}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "pictures", lambda name, split, home: DATA[split])
    monkeypatch.setattr(judges, "MAX_TEST_PICTURES", 100)
    judges._plane_of_pixels.cache_clear()


def judged(model: Any, *capabilities: str, thresholds: dict[str, float] | None = None) -> dict[str, Metric]:
    card = card_of(
        "fake",
        "picture",
        *capabilities,
        data={"source": "bars"},
        metrics=tuple(Metric(name, 0.0, threshold=value) for name, value in (thresholds or {}).items()),
    )
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


class Looker:
    """Says left, right, or neither: where the brighter side is, if the picture is made of columns."""

    config = SimpleNamespace(classes=2)

    def classify(self, pictures: Tensor) -> Tensor:
        columns = pictures[:, 0].mean(dim=1)  # (B, W)
        apart = pictures[:, 0].var(dim=1).mean(dim=1) < 0.005
        right = columns[:, 4:].mean(dim=1) > columns[:, :2].mean(dim=1)
        answer = torch.where(apart, right.long(), torch.tensor(2))
        return torch.nn.functional.one_hot(answer, 3).float()


def test_a_classifier_is_judged_by_what_it_reads_and_what_it_rejects() -> None:
    found = judged(Looker(), "classify", thresholds={"accuracy": 0.99, "shuffled_rejected": 1.01})
    assert found["accuracy"].value == 1.0
    common = max(np.bincount(DATA["test"].labels)) / len(DATA["test"])
    assert found["accuracy"].floor in (pytest.approx(common), pytest.approx(1 - common))
    assert found["accuracy"].baseline == 1.0  # means of bars tell them apart
    assert found["accuracy"].passed is True
    assert found["noise_rejected"].value == 1.0
    assert found["noise_rejected"].floor == 0.0
    assert found["noise_rejected"].passed is None
    assert found["shuffled_rejected"].value > 0.9
    assert found["shuffled_rejected"].passed is False


class Components:
    """Exactly the principal components that the baseline is made of."""

    def __init__(self) -> None:
        self.pca = PCA(2).fit(flat("train"))

    def encode(self, pictures: Tensor) -> Tensor:
        return torch.from_numpy(self.pca.transform(pictures.flatten(1).numpy())).float()

    def reconstruct(self, pictures: Tensor) -> Tensor:
        back = self.pca.inverse_transform(self.pca.transform(pictures.flatten(1).numpy()))
        return torch.from_numpy(back).float().reshape(pictures.shape)


def flat(split: str) -> np.ndarray:
    return DATA[split].tensor().flatten(1).numpy()


def test_reconstruction_is_compared_with_principal_components() -> None:
    model = Components()
    found = judged(model, "reconstruct", thresholds={"squared_error_of_pca": 0.5})
    back = model.pca.inverse_transform(model.pca.transform(flat("test")))
    error = np.square(back - flat("test")).sum(axis=1).mean()
    assert found["squared_error"].value == pytest.approx(error, rel=1e-4)
    assert found["squared_error"].baseline == pytest.approx(error, rel=1e-3)
    assert found["squared_error_of_pca"].value == pytest.approx(1.0, rel=1e-3)
    assert found["squared_error_of_pca"].passed is False


def test_neighbours_in_the_plane_of_a_code_are_compared_with_those_of_pixels() -> None:
    found = judged(Components(), "encode")["neighbour_accuracy"]
    assert found.value > 0.95
    assert found.baseline is not None
    assert found.baseline > 0.95
    assert found.floor == pytest.approx(0.5, abs=0.05)


class Coins:
    """Each pixel by itself, as the baseline."""

    def nll(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        share = torch.from_numpy(flat("train").mean(axis=0)).clamp(1e-3, 1 - 1e-3)
        drawn = torch.bernoulli(pictures.flatten(1), generator=rng)
        return -(drawn * share.log() + (1 - drawn) * (1 - share).log()).sum(dim=1)


def test_nats_are_compared_with_those_of_single_pixels() -> None:
    found = judged(Coins(), "nll", thresholds={"nats": 100.0})["nats"]
    assert found.value == pytest.approx(found.baseline, rel=0.05)
    assert found.passed is True


def test_drawings_are_not_judged_without_the_models_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings.registry, "folders", lambda home: {drawings.READER: home})
    card = card_of("fake", "picture", "sample", data={"source": "digits"})
    assert drawings.likeness(Subject(None, card, Path("nowhere"))) == []


def test_a_smooth_picture_is_less_sharp() -> None:
    sharp = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1)
    assert drawings.sharpness(smooth) < 0.5 * drawings.sharpness(sharp)
