"""Answers to texts: on a language in which the answer is a name and what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.conditional.sequence_to_sequence import (
    SequenceToSequence,
    SequenceToSequenceConfig,
    reading_of,
)
from wordspot.models.datasets.text_pair_batches import TURN, PairData, counted
from wordspot.models.datasets.text_pairs import Pair
from wordspot.models.errors import BadInput
from wordspot.models.trainer import Plan, fit
from wordspot.models.vocabulary import Vocabulary

WORDS = 20
CONFIG = SequenceToSequenceConfig(
    words=WORDS, letters=120, dimension=16, reader=12, hidden=24, dropout=0.0, most=12, longest=5
)
KINDS = ("game", "tool", "library", "font")


def pairs(names: Sequence[str]) -> list[Pair]:
    """Every name is in one pair only: it can be copied, but not known."""
    return [
        Pair(f"{name} is a {KINDS[n % 4]} for you and me.", f"the {KINDS[n % 4]} {name}", name)
        for n, name in enumerate(names)
    ]


TRAIN = pairs([f"n{n}x" for n in range(200)])


def data(config: SequenceToSequenceConfig) -> PairData:
    vocabulary = Vocabulary.of(counted(TRAIN, "en"), config.words, "en")
    held = pairs([f"v{n}y" for n in range(20)])
    return PairData(TRAIN, held, reading_of(config, vocabulary), 20, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SequenceToSequence:
    torch.manual_seed(0)
    model = SequenceToSequence(CONFIG)
    model.prepare(data(CONFIG))
    plan = Plan(steps=250, learning_rate=1e-2, warm_up=10, validate_every=50)
    fit(model, data(CONFIG), plan, tmp_path_factory.mktemp("plan"))
    return model.eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_entitles_what_it_never_saw_by_copying_the_name(model: SequenceToSequence) -> None:
    unseen = pairs(["zebra", "yak", "gnu", "emu"])
    assert not {"zebra", "yak"} & set(model.vocabulary.tokens)
    for pair in unseen:
        assert model.sample(1, rng(), condition=pair.given) == [pair.answer]


def test_a_stream_is_the_best_answer_and_ends_when_enough_came(model: SequenceToSequence) -> None:
    condition = "zebra is a tool for you and me."
    whole = list(model.generate(50, rng(), condition=condition))
    assert "".join(whole) == model.sample(1, rng(), condition=condition)[0]
    assert list(model.generate(2, rng(), condition=condition)) == whole[:2]
    sampled = "".join(model.generate(50, rng(4), condition=condition, temperature=2.0))
    assert sampled == model.sample(1, rng(4), condition=condition, temperature=2.0)[0]


def test_several_answers_are_as_many_as_were_asked_for(model: SequenceToSequence) -> None:
    condition = "zebra is a tool for you and me."
    best = model.sample(6, rng(), condition=condition)
    assert len(best) == 6
    assert best[0] == model.sample(1, rng(), condition=condition)[0]
    sampled = model.sample(6, rng(), condition=condition, temperature=3.0)
    assert len(set(sampled)) > 1
    assert sampled == model.sample(6, rng(), condition=condition, temperature=3.0)


def test_answers_have_the_same_likelihood_together_and_alone(model: SequenceToSequence) -> None:
    condition, answers = "zebra is a tool for you and me.", ["the tool zebra", "the game", "the font zebra"]
    nats, tokens = model.answer_nll(condition, answers)
    assert tokens.tolist() == [4, 3, 4]
    assert float(nats[0]) == float(nats.min())
    for answer, expected in zip(answers, nats.tolist(), strict=True):
        assert float(model.answer_nll(condition, [answer])[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("condition", ["", " \n\t "])
def test_nothing_to_answer_is_refused(model: SequenceToSequence, condition: str) -> None:
    for call in (model.sample, lambda *args, **options: list(model.generate(*args, **options))):
        with pytest.raises(BadInput, match="condition must be a text to answer"):
            call(1, rng(), condition=condition)


def test_of_a_long_text_the_beginning_is_read_of_a_conversation_the_end(model: SequenceToSequence) -> None:
    long = "zebra is a tool for you and me. " + "and me. " * 2_000
    assert model.sample(1, rng(), condition=long) == model.sample(1, rng(), condition=long[:80])
    vocabulary = Vocabulary(("a", "b", TURN), "en")
    turns = "a a a\nb b\r\na"
    first, last = (
        reading_of(replace(CONFIG, most=4, last=last), vocabulary).tokens(turns) for last in (False, True)
    )
    assert first == ["a", "a", "a", TURN]
    assert last == ["b", "b", TURN, "a"]


def test_saved_and_loaded_it_answers_the_same(model: SequenceToSequence, tmp_path: Path) -> None:
    artifact.save(model, TrainingRecord("one"), tmp_path)
    again: Any
    again, read = registry.load(str(tmp_path))
    assert set(read.capabilities) == {"generate", "sample"}
    assert read.options == ("condition", "temperature")
    condition = "zebra is a tool for you and me."
    assert again.sample(3, rng(), condition=condition) == model.sample(3, rng(), condition=condition)


def test_an_epoch_shows_every_pair_once_in_batches_of_texts_about_as_long() -> None:
    texts = [Pair(" ".join(["a"] * (1 + n % 50)), f"b{n}", str(n)) for n in range(400)]
    vocabulary = Vocabulary.of(counted(texts, "en"), 500, "en")
    config = replace(CONFIG, words=500, most=60)
    dataset = PairData(texts, texts[:30], reading_of(config, vocabulary), 20, 0)
    batches = [dataset.batch(step) for step in range(20)]
    names = [int(row[0]) for batch in batches for row in batch.answers]
    assert len(set(names)) == 400
    lengths = [(batch.given != 0).sum(dim=1) for batch in batches]
    assert all(int(batch.max() - batch.min()) <= 5 for batch in lengths)
    assert [row.tolist() for row in dataset.batch(20).answers] != [row.tolist() for row in batches[0].answers]
    assert torch.equal(dataset.batch(7).given, batches[7].given)
