from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.search.calibration import (
    BETA,
    MAX_DEVIATION,
    MEASURED,
    SIGNALS,
    Calibration,
    decide,
    decision_threshold,
    mean_signals,
    query_change,
    sigmoid,
    signal_table,
)

BY_SCORE = Calibration(("score",), (4.0,), (2.0,), (3.0,), -1.0, "a test")


def measured(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(1).random((count, len(MEASURED)))


def test_probabilities_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    table = rng.uniform(-1, 1, (500, len(SIGNALS))) * rng.uniform(0.1, 9, len(SIGNALS))
    right = table[:, 0] + table[:, 5] + rng.standard_normal(500) > 0
    scaler = StandardScaler().fit(table)
    model = LogisticRegression().fit(scaler.transform(table), right)
    calibration = Calibration(
        SIGNALS, tuple(scaler.mean_), tuple(scaler.scale_), tuple(model.coef_[0]), float(model.intercept_[0])
    )
    expected = model.predict_proba(scaler.transform(table))[:, 1]
    assert calibration.probabilities(table) == pytest.approx(expected, abs=1e-12)


def test_a_calibration_knows_its_signals_by_name() -> None:
    table = np.zeros((2, len(SIGNALS)))
    table[:, SIGNALS.index("score")] = 4.0, 6.0
    assert BY_SCORE.log_odds(table).tolist() == [-1.0, 2.0]


def test_of_a_query_or_an_archive_unlike_those_fitted_on_only_so_much_counts() -> None:
    calibration = replace(BY_SCORE, signals=("speech",))
    table = np.zeros((3, len(SIGNALS)))
    table[:, SIGNALS.index("speech")] = 4.0, 4 + 2 * MAX_DEVIATION, 99.0
    assert calibration.log_odds(table).tolist() == [-1, 3 * MAX_DEVIATION - 1, 3 * MAX_DEVIATION - 1]


def test_a_calibration_survives_a_card() -> None:
    assert Calibration.from_card(json.loads(json.dumps(asdict(BY_SCORE)))) == BY_SCORE


@pytest.mark.parametrize(
    "change",
    [{"signals": ["mood"]}, {"scales": [0.0]}, {"means": []}, {"intercept": math.nan}, {"weights": "x"}],
)
def test_a_card_with_what_cannot_be_used_counts_as_not_calibrated(change: dict[str, Any]) -> None:
    assert Calibration.from_card(asdict(BY_SCORE) | change) is None
    assert Calibration.from_card(None) is None


def test_what_cannot_be_used_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'mood'"):
        replace(BY_SCORE, signals=("mood",))
    with pytest.raises(InvalidInput, match="1 signals, got 0, "):
        replace(BY_SCORE, means=())


def test_without_a_calibration_the_score_decides_and_p_is_one_half_at_the_threshold() -> None:
    score = np.array([5.0, 4.0, 3.0])
    decision = decide(
        None,
        score,
        shift=0.5,
        threshold=4.5,
        measured=measured(3),
        examples=1,
        seconds=60,
    )
    assert decision.detected.tolist() == [True, True, False]
    assert decision.p_threshold is None
    assert decision.probability[1] == 0.5
    assert np.all(np.diff(decision.probability) < 0)


def test_places_that_were_not_aligned_are_judged_by_their_scores() -> None:
    decision = decide(BY_SCORE, np.array([9.0]), shift=0, threshold=10, measured=None, examples=1, seconds=60)
    assert (decision.p_threshold, decision.detected.tolist()) == (None, [False])


def test_a_calibrated_ranking_is_decided_by_probability() -> None:
    score = np.array([9.0, 8.0, 1.0])
    decision = decide(
        BY_SCORE, score - 7, shift=7, threshold=99, measured=measured(3), examples=1, seconds=3_600
    )
    assert decision.p_threshold == decision_threshold(decision.probability, 3_600)
    assert decision.probability == pytest.approx(sigmoid((score - 4) / 2 * 3 - 1))
    assert decision.detected.tolist() == [True, True, False]


def test_detecting_pays_from_the_threshold_on() -> None:
    """Expected term-weighted value of detecting one more hit changes its sign there."""
    probability, seconds = np.array([0.9, 0.8, 0.7, 0.5, 0.1]), 7_200
    said = probability.sum()
    level = decision_threshold(probability, seconds)

    def gain(p: float) -> float:
        return float(p / said - BETA * (1 - p) / (seconds - said))

    assert gain(level) == pytest.approx(0, abs=1e-12)
    assert gain(level + 0.01) > 0 > gain(level - 0.01)


def test_a_word_that_is_said_often_needs_more_certainty_and_a_long_archive_less() -> None:
    rare, often = np.full(2, 0.5), np.full(40, 0.5)
    assert decision_threshold(rare, 3_600) < decision_threshold(often, 3_600) < 1
    assert decision_threshold(rare, 36_000) < decision_threshold(rare, 3_600)
    assert decision_threshold(np.empty(0), 3_600) == 1.0
    assert decision_threshold(often, 1.0) <= 1.0


def test_signals_of_a_place_depend_on_its_rank_and_not_on_the_order_given() -> None:
    score = np.array([3.0, 9.0, 5.0])
    rows = measured(3)
    table = signal_table(score, rows, examples=2, shift=0.5)
    falling = np.array([1, 2, 0])
    sorted_first = signal_table(score[falling], rows[falling], examples=2, shift=0.5)
    assert table[falling].tolist() == sorted_first.tolist()
    named = {name: table[:, SIGNALS.index(name)].tolist() for name in SIGNALS}
    assert named["score"] == (score + 0.5).tolist()
    assert named["rank"] == pytest.approx(np.log([3, 1, 2]))
    assert named["behind"] == [6.0, 0.0, 4.0]
    assert named["ahead"] == [0.0, 3.0, 2.0]  # of a lead no more than MAX_AHEAD counts
    assert named["rivals"] == [3.0] * 3
    assert named["examples"] == pytest.approx([math.log(2)] * 3)
    assert table[:, : len(MEASURED)].tolist() == rows.tolist()
    assert (
        table[:0].shape
        == signal_table(np.empty(0), np.empty((0, len(MEASURED))), examples=1, shift=0.0).shape
    )


def test_a_query_of_more_phones_changes_more() -> None:
    phones = np.eye(8, dtype=np.float32)
    assert query_change(np.repeat(phones[:2], 10, axis=0)) == 1
    assert query_change(np.repeat(phones[:6], 10, axis=0)) == 5
    assert query_change(phones[:1]) == 0


def test_signals_of_several_finds_of_a_place_are_averaged() -> None:
    found = mean_signals(np.array([1, 0, 1]), 2, np.array([[2.0, 0.0], [7.0, 1.0], [4.0, 1.0]]))
    assert found.tolist() == [[7.0, 1.0], [3.0, 0.5]]
