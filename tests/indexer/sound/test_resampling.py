from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from wordspot.indexer.sound.resampling import resampled


@pytest.mark.parametrize("count", [1, 999, 16_000])
@pytest.mark.parametrize(("up", "down"), [(20, 21), (48, 43), (3, 1), (1, 2), (1, 1)])
def test_a_ratio_gives_what_scipy_gives(up: int, down: int, count: int) -> None:
    samples = np.random.default_rng(3).standard_normal(count).astype(np.float32)
    expected = resample_poly(samples.astype(np.float64), up, down)
    ours = resampled(samples, up, down)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_no_samples_give_none() -> None:
    assert len(resampled(np.zeros(0, np.float32), 20, 21)) == 0
