from __future__ import annotations

import numpy as np
import pytest

from wordspot.models.datasets.spectra import Spectra


@pytest.mark.parametrize("taught", [True, False])
def test_what_is_left_without_some_clips_is_unchanged(taught: bool) -> None:
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((10, 3)).astype(np.float16) if taught else None
    whole = Spectra(
        rng.standard_normal((20, 2)).astype(np.float16),
        np.array([0, 4, 14, 20]),
        ("first", "second", "third"),
        targets,
    )
    left = whole.without({"second", "unknown"})
    assert left.names == ("first", "third")
    assert left.bounds.tolist() == [0, 4, 10]
    np.testing.assert_array_equal(left.spectra, np.r_[whole.spectra[:4], whole.spectra[14:]])
    if targets is None:
        assert left.targets is None
    else:
        np.testing.assert_array_equal(left.targets, np.r_[targets[:2], targets[7:]])
