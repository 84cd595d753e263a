from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from wordspot.indexer.sound.peaks import FULL_SCALE, SAMPLES_PER_PEAK, PeakMeter, peaks_of, reduced


@pytest.fixture
def noise() -> np.ndarray:
    return (0.3 * np.random.default_rng(3).standard_normal(100_003)).clip(-1, 1).astype(np.float32)


def expected(parts: list[np.ndarray]) -> list[list[int]]:
    low = [max(-FULL_SCALE, int(np.floor(FULL_SCALE * part.min()))) for part in parts]
    high = [min(FULL_SCALE, int(np.ceil(FULL_SCALE * part.max()))) for part in parts]
    return [[a, b] for a, b in zip(low, high, strict=True)]


def test_peaks_do_not_depend_on_how_blocks_lie(noise: np.ndarray) -> None:
    parts = [noise[at : at + SAMPLES_PER_PEAK] for at in range(0, len(noise), SAMPLES_PER_PEAK)]
    for step in (1_000, 160, 33_333, 200_000):
        meter = PeakMeter()
        blocks = [noise[at : at + step] for at in range(0, len(noise), step)]
        assert np.array_equal(np.concatenate(list(meter.passing(blocks))), noise)
        assert meter.peaks().tolist() == expected(parts)


def test_nothing_has_no_peaks() -> None:
    assert PeakMeter().peaks().shape == (0, 2)


def test_peaks_of_a_stretch_are_extremes_of_equal_parts(noise: np.ndarray) -> None:
    edges = [len(noise) * part // 7 for part in range(8)]
    parts = [noise[a:b] for a, b in pairwise(edges)]
    assert peaks_of(noise, 7).tolist() == expected(parts)


def test_fewer_buckets_hold_the_extremes_of_more() -> None:
    peaks = np.array([[-1, 2], [-5, 0], [0, 9], [-2, 3]], np.int8)
    assert reduced(peaks, 2).tolist() == [[-5, 2], [-2, 9]]
    assert reduced(peaks, 1).tolist() == [[-5, 9]]
    assert reduced(peaks, 8).tolist() == [row for row in peaks.tolist() for _ in range(2)]


def test_a_quiet_sound_is_seen_and_a_loud_one_fits() -> None:
    quiet = peaks_of(np.array([1e-6, -1e-6], np.float32), 1)
    loud = peaks_of(np.array([1.5, -1.5], np.float32), 1)
    assert (quiet.tolist(), loud.tolist()) == ([[-1, 1]], [[-127, 127]])
