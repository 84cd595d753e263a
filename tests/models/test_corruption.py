from __future__ import annotations

import numpy as np
import pytest

from wordspot.models import corruption


@pytest.mark.parametrize("decibels", [0.0, 5.0, 10.0])
def test_noise_is_added_at_the_ratio_asked_for(vowels: np.ndarray, decibels: float) -> None:
    noise = corruption.pink(len(vowels), np.random.default_rng(0))
    added = corruption.at_snr(vowels, noise, decibels) - vowels
    assert 10 * np.log10(np.mean(vowels**2) / np.mean(added**2)) == pytest.approx(decibels, abs=0.01)


def test_pink_noise_falls_three_decibels_an_octave() -> None:
    power = np.abs(np.fft.rfft(corruption.pink(1 << 18, np.random.default_rng(1)))) ** 2
    octaves = [power[1 << k : 2 << k].mean() for k in range(8, 16)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx(-3.01, abs=0.7)


def test_the_same_seed_spoils_the_same_way_and_keeps_the_length(vowels: np.ndarray) -> None:
    voices = [vowels[::-1].copy(), vowels[3_000:]]
    for seed in range(30):
        first = corruption.corrupt(vowels, voices, np.random.default_rng(seed))
        again = corruption.corrupt(vowels, voices, np.random.default_rng(seed))
        assert first.dtype == np.float32
        assert first.shape == vowels.shape
        assert np.isfinite(first).all()
        np.testing.assert_array_equal(first, again)
