"""Judges on poems few and small enough to know the right figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.poems import FORMS, Poems
from wordspot.models.evaluation import measure
from wordspot.models.judges import poems as judges

LETTERS = "".join(chr(0x4E00 + n) for n in range(40))
FORM = FORMS["5x4"]
GOOD = FORM.printed(LETTERS[:20])


def steps(count: int, seed: int) -> Poems:
    """A character is followed by the next or the next but one."""
    rng = np.random.default_rng(seed)
    verses = {}
    for name, form in FORMS.items():
        lines = rng.integers(0, 40, (count * form.lines, 1)) + np.pad(
            rng.integers(1, 3, (count * form.lines, form.width - 1)), ((0, 0), (1, 0))
        ).cumsum(axis=1)
        verses[name] = (lines % 40).reshape(count, form.places)
    return Poems(LETTERS, verses)


DATA = {"train": steps(60, 0), "test": steps(20, 1)}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "poems", lambda split, home: DATA[split])


def judged(model: Any, *capabilities: str, source: str = "poems") -> dict[str, Metric]:
    card = card_of("fake", "text", *capabilities, data={"source": source})
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


class Reciter:
    """Gives poems that it has by heart, changed as it pleases."""

    def __init__(self, known: Poems, change: Callable[[str], str] = str) -> None:
        self.known, self.change = known, change

    def sample(self, count: int, rng: Generator, *, condition: str) -> list[str]:
        rows = self.known.verses[condition][:count].tolist()
        return [self.change(FORMS[condition].printed(self.known.spell(row))) for row in rows]


def test_who_recites_training_poems_copies_and_who_recites_held_out_ones_is_as_good_as_real() -> None:
    thief, poet = (judged(Reciter(DATA[split]), "sample") for split in ("train", "test"))
    assert thief["copied_5grams"].value == 1.0
    assert poet["copied_5grams"].value == poet["copied_5grams"].floor
    assert poet["copied_5grams"].lower_is_better
    assert poet["bigram_js"].value == 0.0
    assert 0 < thief["bigram_js"].value < 0.2
    floor, baseline = poet["bigram_js"].floor, poet["bigram_js"].baseline
    assert floor is not None
    assert baseline is not None
    assert floor < 0.2 < 0.4 < baseline
    assert poet["character_js"].value == 0.0
    assert poet["ordered"].value > 0.3
    assert poet["ordered"].value == pytest.approx(poet["ordered"].floor, abs=0.2)
    assert poet["form_right"].value == poet["form_right"].floor > 0.9
    assert poet["distinct"].value == poet["distinct"].floor == pytest.approx(80 / len_pairs())


def len_pairs() -> int:
    return sum(20 * form.lines * (form.width - 1) for form in FORMS.values())


def test_who_says_the_same_again_and_again_is_not_distinct_and_far_from_the_poems() -> None:
    one = Poems(
        LETTERS, {name: np.repeat(rows[:1], 20, axis=0) for name, rows in DATA["test"].verses.items()}
    )
    found = judged(Reciter(one), "sample")
    assert found["distinct"].value < 0.9 * found["distinct"].floor  # type: ignore[operator]
    assert found["bigram_js"].value > 2 * found["bigram_js"].floor  # type: ignore[operator]


def test_who_puts_the_characters_in_any_order_is_found_out() -> None:
    rng = np.random.default_rng(3)
    rows = {name: rng.permuted(some, axis=1) for name, some in DATA["test"].verses.items()}
    found = judged(Reciter(Poems(LETTERS, rows)), "sample")
    assert found["character_js"].value == 0.0
    assert abs(found["ordered"].value) < 0.05
    assert found["bigram_js"].value > 0.4


def test_a_lost_character_spoils_the_form_and_nothing_else() -> None:
    found = judged(Reciter(DATA["test"], lambda text: text[1:]), "sample")
    assert {name: metric.value for name, metric in found.items()} == {"form_right": 0.0}
    one_way = judged(Reciter(DATA["test"], lambda text: text.replace("丁", "")), "sample")
    assert one_way["form_right"].value < 0.9 * one_way["form_right"].floor  # type: ignore[operator]
    assert one_way["bigram_js"].value < 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, True),
        (GOOD.replace("，", "。"), False),
        (GOOD.replace(GOOD[3], "□"), False),
        (GOOD[:6] * 4, False),
        (GOOD[6:12] + GOOD[6:], False),
        (GOOD[1] + GOOD[1:2] + GOOD[1] + GOOD[3:], False),
        (GOOD[1] + GOOD[1:], True),
        (GOOD[:-1], False),
        (FORMS["7x4"].printed(LETTERS[:28]), False),
    ],
)
def test_a_right_form_has_its_lines_without_repetition(text: str, expected: bool) -> None:
    assert judges.keeps_form(text, FORM, LETTERS) is expected


class Chance:
    """Each character as likely as any other."""

    def nll(self, texts: list[str], rng: Generator) -> Tensor:
        return torch.tensor([len(judges.read(text)[1]) * float(np.log(40)) for text in texts])


def test_nats_are_a_character_and_compared_with_those_of_bigrams() -> None:
    found = judged(Chance(), "nll")["nats_a_character"]
    assert found.value == pytest.approx(np.log(40), rel=1e-5)
    assert found.floor == pytest.approx(np.log(40), rel=0.02)
    # One of 40 at the beginning of a line, one of two elsewhere.
    places, lines = (
        20 * sum(form.places for form in FORMS.values()),
        20 * sum(f.lines for f in FORMS.values()),
    )
    best = (lines * np.log(40) + (places - lines) * np.log(2)) / places
    assert best < found.baseline < 1.1 * best  # type: ignore[operator]


@pytest.mark.parametrize("before", [0, 7, 39])
def test_the_chances_after_a_character_add_up_to_one(before: int) -> None:
    bigrams = judges.Bigrams(Poems(LETTERS, {name: rows[:1] for name, rows in steps(3, 5).verses.items()}))

    def nats(*line: int) -> float:
        """Of one line, out of four of the same."""
        return bigrams.nats({f"{len(line)}x4": np.array([line * 4])}, unigram=False) / 4

    again = (nats(*[before] * 7) - nats(*[before] * 5)) / 2  # of a character behind itself
    first_four = nats(*[before] * 5) - again
    ends = [np.exp(first_four - nats(*[before] * 4, after)) for after in range(len(LETTERS))]
    assert sum(ends) == pytest.approx(1)


def test_other_models_of_text_are_left_to_others() -> None:
    assert judged(Chance(), "nll", source="titles") == {}
    assert judged(Reciter(DATA["test"]), "sample", source="titles") == {}
