from __future__ import annotations

import numpy as np
import pytest

from tests.bench import edges
from tests.bench.edges import EDGES, RATE, Edge, Samples, surround


def word(seed: int = 1, seconds: float = 0.5) -> Samples:
    return np.random.default_rng(seed).normal(scale=0.1, size=round(RATE * seconds)).astype(np.float32)


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def around(edge: Edge, name: str = "main/leave") -> tuple[Samples, Samples]:
    """What stands before the word, and what behind it."""
    samples, start = surround(word(), edge, name)
    first = round(start * RATE)
    return samples[:first], samples[first + len(word()) :]


@pytest.mark.parametrize("edge", EDGES)
def test_the_same_name_always_gives_the_same_sound(edge: Edge) -> None:
    once, _ = surround(word(), edge, "main/leave")
    again, start = surround(word(), edge, "main/leave")
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.dtype(np.float32)
    assert len(once) == len(word()) + 2 * round(start * RATE)


@pytest.mark.parametrize("edge", ["noise", "clicks", "breath"])
def test_another_name_gives_another_sound(edge: Edge) -> None:
    once, _ = surround(word(), edge, "main/leave")
    other, _ = surround(word(), edge, "main/sorry")
    assert not np.array_equal(once, other)


@pytest.mark.parametrize(
    ("edge", "seconds"),
    [("cut", 0.0), ("silence .2", 0.2), ("silence .5", 0.5), ("silence 1", 1.0), ("silence 2", 2.0)],
)
def test_silence_leaves_the_word_as_it_is(edge: Edge, seconds: float) -> None:
    samples, start = surround(word(), edge, "main/leave")
    assert start == seconds
    first = round(start * RATE)
    np.testing.assert_array_equal(samples[first : first + len(word())], word())
    assert not any(part.any() for part in around(edge))


def test_a_room_lies_50_decibels_below_full_scale() -> None:
    for part in around("noise"):
        assert decibels(part) == pytest.approx(-50, abs=3)


def test_a_click_stands_on_either_side_80_to_300_ms_away() -> None:
    before, after = around("clicks")
    for gap in (before[::-1], after):
        loud = np.flatnonzero(np.abs(gap) > 0.1 * np.abs(word()).max()) / RATE
        assert 0.07 <= loud[0] <= loud[-1] <= 0.32
        assert loud[-1] - loud[0] < 0.02
        assert np.abs(gap).max() == pytest.approx(0.5 * np.abs(word()).max(), rel=0.15)


def test_a_breath_ends_before_the_word_and_lies_20_decibels_below_it() -> None:
    before, after = around("breath")
    assert decibels(after) == pytest.approx(edges.HUSHED_ROOM_DECIBELS, abs=3)
    assert decibels(before[-round(0.055 * RATE) :]) < -60
    powers = np.square(before[: len(before) // 160 * 160].reshape(-1, 160)).mean(axis=1)
    breathed = np.flatnonzero(powers > 10 ** (-55 / 10)) * 160
    breath = before[breathed[0] : breathed[-1] + 160]
    assert 0.2 < len(breath) / RATE < 0.46
    assert decibels(breath) == pytest.approx(decibels(word()) - 20, abs=2)


def test_what_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"nothing is called 'cough', there are cut, silence \.2"):
        surround(word(), "cough", "main/leave")  # type: ignore[arg-type]
