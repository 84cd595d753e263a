"""The formulas of normalisation.py, with scipy as the reference for median and deviation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from wordspot.indexer.records import TICKS_PER_SECOND
from wordspot.indexer.search import normalisation
from wordspot.indexer.search.normalisation import (
    background_statistics,
    decoy_share,
    impostor_rank,
    median,
    normalised_similarity,
    query_shift,
    robust_deviation,
    short_archive_shift,
)

HOUR_TICKS = 3_600 * TICKS_PER_SECOND


@pytest.mark.parametrize("count", [1, 2, 7, 128])
def test_median_and_robust_deviation_are_those_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(3, 2, count)
    assert median(values) == pytest.approx(np.median(values))
    expected = stats.median_abs_deviation(values, scale="normal")
    assert robust_deviation(values, median(values)) == pytest.approx(expected, rel=1e-4, abs=1e-12)


def test_the_variance_of_costs_is_halfway_between_their_own_and_the_prior() -> None:
    costs = np.random.default_rng(0).normal(0.5, 0.1, 99)
    statistics = background_statistics(costs)
    deviation = stats.median_abs_deviation(costs, scale="normal")
    assert statistics.location == pytest.approx(np.median(costs))
    assert statistics.deviation == pytest.approx(deviation, rel=1e-4)
    prior = normalisation.PRIOR_DEVIATION * statistics.location
    assert statistics.scale == pytest.approx(math.sqrt((deviation**2 + prior**2) / 2), rel=1e-4)


def test_a_few_windows_that_hold_the_word_do_not_move_the_statistics() -> None:
    costs = np.random.default_rng(0).normal(0.5, 0.05, 200)
    clean, mixed = (
        background_statistics(costs),
        background_statistics(np.append(costs, np.full(10, 0.01))),
    )
    assert mixed.location == pytest.approx(clean.location, rel=0.02)
    assert mixed.scale == pytest.approx(clean.scale, rel=0.1)


def test_decoys_take_the_place_of_the_background_in_proportion_to_their_share() -> None:
    costs, decoys = np.full(9, 0.1), np.full(9, 0.6)
    ratio = normalisation.DECOY_RATIO
    locations = [background_statistics(costs, decoys, share).location for share in (0.25, 1.0)]
    assert locations == pytest.approx([0.75 * 0.1 + 0.25 * ratio * 0.6, ratio * 0.6])


def test_decoys_are_asked_for_only_where_speech_is_short() -> None:
    enough = 100 * normalisation.INDEPENDENT_WINDOWS
    assert decoy_share(enough, 100) == decoy_share(2 * enough, 100) == 0
    assert decoy_share(enough / 4, 100) == 0.75


def test_costs_that_are_all_alike_have_a_scale_above_zero() -> None:
    assert background_statistics(np.zeros(5)).scale == normalisation.MIN_SCALE


def test_similarities_are_in_robust_deviations_above_those_of_the_background() -> None:
    background = np.random.default_rng(0).normal(0.2, 0.1, 101)
    scores = normalised_similarity(np.array([median(background), 0.9], np.float32), background)
    deviation = stats.median_abs_deviation(background, scale="normal")
    assert scores == pytest.approx([0, (0.9 - np.median(background)) / deviation], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("hours", "rank"), [(0.1, 0), (0.39, 0), (0.4, 20), (0.7, 35), (1, 50), (30, 50)])
def test_the_rank_of_impostors_grows_with_speech_between_its_bounds(hours: float, rank: int) -> None:
    assert impostor_rank(np.array([round(hours * HOUR_TICKS), 0])) == rank


@pytest.mark.parametrize(("impostor", "shift"), [(2.8, 0.2), (3.5, -0.5), (9.0, -1.0), (-3.0, 0.5)])
def test_the_impostor_s_score_is_brought_to_one_value_within_a_range(impostor: float, shift: float) -> None:
    score = np.append(impostor - np.arange(5.0), impostor + np.arange(1.0, 20.0))
    assert query_shift(score, 20) == pytest.approx(shift)


def test_a_query_with_fewer_places_than_impostors_is_not_shifted() -> None:
    assert query_shift(np.ones(19), 20) == 0


def test_scores_rise_by_the_logarithm_of_the_speech_that_is_missing() -> None:
    threshold = normalisation.MIN_IMPOSTORS / normalisation.IMPOSTORS_PER_HOUR * HOUR_TICKS
    shifts = [short_archive_shift(np.array([round(threshold / part)])) for part in (0.5, 1, math.e, 1e9)]
    expected = [0, 0, normalisation.SHIFT_PER_LOG_SPEECH, normalisation.MAX_SHORT_ARCHIVE_SHIFT]
    assert shifts == pytest.approx(expected, abs=1e-3)
