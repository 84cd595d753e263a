from __future__ import annotations

import math
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.bench.metrics import (
    BETA,
    Detections,
    Judged,
    Places,
    actual_twv,
    average_precision,
    bootstrap_interval,
    by_keyword,
    calibration_error,
    equal_counts,
    equal_widths,
    false_alarms_per_hour,
    judge,
    keyword_mean,
    match,
    maximum_twv,
    precision_at,
    recall_at,
    reliability,
    summarise,
)


def places(*rows: tuple[int, float, float]) -> Places:
    recordings, starts, ends = zip(*rows, strict=True) if rows else ((), (), ())
    return Places(np.array(recordings, dtype=np.int64), np.array(starts, float), np.array(ends, float))


def detections(*rows: tuple[int, float, float]) -> Detections:
    """Scores fall by one a rank, all of them detected."""
    return Detections(places(*rows), -np.arange(len(rows), dtype=float), np.ones(len(rows), dtype=np.bool_))


def judged(
    right: list[bool],
    scores: list[float],
    relevant: int,
    *,
    keyword: str = "word",
    detected: list[bool] | None = None,
    seconds: float = 1_000.0,
) -> Judged:
    return Judged(
        keyword=keyword,
        right=np.array(right, dtype=np.bool_),
        scores=np.array(scores, dtype=np.float64),
        detected=np.array(detected if detected is not None else [True] * len(right), dtype=np.bool_),
        relevant=relevant,
        right_files=np.array(right, dtype=np.bool_),
        relevant_files=relevant,
        seconds=seconds,
    )


@pytest.mark.parametrize(("middle", "occurrence"), [(0.49, -1), (0.5, 0), (1.2, 0), (2.0, 0), (2.01, -1)])
def test_a_midpoint_is_right_up_to_half_a_second_from_the_occurrence(middle: float, occurrence: int) -> None:
    assert match(places((3, middle - 0.2, middle + 0.2)), places((3, 1.0, 1.5))).tolist() == [occurrence]


def test_the_right_time_in_another_recording_is_wrong() -> None:
    assert match(places((4, 1.0, 1.5)), places((3, 1.0, 1.5))).tolist() == [-1]


def test_an_occurrence_is_taken_once_and_by_the_best() -> None:
    found = match(places((3, 1.1, 1.6), (3, 1.0, 1.5), (3, 0.9, 1.4)), places((3, 1.0, 1.5)))
    assert found.tolist() == [0, -1, -1]


def test_two_occurrences_in_reach_of_one_another_are_taken_one_each() -> None:
    found = match(places((3, 1.6, 2.0), (3, 1.6, 2.1), (3, 1.6, 2.0)), places((3, 1.0, 1.5), (3, 1.6, 2.0)))
    assert found.tolist() == [1, 0, -1]


def test_nothing_retrieved_and_nothing_true_match_nothing() -> None:
    assert match(places(), places((3, 1.0, 1.5))).tolist() == []
    assert match(places((3, 1.0, 1.5)), places()).tolist() == [-1]


def test_average_precision_by_hand() -> None:
    # Right at ranks 1, 3 and 6: 1/1, 2/3, 3/6 over three.
    right = np.array([True, False, True, False, False, True])
    assert average_precision(right, 3) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)


def test_average_precision_is_divided_by_all_that_is_relevant_not_by_what_was_retrieved() -> None:
    assert average_precision(np.array([True]), 4) == 0.25


def test_average_precision_does_not_stop_at_ten() -> None:
    right = np.zeros(50, dtype=np.bool_)
    right[49] = True
    assert average_precision(right, 1) == pytest.approx(1 / 50)


def test_average_precision_agrees_with_scikit_learn_where_everything_is_retrieved() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        right = rng.random(200) < 0.1
        right[rng.integers(200)] = True
        reference = average_precision_score(right, -np.arange(200))
        assert average_precision(right, int(right.sum())) == pytest.approx(reference, abs=1e-12)


def test_without_anything_relevant_there_is_no_average_precision() -> None:
    with pytest.raises(ValueError, match="at least one occurrence must be relevant, got 0"):
        average_precision(np.array([False]), 0)


def test_precision_at_ten_divides_by_ten_though_fewer_were_retrieved() -> None:
    assert precision_at(np.array([True, False, True]), 10) == 0.2


def test_files_are_ranked_by_their_best_place() -> None:
    found = judge(
        "word",
        detections((1, 0.0, 1.0), (2, 5.0, 6.0), (1, 4.0, 5.0), (3, 0.0, 1.0)),
        places((2, 0.0, 1.0), (2, 8.0, 9.0), (3, 0.0, 1.0), (4, 0.0, 1.0)),
        100.0,
    )
    assert found.right.tolist() == [False, False, False, True]
    assert found.right_files.tolist() == [False, True, True]
    assert (found.relevant, found.relevant_files) == (4, 3)


