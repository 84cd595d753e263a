from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.models.test_adaptation import WORDS, clusters, fresh, regions, spectra
from wordspot.models import adaptation, adaptation_judge
from wordspot.models.adaptation_judge import AdaptationJudge, best_of, compared
from wordspot.models.augmentation import Strength
from wordspot.models.datasets.spectra import SILENCE_DB, Spectra
from wordspot.models.encoders.map_training import Token

__all__ = ["clusters", "spectra"]

UNDISTURBED = Strength(
    tempo=1.0, warp=1.0, colour_db=0.0, snr_db=(99.0, 99.0), noisy=0.0, reverberant=0.0, narrow=0.0
)


def test_what_sounds_alike_is_judged_better_than_what_does_not(
    spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation_judge, "STRENGTH", UNDISTURBED)
    model = fresh()
    right = AdaptationJudge(spectra, clusters, seed=0).average_precisions(model)
    shifted = [[one[0], other[1]] for one, other in zip(clusters, clusters[11:] + clusters[:11], strict=True)]
    wrong = AdaptationJudge(spectra, shifted, seed=0).average_precisions(model)
    assert right.shape == (WORDS,)
    assert float(right.mean()) > float(wrong.mean()) + 0.1


def test_all_models_are_asked_the_same_and_disturbed_stretches_are_harder_to_find(
    clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_tone = [region for region in regions() if region.name.startswith("tone 0/")]
    copied = adaptation.spectra_of(
        replace(region, name=f"copy {copy}/{number}")
        for number, region in enumerate(one_tone)
        for copy in range(2)
    )
    model = fresh()
    judge = AdaptationJudge(copied, clusters, seed=0)
    disturbed = judge.average_precisions(model)
    assert np.array_equal(disturbed, judge.average_precisions(model))
    assert np.array_equal(disturbed, AdaptationJudge(copied, clusters, seed=0).average_precisions(model))
    assert not np.array_equal(disturbed, AdaptationJudge(copied, clusters, seed=1).average_precisions(model))
    monkeypatch.setattr(adaptation_judge, "STRENGTH", UNDISTURBED)
    clean = AdaptationJudge(copied, clusters, seed=0).average_precisions(model)
    assert float(clean.mean()) > float(disturbed.mean()) + 0.02


def test_a_stretch_is_asked_for_alone_and_at_its_place(
    spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation_judge, "STRENGTH", replace(UNDISTURBED, tempo=1.25))
    loud_throughout = replace(spectra, spectra=np.zeros_like(spectra.spectra))
    tokens = [token for cluster in clusters for token in cluster]
    query = adaptation_judge._augmented(loud_throughout, tokens, [0])
    assert query.spectra.dtype == np.float32
    length = np.array([token.stop - token.start for token in tokens])
    rate = length / (query.stop - query.start)
    assert (rate.min(), rate.max()) == pytest.approx((1 / 1.25, 1.25), abs=0.02)
    loud = query.spectra.max(axis=2) > SILENCE_DB
    before, behind = adaptation_judge.SILENCE_TICKS, adaptation_judge.MARGIN_TICKS
    for number in range(0, len(tokens), 7):
        there = np.flatnonzero(loud[number])
        assert there[0] == before
        assert there[-1] == pytest.approx(2 * query.stop[number] + behind / rate[number], abs=1.5)


def test_a_querys_own_recording_is_not_ranked(spectra: Spectra, clusters: list[list[Token]]) -> None:
    """With one recording beside the query's, all that is ranked lies there: its own place finds nothing."""
    judge = AdaptationJudge(
        spectra, [[one, replace(one, start=one.start + 1)] for one, _ in clusters[:8]], seed=0
    )
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        values = judge.average_precisions(fresh())
    assert np.isnan(values).all()


def test_a_gain_is_sure_if_its_whole_interval_is_above_zero() -> None:
    before = np.linspace(0.2, 0.8, 60)
    sure = compared(before, before + 0.05, seed=0)
    assert (sure.low, sure.high) == pytest.approx((0.05, 0.05))
    assert sure.improved
    noisy = before + np.where(np.arange(60) % 2, 0.21, -0.2)
    assert not compared(before, noisy, seed=0).improved
    assert not compared(before, before, seed=0).improved


def test_a_choice_is_credited_with_what_the_other_half_would_choose() -> None:
    even = np.arange(6) % 2 == 0
    after = np.stack([np.where(even, 0.9, 0.1), np.where(even, 0.3, 0.4)])
    best, credited = best_of(after)
    assert best == 0
    assert credited.tolist() == [0.3, 0.1] * 3
    alike = np.stack([np.full(6, 0.2), np.full(6, 0.6)])
    assert best_of(alike)[0] == 1
    assert best_of(alike)[1].tolist() == [0.6] * 6


def test_noise_of_many_candidates_is_not_taken_for_a_gain() -> None:
    rng = np.random.default_rng(0)
    before = np.full(400, 0.5)
    after = 0.5 + rng.normal(0, 0.2, (40, 400))
    best, credited = best_of(after)
    assert after[best].mean() > 0.515
    assert not compared(before, credited, seed=0).improved
