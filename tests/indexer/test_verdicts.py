from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.verdicts import Verdict, verdict_of

ONE = Verdict("r", 1.0, 2.0, "tea", correct=True)


@pytest.mark.parametrize(
    ("start", "end", "same"),
    [
        (1.0, 2.0, True),
        (1.4, 2.4, True),
        (1.5, 2.5, True),
        (1.6, 2.6, False),
        (2.0, 3.0, False),
        (0.0, 9.0, True),  # holds all of it
        (1.2, 1.4, True),
        (5.0, 6.0, False),
    ],
)
def test_places_that_share_half_of_the_shorter_are_the_same(start: float, end: float, same: bool) -> None:
    assert ONE.is_of("r", start, end) is same
    assert not ONE.is_of("another", start, end)


def test_other_channels_are_other_places_and_none_in_particular_is_any() -> None:
    left = replace(ONE, channel=1)
    assert left.is_of("r", 1.0, 2.0, 1)
    assert left.is_of("r", 1.0, 2.0)
    assert not left.is_of("r", 1.0, 2.0, 2)
    assert ONE.is_of("r", 1.0, 2.0, 2)


def test_the_verdict_of_a_place_is_the_one_that_shares_most() -> None:
    before, after = replace(ONE, start=0.5, end=1.6), replace(ONE, start=1.5, end=2.6, correct=False)
    assert verdict_of([before, after], "r", 1.4, 2.4) == after
    assert verdict_of([after, before], "r", 0.6, 1.6) == before
    assert verdict_of([ONE, replace(ONE, author="b")], "r", 1.0, 2.0) == replace(ONE, author="b")
    assert verdict_of([before], "r", 4.0, 5.0) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"start": -0.1}, "must satisfy 0 <= start < end, got -0.1 to 2 s"),
        ({"end": 1.0}, "must satisfy 0 <= start < end, got 1 to 1 s"),
        ({"end": math.inf}, "got 1 to inf s"),
        ({"start": math.nan}, "got nan to 2 s"),
        ({"p_correct": 1.5}, "p_correct must be between 0 and 1, got 1.5"),
        ({"channel": -1}, "channel must be 0 or more, got -1"),
        ({"query": "  "}, "query must say what was looked for, in 1 to 4,096 bytes, got 0"),
        ({"query": "ä" * 2_049}, "in 1 to 4,096 bytes, got 4,098"),
        ({"query": "a\nb"}, "query must be text of one line, got"),
        ({"author": "a" * 256}, "author must have at most 255 characters, got 256"),
    ],
)
def test_a_verdict_that_cannot_be_meant_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        replace(ONE, **changes).checked()


def test_what_was_looked_for_is_stored_composed() -> None:
    assert replace(ONE, query=" the\u0301 ", author=" Anna ").checked() == replace(
        ONE, query="thé", author="Anna"
    )