def test_excluded_recordings_leave_the_ranking_and_an_equal_first_neighbour_stays() -> None:
    ranking = detections((7, 0.0, 1.0), (8, 0.0, 1.0), (7, 3.0, 4.0), (9, 0.0, 1.0))
    assert ranking.without({7}).places.recordings.tolist() == [8, 9]
    assert ranking.without({7}).scores.tolist() == [-1.0, -3.0]
    assert ranking.without(()).places.recordings.tolist() == [7, 8, 7, 9]


def test_rising_scores_are_no_ranking() -> None:
    with pytest.raises(ValueError, match=r"scores must not rise, got \[1. 2.\] at ranks 1, 2"):
        Detections(places(*[(1, 0.0, 1.0)] * 3), np.array([3.0, 1.0, 2.0]), np.ones(3, dtype=np.bool_))


def test_recall_counts_occurrences_not_candidates() -> None:
    truth = places((1, 1.0, 1.5), (1, 9.0, 9.5), (2, 1.0, 1.5))
    candidates = places((1, 1.0, 1.5), (1, 1.1, 1.5), (1, 1.2, 1.5), (2, 1.0, 1.5))
    assert recall_at(candidates, truth, 3) == pytest.approx(1 / 3)
    assert recall_at(candidates, truth, 4) == pytest.approx(2 / 3)


def test_a_keyword_with_many_queries_weighs_no_more_than_one_with_a_single_query() -> None:
    assert by_keyword(["a", "a", "b"], [0.0, 1.0, 0.9]) == {"a": 0.5, "b": 0.9}
    assert keyword_mean(["a", "a", "b"], [0.0, 1.0, 0.9]) == pytest.approx(0.7)


def test_term_weighted_value_by_hand() -> None:
    # 1,000 s and 4 occurrences: 996 trials. Two found, one false alarm.
    query = judged([True, False, True, False], [4, 3, 2, 1], 4, detected=[True, True, True, False])
    assert actual_twv([query]) == pytest.approx(1 - (2 / 4 + 999.9 * 1 / 996))


def test_beta_is_that_of_nist() -> None:
    assert BETA == 999.9


def test_detecting_everything_right_is_worth_one_and_nothing_is_worth_zero() -> None:
    assert actual_twv([judged([True, True], [2, 1], 2)]) == 1.0
    assert actual_twv([judged([True, True], [2, 1], 2, detected=[False, False])]) == 0.0


def test_maximum_twv_has_one_threshold_for_all_queries() -> None:
    # One query's scores lie ten higher: a threshold that suits it hides the other's right answer.
    high = judged([True, False], [11.0, 10.0], 1, keyword="a", seconds=500)
    low = judged([True, False], [2.0, 1.0], 1, keyword="b", seconds=500)
    # At 11: 1/2. At 10: 1/2 - alarm. At 2: 1 - alarm, and an alarm costs 999.9 / 499 / 2.
    value, threshold = maximum_twv([high, low])
    assert value == pytest.approx(0.5)
    assert threshold == 11.0
    high_without_alarm = judged([True], [11.0], 1, keyword="a", seconds=500)
    value, threshold = maximum_twv([high_without_alarm, low])
    assert value == pytest.approx(1.0)
    assert threshold == 2.0


def test_maximum_twv_is_what_actual_twv_gives_at_its_threshold() -> None:
    rng = np.random.default_rng(5)
    queries = []
    for number in range(30):
        scores = np.sort(rng.normal(size=40))[::-1].round(1)
        right = rng.random(40) < 1 / (1 + np.exp(-4 * scores + 4))
        queries.append(
            judged(
                right.tolist(), scores.tolist(), int(right.sum()) + 2, keyword=str(number % 12), seconds=9e4
            )
        )
    value, threshold = maximum_twv(queries)
    everywhere = [
        actual_twv(
            [
                judged(
                    query.right.tolist(),
                    query.scores.tolist(),
                    query.relevant,
                    keyword=query.keyword,
                    detected=(query.scores >= level).tolist(),
                    seconds=query.seconds,
                )
                for query in queries
            ]
        )
        for level in np.unique(np.concatenate([query.scores for query in queries]))
    ]
    levels = np.unique(np.concatenate([query.scores for query in queries]))
    assert value == pytest.approx(max(everywhere))
    assert threshold == levels[int(np.argmax(everywhere))]


def test_maximum_twv_cannot_cut_between_equal_scores() -> None:
    query = judged([True, False], [1.0, 1.0], 1)
    assert maximum_twv([query]) == (0.0, math.inf)


def test_maximum_twv_is_never_negative() -> None:
    assert maximum_twv([judged([False], [5.0], 3)]) == (0.0, math.inf)
    assert maximum_twv([judged([], [], 3)]) == (0.0, math.inf)


