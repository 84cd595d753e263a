"""Judges on sounds whose right figures are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.sounds import FULL_SCALE, RATE, Sounds
from wordspot.models.evaluation import measure
from wordspot.models.judges import sounds as judges

CONFIG = SimpleNamespace(rate=RATE, codes=256)


def noise(seconds: int, seed: int) -> Sounds:
    """Recordings of a second of noise, in which neighbours are alike."""
    white = np.random.default_rng(seed).normal(0, 0.05, seconds * RATE + 3)
    smooth = np.convolve(white, np.ones(4), "valid")
    return Sounds((smooth * FULL_SCALE).astype(np.int16), RATE * np.arange(1, seconds + 1))


DATA = {"train": noise(20, 0), "test": noise(8, 1)}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "sounds", lambda name, split, home: DATA[split])
    judges.markov_chain.cache_clear()


def judged(model: Any, capability: str) -> dict[str, Metric]:
    card = card_of("fake", "sound", capability, data={"source": "noise"})
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


def table() -> judges.MarkovChain:
    return judges.markov_chain("noise", Path("nowhere"), 256)


class Table:
    """No better than the baseline."""

    config = CONFIG

    def nll(self, sounds: Tensor, rng: torch.Generator) -> Tensor:
        return torch.tensor([table().nats(one) for one in sounds])

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        return table().sample(count, RATE, rng)


def test_a_table_of_pairs_is_no_better_than_a_table_of_pairs() -> None:
    found = judged(Table(), "nll")
    assert found["bits"].value == pytest.approx(found["bits"].baseline, rel=1e-5)
    assert found["bits_below_order_1"].value == pytest.approx(0, abs=1e-4)
    assert 5 < found["bits"].value < 8


class Level:
    """Every code is as likely as any other."""

    config = CONFIG

    def nll(self, sounds: Tensor, rng: torch.Generator) -> Tensor:
        return torch.full((len(sounds),), sounds.shape[1] * math.log(256))


def test_bits_are_counted_a_sample() -> None:
    found = judged(Level(), "nll")
    assert found["bits"].value == pytest.approx(8)
    assert found["bits_below_order_1"].value == pytest.approx(found["bits"].baseline - 8)


def test_chances_of_the_table_are_those_of_its_pairs() -> None:
    codes = np.tile([3, 7, 3, 9], 50_000)
    one = judges.MarkovChain([codes], 256)
    torch.manual_seed(0)
    drawn = judges.mu_law_codes(one.sample(50, 400, torch.Generator().manual_seed(0)).flatten(), 256)
    after = drawn[1:][drawn[:-1] == 3]
    assert np.isin(after, [7, 9]).mean() > 0.99
    assert (after == 7).mean() == pytest.approx(0.5, abs=0.02)
    assert (drawn[1:][drawn[:-1] == 7] == 3).mean() > 0.99


def test_samples_of_the_table_are_as_far_as_the_baseline_and_real_ones_as_the_floor() -> None:
    found = judged(Table(), "sample")
    for metric in found.values():
        assert metric.value == pytest.approx(metric.baseline)
        assert metric.floor is not None
        assert metric.floor < metric.value


class Slow:
    """Has a clock of its own: 30 ms go by until it begins, 20 for a tenth of a second of sound, 50 for asking
    how likely a sound is."""

    config = CONFIG
    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def generate(self, count: int, rng: torch.Generator) -> Iterator[Tensor]:
        self.now += 0.03
        for _ in range(count):
            self.now += 0.02
            yield torch.zeros(RATE // 10)

    def nll(self, sounds: Tensor, rng: torch.Generator) -> Tensor:
        self.now += 0.05
        return torch.zeros(len(sounds))


def test_speed_is_measured_in_times_of_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Slow()
    monkeypatch.setattr(judges, "time", model)
    found = judged(model, "generate")
    seconds = 0.03 + 0.02 * judges.TIMED_PARTS
    assert found["real_time_factor"].value == pytest.approx(0.1 * judges.TIMED_PARTS / seconds)
    assert found["real_time_factor"].baseline == pytest.approx(1 / (0.05 * RATE))
    assert found["first_part_s"].value == pytest.approx(0.05)


def test_half_the_amplitude_is_six_decibels_less() -> None:
    sound = DATA["test"].recording(0)
    loud, quiet = (judges.features([one]) for one in (sound, sound / 2))
    assert judges.spectrum_distance(quiet, loud) == pytest.approx(6.02, abs=0.01)
    assert judges.spectrum_distance(loud, loud) == 0


def test_frechet_distance_is_that_of_the_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    some = rng.normal(size=(400, 5))
    mixing, shift = rng.normal(size=(5, 5)), np.arange(5.0)
    other = some @ mixing + shift
    c, d = np.cov(some.T), np.cov(other.T)
    root = sqrtm(sqrtm(c) @ d @ sqrtm(c)).real
    expected = np.square(some.mean(0) - other.mean(0)).sum() + np.trace(c + d - 2 * root)
    assert judges.frechet_distance(some, other) == pytest.approx(math.sqrt(expected), rel=1e-6)
    assert judges.frechet_distance(some, some + shift) == pytest.approx(math.sqrt(30), rel=1e-6)
    assert judges.frechet_distance(some, some) == pytest.approx(0, abs=1e-5)


def test_crops_are_spread_over_what_there_is() -> None:
    parts = judges.crops([torch.arange(6.0), torch.arange(6.0, 10.0)], count=3, samples=2)
    assert [part.tolist() for part in parts] == [[0, 1], [4, 5], [8, 9]]
