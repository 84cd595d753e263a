from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import Hit, SearchOptions
from wordspot.indexer.search.finder import SearchOutcome
from wordspot.indexer.search.fusion import FusionSettings, find_by_examples, fuse
from wordspot.indexer.search.query import EmbeddedQuery

THRESHOLD = 5.0
FLOOR = 2.0


def hit(recording: str, start: float, end: float, score: float) -> Hit:
    return Hit(recording, f"/{recording}.wav", start, end, score, detected=False)


def of_all(found: Sequence[Sequence[Hit]], floor: float) -> list[Hit]:
    return fuse(found, floor)[0]


def told(hits: Sequence[Hit]) -> list[tuple[str, float, float, float]]:
    return [(one.recording, one.start, one.end, one.score) for one in hits]


def test_a_place_that_every_example_finds_scores_their_mean() -> None:
    hits = of_all([[hit("a", 1.0, 1.5, 6.0)], [hit("a", 1.1, 1.6, 4.0)]], FLOOR)
    assert told(hits) == [("a", 1.0, 1.5, 5.0)]


def test_an_example_that_did_not_find_a_place_adds_the_floor() -> None:
    hits = of_all([[hit("a", 1.0, 1.5, 6.0)], [hit("b", 3.0, 3.4, 3.0)], []], FLOOR)
    assert told(hits) == [("a", 1.0, 1.5, 3.333), ("b", 3.0, 3.4, 2.333)]


def test_a_whole_number_as_floor_cuts_no_score_short() -> None:
    assert told(of_all([[hit("a", 1.0, 1.5, 6.5)], []], 2)) == [("a", 1.0, 1.5, 4.25)]


def test_the_best_of_overlapping_places_gives_the_extent() -> None:
    hits = of_all([[hit("a", 1.0, 2.0, 3.0)], [hit("a", 1.2, 1.9, 7.0)]], FLOOR)
    assert told(hits) == [("a", 1.2, 1.9, 5.0)]


def test_places_that_share_half_of_the_shorter_or_less_stay_two() -> None:
    hits = of_all([[hit("a", 1.0, 2.0, 6.0)], [hit("a", 1.5, 2.5, 4.0)]], FLOOR)
    assert told(hits) == [("a", 1.0, 2.0, 4.0), ("a", 1.5, 2.5, 3.0)]


def test_the_same_seconds_of_two_recordings_are_two_places() -> None:
    hits = of_all([[hit("a", 1.0, 2.0, 6.0)], [hit("b", 1.0, 2.0, 6.0)]], FLOOR)
    assert told(hits) == [("a", 1.0, 2.0, 4.0), ("b", 1.0, 2.0, 4.0)]


def test_an_example_counts_once_a_place_with_its_best_score() -> None:
    short = [hit("a", 1.0, 1.4, 4.0), hit("a", 1.5, 1.9, 3.0)]
    hits = of_all([[hit("a", 1.0, 2.0, 8.0)], short], FLOOR)
    assert told(hits) == [("a", 1.0, 2.0, 6.0)]


def test_a_place_between_two_belongs_to_the_one_it_shares_more_with() -> None:
    first = [hit("a", 0.0, 2.0, 8.0), hit("a", 2.0, 3.0, 7.0)]
    hits = of_all([first, [hit("a", 1.4, 2.1, 4.0)]], FLOOR)
    assert told(hits) == [("a", 0.0, 2.0, 6.0), ("a", 2.0, 3.0, 4.5)]


def test_places_come_best_first_and_equals_by_recording_and_start() -> None:
    hits = of_all(
        [[hit("b", 1, 2, 4.0), hit("a", 5, 6, 4.0), hit("a", 1, 2, 4.0), hit("c", 1, 2, 6.0)]], FLOOR
    )
    assert told(hits) == [("c", 1, 2, 6.0), ("a", 1, 2, 4.0), ("a", 5, 6, 4.0), ("b", 1, 2, 4.0)]


def test_one_example_alone_keeps_its_hits() -> None:
    hits = [hit("a", 1.0, 1.5, 6.0), hit("b", 1.0, 1.5, 3.0)]
    assert of_all([hits], FLOOR) == hits


def test_nothing_found_is_nothing() -> None:
    assert of_all([[], []], FLOOR) == []


def test_the_order_of_the_examples_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(4):
        # Distinct scores and extents, so that no tie has to be broken.
        starts = np.arange(40) + rng.random(40) * 0.4
        found.append(
            [
                hit(f"r{rng.integers(3)}", round(start, 2), round(start + 0.5 + rng.random() / 4, 2), score)
                for start, score in zip(starts, rng.permutation(40) + rng.random(), strict=True)
            ]
        )
    assert of_all(found, FLOOR) == of_all(found[::-1], FLOOR)


