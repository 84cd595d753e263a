"""A recording of three hours on the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RATE = 8_000
HOURS = 3
WORD_AT_S = 2.5 * 3600
OPEN_S = 3.0


@pytest.fixture
def long_recording(tmp_path: Path, say: Any) -> Path:
    """Three hours of quiet in which a word is said twice."""
    path = tmp_path / "long.wav"
    word = say("tea", pause=0.2)[::2]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        quiet = (1e-4 * np.random.default_rng(0).standard_normal(60 * RATE)).astype(np.float32)
        for minute in range(60 * HOURS):
            block = quiet.copy()
            if minute in (1, round(WORD_AT_S / 60)):
                block[: len(word)] = word
            file.write(block)
    return path


@pytest.mark.slow
def test_three_hours_open_at_once_and_play_from_any_second(
    served: Any, visit: Callable[..., Any], long_recording: Path
) -> None:
    (identity,) = served.index(long_recording).values()
    seen = visit()
    seen.open("a/default")
    seen.page.get_by_role("link", name="long.wav", exact=True).wait_for()
    start = time.monotonic()
    seen.open(f"a/default/r/{identity}?t={WORD_AT_S}&e={WORD_AT_S + 1}")
    seen.page.locator(".detail[data-drawn]:not([data-drawn=''])").wait_for()
    seconds = time.monotonic() - start
    assert seen.page.get_by_role("timer").inner_text() == "2:30:00.00"
    seen.button("Play", exact=True).click()
    seen.until(f"window.sounding && window.sounding.currentTime > {WORD_AT_S} && !window.sounding.paused")
    assert seconds < OPEN_S
    print(f"three hours opened in {seconds:.2f} s")
