from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bench.calibration import (
    Ranking,
    cross_fitted,
    fit,
    keyword_specific,
    load,
    plot,
    report,
    save,
    shown_of,
    write_card,
)
from tests.bench.metrics import calibration_error, equal_widths
from wordspot.indexer.search.calibration import SIGNALS, Calibration, decision_threshold

GROUPS = ("a", "b", "c")


def ranking(number: int, group: str = "a", said: bool = True) -> Ranking:
    """Forty places; the log odds that one is right are twice its score less five."""
    rng = np.random.default_rng([number, len(group), ord(group[0])])
    score = np.sort(rng.gumbel(1.0, 1.0, 40))[::-1]
    table = rng.standard_normal((40, len(SIGNALS)))
    table[:, SIGNALS.index("score")] = score
    right = rng.random(40) < 1 / (1 + np.exp(5 - 2 * score)) if said else np.zeros(40, dtype=np.bool_)
    return Ranking(
        archive=group,
        group=group,
        pose="isolated",
        keyword=f"{group} {number}",
        table=table,
        right=right,
        shares=np.ones(40),
        relevant=max(int(right.sum()), 1) if said else 0,
        seconds=3_600.0,
    )


RANKINGS = [ranking(number, group) for group in GROUPS for number in range(80)]


def test_a_fit_finds_the_odds_that_the_answers_were_made_with() -> None:
    calibration = fit(RANKINGS)
    scores = np.zeros((2, len(SIGNALS)))
    scores[:, SIGNALS.index("score")] = 2.0, 3.0
    low, high = calibration.log_odds(scores)
    assert (low, high - low) == (pytest.approx(-1, abs=0.3), pytest.approx(2, abs=0.3))
    weights = dict(zip(calibration.signals, map(abs, calibration.weights), strict=True))
    assert max(weights, key=weights.__getitem__) == "score"


def test_probabilities_fitted_on_other_archives_are_calibrated() -> None:
    shown, right = shown_of(RANKINGS, cross_fitted(RANKINGS))
    assert len(shown) == 10 * len(RANKINGS)
    assert calibration_error(shown, right, equal_widths(10)) < 0.05


def test_an_archive_is_judged_by_a_fit_that_saw_neither_it_nor_its_keywords() -> None:
    spoiled = [
        replace(one, right=~one.right) if one.group == "a" or one.keyword == "a 3" else one
        for one in RANKINGS
    ]
    honest, found = cross_fitted(RANKINGS), cross_fitted(spoiled)
    assert all(np.array_equal(one, other) for one, other in zip(honest[:80], found[:80], strict=True))
    shared = [replace(one, keyword="a 3") if one.keyword == "b 0" else one for one in RANKINGS]
    assert not np.array_equal(cross_fitted(shared)[0], honest[0])


def test_an_archive_of_many_queries_weighs_no_more_than_one_of_few() -> None:
    few = [one for one in RANKINGS if one.group != "b"] + [ranking(0, "b")] * 80
    many = [*few, *[ranking(0, "b")] * 80]
    assert fit(many).log_odds(RANKINGS[0].table) == pytest.approx(
        fit(few).log_odds(RANKINGS[0].table), abs=0.05
    )


def test_places_that_stand_for_others_count_as_many() -> None:
    probability = np.array([0.9, 0.1])
    one = replace(RANKINGS[0], shares=np.array([1.0, 10.0]))
    assert keyword_specific(one, probability) == decision_threshold(np.array([0.9, *[0.1] * 10]), 3_600)


def test_a_report_has_a_row_for_each_archive_and_way_to_ask() -> None:
    rankings = [*RANKINGS[:20], *RANKINGS[80:100], *(ranking(n, "a", said=False) for n in range(80, 90))]
    rows = report(rankings, cross_fitted(rankings), threshold=4.0)
    assert [row["method"] for row in rows] == ["a, isolated", "b, isolated"]
    assert [row["rankings"] for row in rows] == [30, 20]
    assert all(0 <= row["ece_width"] <= 1 and row["mtwv_p"] >= 0 for row in rows)
    assert rows[0]["alarms"] is not None
    assert rows[1]["alarms"] is None


def test_answers_are_kept_and_read_again(tmp_path: Path) -> None:
    save(RANKINGS[:3], tmp_path / "answers.npz")
    for one, same in zip(RANKINGS, load(tmp_path / "answers.npz"), strict=False):
        assert (one.keyword, one.relevant, one.seconds) == (same.keyword, same.relevant, same.seconds)
        assert np.array_equal(one.table, same.table)
        assert np.array_equal(one.right, same.right)


def test_a_card_gets_the_coefficients_and_keeps_the_rest(tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"name": "ears", "detection_threshold": 4.5}))
    calibration = fit(RANKINGS[:50])
    write_card(card, calibration)
    written = json.loads(card.read_text())
    assert (written["name"], written["detection_threshold"]) == ("ears", 4.5)
    assert Calibration.from_card(written["calibration"]) == calibration


def test_a_diagram_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    probability = np.linspace(0, 1, 200)
    plot(probability, probability > 0.5, "ears", tmp_path / "docs" / "reliability.png")
    assert (tmp_path / "docs" / "reliability.png").read_bytes().startswith(b"\x89PNG")
