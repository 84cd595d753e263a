from __future__ import annotations

from collections import Counter

import pytest
import torch

from wordspot.models.errors import BadInput
from wordspot.models.vocabulary import (
    END,
    LANGUAGES,
    PAD,
    SPECIAL,
    UNKNOWN,
    Vocabulary,
    padded,
)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "a wolf is attacking"),
        ("en", "hello, world! how's it going?"),
        ("en", "client-server tools (x.org, c++) for 3.5 people..."),
        ("en", 'he said "no" and left; "why?"'),
        ("en", ""),
        ("zh", "印度發生汽車爆炸事件"),
        ("zh", "在linux 6.1上，15人死亡。"),
    ],
)
def test_a_text_is_put_together_as_it_was_taken_apart(language: str, text: str) -> None:
    known = LANGUAGES[language]
    assert known.join(known.split(text)) == text


def test_tokens_are_words_in_lower_case_and_marks_or_single_ideographs() -> None:
    assert LANGUAGES["en"].split("Don’t panic: it's C++.") == ["don't", "panic", ":", "it's", "c++", "."]
    assert LANGUAGES["zh"].split("iPhone 6是15") == ["iphone", "6", "是", "15"]


def test_pieces_depend_on_nothing_that_comes_later() -> None:
    tokens = LANGUAGES["en"].split('she said "yes" (twice), then left.')
    whole = list(LANGUAGES["en"].pieces(tokens))
    for count in range(len(tokens)):
        assert list(LANGUAGES["en"].pieces(tokens[:count])) == whole[:count]


def test_the_most_frequent_tokens_have_rows_and_a_source_its_own() -> None:
    known = Vocabulary.of(Counter({"the": 9, "cat": 5, "sat": 5, "mat": 1}), SPECIAL + 3, "en")
    assert known.tokens == ("the", "cat", "sat")
    source = ["the", "zebra", "sat", "zebra", "yak"]
    own = known.own(source)
    assert own == ["zebra", "yak"]
    assert known.rows(source, own) == [SPECIAL, len(known), SPECIAL + 2, len(known), len(known) + 1]
    assert known.rows(source) == [SPECIAL, UNKNOWN, SPECIAL + 2, UNKNOWN, UNKNOWN]
    assert known.text([*known.rows(source, own), END, PAD], own) == "the zebra sat zebra yak"


def test_letters_bring_the_tokens_back_and_may_not_be_more_than_there_is_room() -> None:
    known = Vocabulary(("naïve", "中", "c++"), "en")
    assert Vocabulary.read(known.letters(40), "en") == known
    with pytest.raises(BadInput, match="must take at most 14 bytes, got 15"):
        known.letters(14)


def test_sequences_side_by_side_are_padded() -> None:
    assert padded([[5, 6], [], [7]]).tolist() == [[5, 6], [PAD, PAD], [7, PAD]]
    assert padded([[]]).shape == (1, 1)
    assert padded([[]]).dtype == torch.int64