def test_an_archive_shorter_than_its_occurrences_has_no_trials() -> None:
    with pytest.raises(ValueError, match=r"3.0 s of archive are no trials beside 3 occurrences"):
        actual_twv([judged([True], [1.0], 3, seconds=3.0)])


def test_false_alarms_are_counted_an_hour_and_a_query() -> None:
    quiet = judged([False, False], [2, 1], 0, detected=[False, False], seconds=1_800)
    loud = judged([False, False], [2, 1], 0, detected=[True, True], seconds=1_800)
    assert false_alarms_per_hour([quiet, quiet, loud]) == (pytest.approx(4 / 3), 0.0)


def test_a_query_that_occurs_is_no_absent_one() -> None:
    with pytest.raises(ValueError, match="'word' occurs 1 times"):
        false_alarms_per_hour([judged([True], [1], 1)])


def test_the_interval_covers_the_mean_and_follows_the_seed() -> None:
    values = {str(number): number / 50 for number in range(50)}
    low, high = bootstrap_interval(values, np.random.default_rng(1))
    assert (low, high) == bootstrap_interval(values, np.random.default_rng(1))
    # The standard error of a mean of 50 such values is 0.29 / sqrt(50) = 0.041.
    assert low == pytest.approx(0.49 - 1.96 * 0.0408, abs=0.01)
    assert high == pytest.approx(0.49 + 1.96 * 0.0408, abs=0.01)


def test_keywords_that_all_score_the_same_have_no_spread() -> None:
    assert bootstrap_interval({"a": 0.3, "b": 0.3}, np.random.default_rng(1)) == pytest.approx((0.3, 0.3))


def test_a_perfectly_calibrated_forecast_has_no_error_and_a_boastful_one_its_boast() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(50_000)
    right = rng.random(50_000) < probability
    for edges in (equal_widths(10), equal_counts(probability, 10)):
        assert calibration_error(probability, right, edges) < 0.01
        boastful = np.minimum(probability + 0.2, 1.0)
        assert calibration_error(boastful, right, edges) == pytest.approx(0.18, abs=0.01)


def test_bins_of_a_reliability_diagram_by_hand() -> None:
    probability = np.array([0.05, 0.15, 0.17, 1.0])
    right = np.array([False, True, False, True])
    points = reliability(probability, right, equal_widths(10))
    assert points == [(0.05, 0.0, 1), (pytest.approx(0.16), 0.5, 2), (1.0, 1.0, 1)]
    error = calibration_error(probability, right, equal_widths(10))
    assert error == pytest.approx((0.05 * 1 + 0.34 * 2) / 4)


def test_bins_of_equal_counts_hold_as_many_and_merge_where_many_are_equal() -> None:
    probability = np.arange(100) / 100
    counts = [count for *_, count in reliability(probability, probability > 2, equal_counts(probability, 10))]
    assert counts == [10] * 10
    same = np.full(100, 0.25)
    assert reliability(same, same > 0, equal_counts(same, 10)) == [(0.25, 1.0, 100)]


def test_a_summary_has_every_figure() -> None:
    queries = [
        judged([True, False, True], [3, 2, 1], 2, keyword="a", detected=[True, False, True], seconds=1e6),
        judged([False, True], [3, 2], 4, keyword="b", detected=[False, True], seconds=1e6),
    ]
    summary = summarise(queries, seed=1)
    assert (summary.queries, summary.keywords) == (2, 2)
    assert summary.map == pytest.approx(((1 + 2 / 3) / 2 + 0.5 / 4) / 2)
    assert summary.file_map == pytest.approx(summary.map)
    assert summary.p10 == pytest.approx((0.2 + 0.1) / 2)
    assert summary.pn == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert summary.atwv == pytest.approx((1 + 1 / 4) / 2)
    assert summary.mtwv == pytest.approx(summary.atwv, abs=0.002)
    assert set(summary.intervals) == {"map", "file_map", "p10", "pn"}
    for name, (low, high) in summary.intervals.items():
        assert low <= getattr(summary, name) <= high


def test_three_hundred_rankings_of_ten_thousand_are_judged_in_seconds() -> None:
    rng = np.random.default_rng(2)
    truth = Places(rng.integers(2_000, size=45), rng.uniform(0, 3, 45), rng.uniform(3, 4, 45))
    starts = rng.uniform(0, 4, 10_000)
    ranking = Detections(
        Places(rng.integers(2_000, size=10_000), starts, starts + 0.5),
        np.sort(rng.normal(size=10_000))[::-1],
        np.ones(10_000, dtype=np.bool_),
    )
    begin = time.perf_counter()
    queries = [judge(str(number), ranking, truth, 7_200.0) for number in range(300)]
    summarise(queries, seed=1)
    assert time.perf_counter() - begin < 20