@dataclass(frozen=True)
class FakeFinder:
    """Knows the hits of each example, the examples being numbers; keeps what it was asked."""

    hits: Sequence[Sequence[Hit]]
    asked: list[SearchOptions]
    shifts: ClassVar[tuple[float, ...]] = (0.0, 0.0)

    def check(self, view: object, query: int, options: SearchOptions) -> None:
        if not 0 <= query < len(self.hits):
            raise InvalidInput(f"example {query}")

    def find(
        self, view: object, query: int, options: SearchOptions, *, shifted: bool = True
    ) -> SearchOutcome:
        assert shifted == (options.top == 1)  # one example is asked as it is, several are left as they are
        self.asked.append(options)
        assert options.min_score is not None
        hits = tuple(one for one in self.hits[query] if one.score >= options.min_score)
        return SearchOutcome(hits[: options.top], (query, query + 0.5), THRESHOLD, self.shifts[query])


FOUND = (
    (hit("a", 1.0, 1.5, 9.0), hit("b", 1.0, 1.5, 6.0), hit("c", 1.0, 1.5, 1.0)),
    (hit("a", 1.0, 1.5, 8.0), hit("c", 1.0, 1.5, 3.0)),
)
SETTINGS = FusionSettings(floor=FLOOR, depth=50)


def together(
    options: SearchOptions, examples: Sequence[int] = (0, 1), asked: list[SearchOptions] | None = None
) -> SearchOutcome:
    finder: Any = FakeFinder(FOUND, [] if asked is None else asked)
    return find_by_examples(
        finder, cast(Any, None), cast(Sequence[EmbeddedQuery], examples), options, SETTINGS
    )


def test_scores_are_moved_by_the_mean_of_the_examples_shifts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = SearchOptions(include_undetected=True)
    plain = together(everything)
    monkeypatch.setattr(FakeFinder, "shifts", (-1.0, 0.5))
    moved = together(everything)
    assert [hit.score for hit in moved.hits] == [round(hit.score - 0.25, 3) for hit in plain.hits]
    assert moved.score_shift == -0.25


def test_only_what_reaches_the_threshold_together_is_detected() -> None:
    outcome = together(SearchOptions())
    assert told(outcome.hits) == [("a", 1.0, 1.5, 8.5)]
    assert outcome.hits[0].detected
    assert (outcome.compared, outcome.threshold) == ((0, 0.5), THRESHOLD)
    every = together(SearchOptions(include_undetected=True)).hits
    assert [(one.recording, one.score, one.detected) for one in every] == [
        ("a", 8.5, True),
        ("b", 4.0, False),
        ("c", 2.5, False),
    ]


def test_top_and_minimum_score_hold_for_the_score_together() -> None:
    every = SearchOptions(include_undetected=True)
    assert [one.recording for one in together(replace(every, top=2)).hits] == ["a", "b"]
    assert [one.recording for one in together(replace(every, min_score=4.0)).hits] == ["a", "b"]
    assert together(SearchOptions(min_score=9.0)).hits == ()


def test_each_example_is_asked_for_enough_places_above_the_floor() -> None:
    asked: list[SearchOptions] = []
    options = SearchOptions(top=3, recordings=frozenset({"a", "b"}), excluded=frozenset({"b"}))
    together(options, asked=asked)
    deep = replace(options, top=50, min_score=FLOOR, include_undetected=True)
    assert asked == [deep, deep]
    together(replace(options, top=70), asked=asked)
    assert asked[-1].top == 70


def test_one_example_is_asked_as_it_is() -> None:
    asked: list[SearchOptions] = []
    options = SearchOptions(top=1, min_score=0.0)
    assert together(options, [1], asked).hits == FOUND[1][:1]
    assert asked == [options]


def test_an_example_that_cannot_be_asked_is_refused_before_anything_is_searched() -> None:
    asked: list[SearchOptions] = []
    with pytest.raises(InvalidInput, match="example 2"):
        together(SearchOptions(), [0, 1, 2], asked)
    with pytest.raises(InvalidInput, match="at least 1 example, got 0"):
        together(SearchOptions(), [], asked)
    assert asked == []


@pytest.mark.parametrize(("depth", "floor"), [(0, 0.0), (10_001, 0.0), (10, float("nan"))])
def test_settings_that_cannot_be_are_refused(depth: int, floor: float) -> None:
    with pytest.raises(InvalidInput, match="must be"):
        FusionSettings(floor=floor, depth=depth)


def test_signals_of_a_place_are_the_mean_over_the_examples_that_found_it() -> None:
    found = [[hit("a", 1.0, 1.5, 6.0), hit("b", 3.0, 3.4, 3.0)], [hit("a", 1.1, 1.6, 4.0)]]
    signals = [np.array([[1.0], [5.0]]), np.array([[3.0]])]
    hits, measured = fuse(found, FLOOR, signals)
    assert [one.recording for one in hits] == ["a", "b"]
    assert measured is not None
    assert measured.tolist() == [[2.0], [5.0]]
    assert fuse(found, FLOOR, [signals[0], None])[1] is None
