"""Judges of titles, conversations and captions on fakes whose figures are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.cards import card_of
from wordspot.models.artifact import Metric
from wordspot.models.datasets.captioned import Captions
from wordspot.models.datasets.text_pair_batches import Reading
from wordspot.models.datasets.text_pairs import Pair
from wordspot.models.evaluation import measure
from wordspot.models.judges import captions as caption_judge
from wordspot.models.judges import conversations as chat_judge
from wordspot.models.judges import titles as title_judge
from wordspot.models.vocabulary import END, Vocabulary

NAMES = [f"thing{n}" for n in range(60)]
TITLED = [
    Pair(f"This text has no aim. It tells much of {name} and little else.", f"all about {name}", name)
    for name in NAMES
]


def judged(model: Any, source: str, capability: str, modality: str, **data: Any) -> dict[str, Metric]:
    card = card_of("fake", modality, capability, data={"source": source, **data})
    return {metric.name: metric for metric in measure(model, card, Path("nowhere"))}


class Entitler:
    """entitle: from a text to its title."""

    config = SimpleNamespace(language="en")

    def __init__(self, entitle: Callable[[str], str]) -> None:
        self.entitle = entitle

    def sample(self, count: int, rng: torch.Generator, *, condition: str) -> list[str]:
        return [self.entitle(condition)] * count

    def answer_nll(self, condition: str, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        near = [1.0 if answer.split()[-1] in condition else 5.0 for answer in answers]
        return torch.tensor(near), torch.ones(len(answers), dtype=torch.int64)


def of(given: str) -> str:
    """The thing that a text is about."""
    return given.split(" much of ")[1].split()[0]


@pytest.fixture
def titled(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"train": TITLED[:30], "test": TITLED[30:]}
    monkeypatch.setattr(title_judge, "pairs", lambda name, home: splits)


@pytest.mark.usefixtures("titled")
def test_right_titles_have_all_and_lose_much_when_shuffled() -> None:
    found = judged(Entitler(lambda given: f"All about {of(given)}"), "headlines", "sample", "text")
    assert found["rouge_l"].value == found["exact"].value == pytest.approx(1.0)
    assert found["rouge_over_lead"].value > 2
    assert 0 < found["shuffled_loss"].value < 0.4  # all titles have "all about" in common
    assert found["shuffled_loss"].value == pytest.approx(found["shuffled_loss"].baseline)
    assert found["nats"].value == 1.0
    assert found["nats"].baseline == pytest.approx(5.0, abs=0.2)
    assert found["from_text"].value == pytest.approx(1 / 3)
    assert found["rouge_l_of_tokens"].value == pytest.approx(1.0)
    assert found["rouge_over_nearest"].value > 1  # no training text is about the same thing


def test_the_nearest_text_shares_what_is_rare() -> None:
    train = [Pair(text, "", "") for text in ("the the the dog", "the zebra", "the cat and the dog")]
    asked = [Pair("the the the zebra", "", ""), Pair("a cat", "", "")]
    assert title_judge.nearest(train, asked, "en").tolist() == [1, 2]


@pytest.mark.usefixtures("titled")
def test_the_lead_is_no_better_than_itself_and_one_title_for_all_loses_nothing() -> None:
    lead = judged(Entitler(lambda given: given.split(".")[0] + "."), "headlines", "sample", "text")
    assert lead["rouge_over_lead"].value <= 1.0
    same = judged(Entitler(lambda given: "all about it"), "headlines", "sample", "text")
    assert same["shuffled_loss"].value == pytest.approx(0.0)
    assert judged(Entitler(of), "others", "sample", "text") == {}


WORDS = tuple(
    ["hello", "hi", "what", "is", "your", "name", "i", "am", "fine", "and", "you", "red", "green", "blue"]
)
TALK = [
    Pair(f"what is your name\n{WORDS[n % 14]}", f"i am {WORDS[(n * 5) % 14]}", str(n)) for n in range(700)
]


class Talker:
    """answer: from what was said to an answer. Knows the true one if it is `wise`."""

    vocabulary = Vocabulary(WORDS, "en")
    reading = Reading(vocabulary, 20, 5, copies=False, last=True)

    def __init__(self, answer: Callable[[str], str], *, wise: bool) -> None:
        self.answer, self.wise = answer, wise
        self.true = {(pair.given, pair.answer) for pair in TALK}

    def sample(self, count: int, rng: torch.Generator, *, condition: str) -> list[str]:
        return [self.answer(condition)] * count

    def answer_nll(self, condition: str, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens = torch.tensor([len(self.reading.answer(answer, ())) for answer in answers])
        known = [self.wise and (condition, answer) in self.true for answer in answers]
        return tokens * torch.tensor([0.1 if one else 3.0 for one in known]), tokens


def test_who_knows_the_answers_is_found_out_and_who_says_always_the_same_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = {"train": TALK[:500], "validation": TALK[500:510], "test": TALK[510:]}
    monkeypatch.setattr(chat_judge, "pairs", lambda name, home: splits)
    monkeypatch.setattr(chat_judge, "CANDIDATES", 10)
    monkeypatch.setattr(chat_judge, "TOP", 2)
    wise = judged(Talker(lambda given: f"hi {given[-3:]}", wise=True), "conversations", "sample", "text")
    dull = judged(Talker(lambda given: "i am fine", wise=False), "conversations", "sample", "text")
    assert wise["perplexity"].value == pytest.approx(np.exp(0.1))
    assert wise["perplexity_of_trigram"].value < 1 < dull["perplexity_of_trigram"].value
    assert (wise["recall_at_10"].value, dull["recall_at_10"].value) == (1.0, 0.0)
    assert (wise["recall_by_nats"].value, dull["recall_by_nats"].value) == (1.0, 0.0)
    assert wise["greets"].value == 1.0
    assert (dull["greets"].value, dull["commonest"].value) == (0.0, 1.0)
    assert dull["distinct_1"].value < wise["distinct_1"].value
    assert END in Talker.reading.answer("hello", ())


def pictured(count: int, seed: int) -> Captions:
    """Grey levels that are called by their names."""
    levels = np.random.default_rng(seed).integers(0, 8, count)
    pixels = np.repeat(30 * levels, 6 * 6 * 3).reshape(count, 6, 6, 3).astype(np.uint8)
    names = [f"level{level} of grey number{level} seen{level}" for level in levels]
    return Captions(pixels, tuple(names), tuple(f"greys/{n}" for n in range(count)))


class Namer:
    def __init__(self, name: Callable[[int], str]) -> None:
        self.name = name

    def describe(self, picture: Tensor, rng: torch.Generator) -> Any:
        level = round(float(picture.mean()) * 255 / 30)
        yield self.name(level), torch.ones(1, 1)


def test_captions_are_held_against_the_nearest_and_the_best_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"train": pictured(60, 0), "test": pictured(40, 1)}
    monkeypatch.setattr(caption_judge, "captions", lambda names, language, home: splits)

    def figures(name: Callable[[int], str]) -> dict[str, Metric]:
        return judged(Namer(name), "captions", "describe", "picture", sources=["greys"], language="en")

    right = figures(lambda level: f"level{level} of grey number{level} seen{level}")
    assert right["cider_over_nearest"].value == pytest.approx(1.0)  # here the nearest is always right
    assert right["exact"].value == right["cider_share"].value == pytest.approx(1.0)
    assert right["shuffled_loss"].value > 0.5
    assert right["cider"].floor < right["cider"].value / 2
    same = figures(lambda level: "level3 of grey number3 seen3")
    assert same["shuffled_loss"].value == pytest.approx(0.0, abs=1e-9)
    assert same["cider"].value < right["cider"].value / 2
