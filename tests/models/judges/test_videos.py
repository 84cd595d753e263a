"""Judges of videos on bars that move, and networks whose figures are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.moving_digits import Motion, MovingDigits, Sprites, entropy
from wordspot.models.evaluation import measure
from wordspot.models.judges import videos as judges

MOTION = {"height": 14, "width": 14, "frames": 6, "digits": 1, "speed": 2}
BARS = Sprites(np.full((3, 10, 10), [[[120]], [[180]], [[240]]], np.uint8), np.array([[10, 4]] * 3))


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "moving_digits", moving)
    monkeypatch.setattr(judges, "LIKELIHOOD_CLIPS", 64)
    monkeypatch.setattr(judges.registry, "folders", lambda home: {})


def moving(split: Any, home: Path, motion: Motion) -> MovingDigits:
    return MovingDigits(BARS, motion, split, 0)


class Seer:
    """Knows the greys of what it is shown, but for `doubt` nats a clip."""

    config = SimpleNamespace(seen=3)

    def __init__(self, doubt: float) -> None:
        self.doubt = doubt

    def nll(self, clips: Tensor, rng: torch.Generator) -> Tensor:
        return entropy(clips[:, 3:]).sum(dim=1) + self.doubt

    def complete(self, clips: Tensor, known: Tensor, rng: torch.Generator) -> Tensor:
        assert known.tolist() == [[True] * 3 + [False] * 3] * len(clips)
        rng.manual_seed(9)
        return torch.where(known[:, :, None, None, None], clips, torch.bernoulli(clips, generator=rng))


def judged(model: Any, *capabilities: str, name: str = "one") -> dict[str, Metric]:
    card = card_of(
        "fake",
        "video",
        *capabilities,
        name=name,
        data={"source": "moving-digits", "motion": MOTION},
        metrics=(Metric("nats_over_bound", 0.0, threshold=1.15),),
    )
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


def test_who_knows_the_greys_is_at_the_bound() -> None:
    found = judged(Seer(doubt=0.0), "nll")
    assert found["nats_a_frame"].value == pytest.approx(found["nats_a_frame"].floor, rel=1e-5)
    assert found["nats_over_bound"].value == pytest.approx(1.0, rel=1e-5)
    assert found["nats_over_bound"].passed is True
    greys = np.array([120, 180, 240]) / 255
    bits = 40 * -(greys * np.log(greys) + (1 - greys) * np.log(1 - greys))
    assert bits.min() < found["nats_a_frame"].value < bits.max()
    assert found["nats_a_frame"].baseline > 1.5 * found["nats_a_frame"].value  # type: ignore[operator]
    assert "nats_below_alone" not in found


def test_doubt_is_counted_by_the_frame() -> None:
    sure, doubtful = (judged(Seer(doubt), "nll")["nats_a_frame"].value for doubt in (0.0, 30.0))
    assert doubtful - sure == pytest.approx(10.0, rel=1e-4)
    assert judged(Seer(30.0), "nll")["nats_over_bound"].passed is False


def test_the_network_without_a_past_is_the_baseline_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judges.registry, "folders", lambda home: {judges.ALONE: home})
    monkeypatch.setattr(judges.registry, "load", lambda name, home: (Seer(doubt=90.0), None))
    found = judged(Seer(doubt=30.0), "nll")
    assert found["nats_below_alone"].value == pytest.approx(20.0, rel=1e-4)
    assert found["nats_a_frame"].baseline == pytest.approx(found["nats_a_frame"].value + 20, rel=1e-4)
    assert "nats_below_alone" not in judged(Seer(doubt=90.0), "nll", name=judges.ALONE)


def test_predicted_frames_are_compared_with_the_truth_and_with_standing_still() -> None:
    found = judged(Seer(doubt=0.0), "complete")
    for metric in found.values():
        assert metric.value == pytest.approx(metric.floor, rel=0.05)
        assert metric.baseline > 1.5 * metric.value  # type: ignore[operator]
    assert found["squared_error_of_last_frame"].baseline > found["squared_error"].baseline  # type: ignore[operator]
