from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wordspot.models import audio
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import TICKS, ContrastiveData, MinedPairs, ViewBatch
from wordspot.models.errors import BadInput


def as_they_are(regions: list[torch.Tensor]) -> list[torch.Tensor]:
    return regions


@pytest.fixture
def ramps() -> Spectra:
    """Sixty clips whose first band tells the tick of the corpus, in hundredths of a decibel."""
    lengths = np.random.default_rng(0).integers(60, 400, 60)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.zeros((bounds[-1], audio.MEL_BANDS), np.float32)
    rows += np.arange(bounds[-1])[:, None] / 100
    return Spectra(rows, bounds, tuple(str(i) for i in range(60)))  # type: ignore[arg-type]


def pairs_of(spectra: Spectra, count: int) -> MinedPairs:
    rng = np.random.default_rng(1)
    clips = np.stack([rng.permutation(len(spectra.names))[:2] for _ in range(count)])
    start = spectra.bounds[clips] + 4
    size = rng.uniform(30, 50, (count, 2))
    return MinedPairs(clips, start[..., None] + size[..., None] * np.linspace(0, 1, 8))


def read(batch: ViewBatch, view: int, rows: torch.Tensor, ticks: torch.Tensor) -> torch.Tensor:
    """The ramp's value at fractional ticks of a view, as ticks of the corpus."""
    below = ticks.floor().long().clamp_max(TICKS - 2)
    first = batch.clean[view, :, :, 0].double()
    low, high = first[rows, below], first[rows, below + 1]
    return 100 * (low + (ticks - below) * (high - low))


def same(one: ViewBatch, other: ViewBatch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


def test_moments_and_spans_are_where_the_corpus_has_them(ramps: Spectra) -> None:
    data = ContrastiveData(ramps, as_they_are, 3, pairs=pairs_of(ramps, 80))
    batch = data.batch(5)
    assert len(batch.moment_rows) > 0
    for view in (0, 1):
        inner = batch.moments[view] < batch.lengths[view, batch.moment_rows] - 2.001
        heard = read(batch, view, batch.moment_rows, batch.moments[view])
        torch.testing.assert_close(heard[inner], batch.moment_places[view][inner], atol=0.05, rtol=0)
        starts = read(batch, view, batch.span_rows, batch.spans[view, :, 0])
        torch.testing.assert_close(starts, batch.span_places[view, :, 0], atol=0.05, rtol=0)
        assert (batch.spans[view, :, 1] <= batch.lengths[view, batch.span_rows]).all()
        assert (batch.spans[view, :, 1] > batch.spans[view, :, 0] + 10).all()


def test_rows_show_one_place_twice_or_a_pair(ramps: Spectra) -> None:
    pairs = pairs_of(ramps, 80)
    batch = ContrastiveData(ramps, as_they_are, 3, pairs=pairs, rows=40, mined=0.5).batch(0)
    equal = (batch.span_places[0] == batch.span_places[1]).all(dim=1)
    assert int(equal.sum()) == len(equal) // 2
    clips = np.searchsorted(ramps.bounds, batch.span_places[:, ~equal, 0].numpy(), side="right") - 1
    known = {tuple(sorted(pair)) for pair in pairs.clips.tolist()}
    assert {tuple(sorted(pair)) for pair in clips.T.tolist()} <= known


def test_a_view_that_is_alone_holds_the_stretch_and_little_else(ramps: Spectra) -> None:
    batch = ContrastiveData(ramps, as_they_are, 3, isolated=1.0).batch(0)
    assert (batch.lengths[1] - 160 <= 0).all()
    assert (batch.lengths[1] < batch.lengths[0]).float().mean() > 0.5
    assert (batch.features[1, 0, int(batch.lengths[1, 0]) :] == 0).all()


def test_same_seed_and_step_give_the_same_batch(ramps: Spectra) -> None:
    one, again, other = (ContrastiveData(ramps, as_they_are, seed) for seed in (7, 7, 8))
    assert same(one.batch(3), again.batch(3))
    assert not same(one.batch(3), one.batch(4))
    assert not same(one.batch(3), other.batch(3))
    assert all(same(a, b) for a, b in zip(one.validation(), again.validation(), strict=True))


def test_what_is_kept_for_validation_is_not_trained_on(ramps: Spectra) -> None:
    data = ContrastiveData(ramps, as_they_are, 0)
    trained = np.concatenate([data.batch(step).span_places[0, :, 0].numpy() for step in range(10)])
    held = np.concatenate([batch.span_places[0, :, 0].numpy() for batch in data.validation()])
    clips = [set(np.searchsorted(ramps.bounds, places, side="right") - 1) for places in (trained, held)]
    assert clips[1] == {0, 20, 40}
    assert not clips[0] & clips[1]


def test_pairs_can_be_kept(ramps: Spectra, tmp_path: Path) -> None:
    pairs = pairs_of(ramps, 9)
    pairs.save(tmp_path / "new/pairs.npz")
    loaded = MinedPairs.load(tmp_path / "new/pairs.npz")
    np.testing.assert_array_equal(loaded.clips, pairs.clips)
    np.testing.assert_array_equal(loaded.anchors, pairs.anchors)


def test_one_clip_is_too_little(ramps: Spectra) -> None:
    one = Spectra(ramps.spectra[: ramps.bounds[1]], ramps.bounds[:2], ramps.names[:1])
    with pytest.raises(BadInput, match="at least two"):
        ContrastiveData(one, as_they_are, 0)
