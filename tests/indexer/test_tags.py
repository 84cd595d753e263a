from __future__ import annotations

from datetime import date

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.tags import checked_tags, days_of


def test_values_are_stored_composed_and_without_spaces_around_them() -> None:
    assert checked_tags({"place": "  Cafe\u0301 ", "speaker": "Anna"}) == {"place": "Café", "speaker": "Anna"}


@pytest.mark.parametrize("key", ["", "Place", "1st", "-a", "a b", "a" * 65, "é", "a\n"])
def test_a_key_that_is_no_key_is_refused_with_what_is_allowed(key: str) -> None:
    with pytest.raises(InvalidInput, match="the key of a tag must be a letter a to z"):
        checked_tags({key: "x"})


@pytest.mark.parametrize("key", ["a", "a" * 64, "place_of-birth2"])
def test_keys_up_to_their_length_pass(key: str) -> None:
    assert checked_tags({key: "x"}) == {key: "x"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "must have 1 to 256 characters, got 0"),
        (" \t ", "must have 1 to 256 characters, got 0"),
        ("x" * 257, "must have 1 to 256 characters, got 257"),
        ("two\nlines", "must be text of one line"),
        ("\0x", "must be text of one line"),
        ("\udc80", "must be text of one line"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused(value: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=f"the value of tag 'place' {told}"):
        checked_tags({"place": value})


def test_a_recording_has_at_most_32_tags() -> None:
    assert len(checked_tags({f"k{n}": "x" for n in range(32)})) == 32
    with pytest.raises(InvalidInput, match="at most 32 tags, got 33"):
        checked_tags({f"k{n}": "x" for n in range(33)})


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2019", date(2019, 1, 1), date(2019, 12, 31)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2019-12", date(2019, 12, 1), date(2019, 12, 31)),
        ("9999-12", date(9999, 12, 1), date(9999, 12, 31)),
        ("2019-03-04", date(2019, 3, 4), date(2019, 3, 4)),
    ],
)
def test_a_date_is_a_year_a_month_or_a_day(text: str, first: date, last: date) -> None:
    assert days_of(text) == (first, last)
    assert checked_tags({"date": text}) == {"date": text}


@pytest.mark.parametrize(
    "text",
    ["19", "2019-13", "2019-02-29", "0000", "2019-1", "4 March 2019", "２０１９", "20190304", "2019-03-04T1"],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="the tag 'date' must be YYYY, YYYY-MM or YYYY-MM-DD, got"):
        checked_tags({"date": text})
