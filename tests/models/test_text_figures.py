"""CIDEr, ROUGE-L and trigrams against figures worked out by hand or by counting."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from wordspot.models.cider import cider
from wordspot.models.rouge import common_length, rouge_l
from wordspot.models.trigrams import Trigrams


def split(text: str) -> list[str]:
    return text.split()


def test_a_right_caption_has_the_most_and_one_of_everybodys_words_nothing() -> None:
    truth = [
        [split("a red cat on a mat")],
        [split("a blue dog in a house")],
        [split("a green bird above a tree")],
    ]
    right = cider([some[0] for some in truth], truth)
    assert right == pytest.approx([10.0] * 3)
    assert cider([split("a")] * 3, truth) == pytest.approx([0.0] * 3)
    other = cider([truth[1][0], truth[2][0], truth[0][0]], truth)
    assert max(other) < 0.5
    assert cider([[], [], []], truth) == [0.0] * 3


def test_cider_by_hand() -> None:
    """One run of one token in common, "cat" of ("red", "cat") against ("cat",), each said of one picture."""
    truth = [[["cat"]], [["dog"]]]
    found = cider([["red", "cat"], ["dog"]], truth)[0]
    # Weights: log 2 for every token, as none is said of both pictures, or, "red", of any.
    cosine = 1 / math.sqrt(2)
    assert found == pytest.approx(10 * math.exp(-1 / 72) * cosine / 4)


def test_repeating_the_right_word_wins_nothing() -> None:
    truth = [[["cat", "sleeps"]], [["dog", "runs"]]]
    once, often = (cider([said, ["dog"]], truth)[0] for said in (["cat", "sleeps"], ["cat"] * 6))
    assert often < once / 3


def longest(one: str, other: str) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, j in itertools.product(range(len(one)), range(len(other))):
        same = table[i][j] + 1 if one[i] == other[j] else 0
        table[i + 1][j + 1] = max(same, table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_common_subsequences_are_as_long_as_a_table_says() -> None:
    rng = random.Random(0)
    for _ in range(200):
        one, other = ("".join(rng.choices("abc", k=rng.randrange(0, 90))) for _ in range(2))
        assert common_length(one, other) == longest(one, other)


def test_rouge_is_one_of_the_same_and_nothing_of_nothing() -> None:
    assert rouge_l("印度爆炸", "印度爆炸") == 1.0
    assert rouge_l("", "印度") == rouge_l("印度", "") == 0.0
    assert rouge_l(split("the cat sat"), split("the cat")) == pytest.approx(0.8)


def test_chances_add_up_after_anything() -> None:
    rng = random.Random(1)
    texts = [[rng.randrange(5) for _ in range(rng.randrange(1, 9))] for _ in range(60)]
    model = Trigrams(texts, 7)
    for before in itertools.product((-1, 0, 3, 6), repeat=2):
        assert sum(model.probability((*before, token)) for token in range(7)) == pytest.approx(1.0)
        assert min(model.probability((*before, token)) for token in range(7)) > 0


def test_seen_trigrams_are_likelier_and_contexts_count() -> None:
    model = Trigrams([[1, 2, 3], [1, 2, 3], [4, 2, 5]], 8)
    assert model.nats([1, 2, 3]) < model.nats([1, 2, 5]) < model.nats([1, 2, 6])
    # 7 was often said, but only behind 6: alone it is no likelier than what was said once.
    many = Trigrams([[6, 7]] * 50 + [[1], [2]], 8)
    assert many.probability((3, 3, 7)) <= many.probability((3, 3, 2))
