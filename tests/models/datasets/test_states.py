from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.models.datasets import states
from wordspot.models.datasets.states import Cut
from wordspot.models.errors import BadInput


class Loudness:
    """A states_name that counts what it is given."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.calls.append(len(waveforms))
        return [np.full((-(-len(wave) // 320), 2), np.abs(wave).max(), np.float16) for wave in waveforms]


@pytest.fixture
def cuts(tmp_path: Path) -> list[Cut]:
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.flac", np.full(3_200 * (number + 1), 0.25 * number), 16_000)
    whole = [Cut(f"clip {number}", tmp_path / f"{number}.flac") for number in range(3)]
    return [*whole, Cut("part", tmp_path / "2.flac", 0.1, 0.2)]


def test_cuts_lie_one_after_another(cuts: list[Cut]) -> None:
    heard = states.compute(cuts, Loudness())
    assert heard.names == ("clip 0", "clip 1", "clip 2", "part")
    assert [heard.length(cut) for cut in range(4)] == [10, 20, 30, 10]
    assert heard.rows.shape == (70, 2)
    assert heard.rows[heard.bounds[2]].tolist() == [0.5, 0.5]


def test_what_was_heard_is_not_heard_again(cuts: list[Cut], tmp_path: Path) -> None:
    listen = Loudness()
    first = states.cached(tmp_path / "kept", "some", cuts, listen)
    again = states.cached(tmp_path / "kept", "some", cuts, listen)
    assert listen.calls == [4]
    assert first.names == again.names
    assert np.array_equal(first.rows, again.rows)
    states.cached(tmp_path / "kept", "some", cuts[:2], listen)
    assert listen.calls == [4, 2]


def test_cuts_can_be_heard_one_by_one(cuts: list[Cut], tmp_path: Path) -> None:
    listen = Loudness()
    states.cached(tmp_path / "kept", "some", cuts, listen, one_by_one=True)
    assert listen.calls == [1, 1, 1, 1]


def test_nothing_to_hear_is_an_error() -> None:
    with pytest.raises(BadInput, match="0 cuts to encode"):
        states.compute([], Loudness())
