from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from wordspot.models import trainer
from wordspot.models.datasets.states import States
from wordspot.models.encoders.frame_map import MapConfig, MappedSpanModel
from wordspot.models.encoders.losses import supervised_contrastive_loss
from wordspot.models.encoders.map_training import (
    NO_PHONE,
    MapTraining,
    Token,
    TokenPairBatch,
    TokenPairData,
    WhitenedCorpus,
    average_precision,
    draw_pairs,
    draw_tokens,
    phone_rows,
    vocabulary,
    whiten,
)
from wordspot.models.errors import BadInput
from wordspot.models.trainer import Plan

SPEAKERS = ("ann", "ben", "cid")
WORDS = tuple(f"word{number}" for number in range(60))
LENGTH = 30
CONFIG = MapConfig(states=20, whitened=16, hidden=24, frame_dimension=12, dimension=10)


class Echo(MappedSpanModel[MapConfig]):
    """Its large network is the identity."""

    states_name = "echo"

    def states(self, features: Tensor, lengths: Tensor) -> Tensor:
        return features[:, ::2]


def corpus(seed: int, words: Sequence[str] = WORDS, phones: bool = False) -> WhitenedCorpus:
    """Every word once by each speaker, in frames 8 to 20 of a cut of its own. A word is three fixed rows one
    after another; a speaker adds a row of his own to all; the rest is noise."""
    fixed = np.random.default_rng(7)
    shapes = {word: fixed.standard_normal((3, 20)) for word in WORDS}
    voices = {speaker: 1.5 * fixed.standard_normal(20) for speaker in SPEAKERS}
    rng = np.random.default_rng(seed)
    rows, names = [], []
    tokens: dict[str, list[Token]] = {}
    for word in words:
        for speaker in SPEAKERS:
            cut = 2.0 * rng.standard_normal((LENGTH, 20))
            cut[8:20] = np.repeat(shapes[word], 4, axis=0) + 0.8 * rng.standard_normal((12, 20))
            tokens.setdefault(word, []).append(Token(len(rows), 8.0, 20.0, speaker, f"{word} {speaker}"))
            rows.append(cut + voices[speaker])
            names.append(f"{word} {speaker}")
    bounds = np.arange(len(rows) + 1) * LENGTH
    states = States(np.concatenate(rows).astype(np.float16), bounds, tuple(names))
    kinds = np.tile(np.arange(LENGTH) // 10, len(rows)) if phones else None
    return WhitenedCorpus(states, tokens, kinds)


def prepared(seed: int = 0) -> tuple[MapTraining, TokenPairData]:
    torch.manual_seed(seed)
    model = Echo(CONFIG)
    acted, alone, made = corpus(1, phones=True), corpus(2), corpus(3)
    model.map.measure(torch.from_numpy(acted.whitened.rows.astype(np.float32)))
    corpora = [
        WhitenedCorpus(whiten(c.whitened, model.map), c.tokens, c.phones) for c in (acted, alone, made)
    ]
    return MapTraining(model, 3), TokenPairData(*corpora, seed, words=(16, 12))


def test_pairs_are_of_one_word_and_different_speakers() -> None:
    said = corpus(0).tokens["word3"]
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = draw_tokens(said, rng)
        assert first.speaker != second.speaker
        assert {first.place.split()[0], second.place.split()[0]} == {"word3"}


def test_rows_come_in_pairs_and_spans_lie_on_the_words() -> None:
    acted, alone = corpus(0, phones=True), corpus(1)
    pairs = draw_pairs(acted, alone, WORDS[:20], np.random.default_rng(0))
    assert pairs.word.tolist() == [label for label in range(20) for _ in range(2)]
    assert pairs.whitened.shape == (40, LENGTH, 20)
    torch.testing.assert_close(pairs.start, torch.full((40,), 8.0, dtype=torch.float64), atol=4.0, rtol=0)
    torch.testing.assert_close(pairs.stop, torch.full((40,), 20.0, dtype=torch.float64), atol=4.0, rtol=0)
    assert bool((pairs.start < pairs.stop).all())


def test_the_first_of_a_pair_is_heard_in_context_and_the_second_often_alone() -> None:
    pairs = draw_pairs(corpus(0, phones=True), corpus(1), WORDS, np.random.default_rng(0))
    alone = (pairs.phones == NO_PHONE).all(dim=1)
    assert not alone[::2].any()
    assert 0.4 < float(alone[1::2].float().mean()) < 0.8


def test_the_same_seed_and_step_give_the_same_batch_and_others_another() -> None:
    (_, data), (_, again) = prepared(), prepared()
    first, same, later = data.batch(3), again.batch(3), data.batch(4)
    for one, two in zip(first.sets, same.sets, strict=True):
        for name in one.__dataclass_fields__:
            assert torch.equal(getattr(one, name), getattr(two, name))
    assert not torch.equal(first.sets[0].start, later.sets[0].start)


def test_held_out_words_never_train() -> None:
    tokens = corpus(0).tokens
    training, held_out = (vocabulary(tokens, held_out=held) for held in (False, True))
    assert sorted([*training, *held_out]) == sorted(WORDS)
    assert held_out


def test_words_by_one_speaker_are_left_out_and_none_at_all_is_an_error() -> None:
    tokens = {word: said[:1] for word, said in corpus(0).tokens.items()}
    with pytest.raises(BadInput, match="none of 60 words is by two speakers and to train"):
        vocabulary(tokens, held_out=False)


def test_the_contrast_is_the_mean_over_pairs_of_minus_log_softmax() -> None:
    unit = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    word = torch.tensor([0, 0, 1, 1, 1, 0])
    expected = []
    for one in range(6):
        others = [i for i in range(6) if i != one]
        total = torch.stack([torch.exp(3 * unit[one] @ unit[i]) for i in others]).sum()
        logs = [torch.log(torch.exp(3 * unit[one] @ unit[i]) / total) for i in others if word[i] == word[one]]
        expected.append(-torch.stack(logs).mean())
    torch.testing.assert_close(
        supervised_contrastive_loss(unit, word, torch.tensor(3.0)), torch.stack(expected).mean()
    )


def test_padding_does_not_enter_the_loss() -> None:
    training, data = prepared()
    training.eval()
    (acted, made) = data.batch(0).sets
    wider = torch.nn.functional.pad(acted.whitened, (0, 0, 0, 9))
    phones = torch.nn.functional.pad(acted.phones, (0, 9), value=NO_PHONE)
    longer = type(acted)(wider, acted.start, acted.stop, acted.word, phones)
    rng = trainer.generator("cpu", 0, 0)
    first = training.loss("model", TokenPairBatch((acted, made)), rng).value
    second = training.loss("model", TokenPairBatch((longer, made)), rng).value
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-5)


def test_a_few_steps_of_the_trainer_lower_the_loss_and_tell_unseen_words_apart(tmp_path: Path) -> None:
    training, data = prepared()
    validation = data.validation()
    loss = trainer.validate(training, validation, 0, "cpu")
    before = average_precision(training, validation)
    plan = Plan(60, learning_rate=3e-3, warm_up=5, weight_decay=0.02, validate_every=20)
    progress = trainer.fit(training, data, plan, tmp_path)
    assert progress.best < 0.8 * loss
    assert average_precision(training, validation) > before + 0.05
    assert set(progress.figures) == {"loss", "words", "fine", "phones"}


def test_whitened_states_have_no_mean_unit_variance_and_no_correlation() -> None:
    torch.manual_seed(0)
    model = Echo(CONFIG)
    rows = torch.randn(4_000, 20) @ torch.randn(20, 20) + 5
    model.map.measure(rows)
    white = model.map.whiten(rows)
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(16), atol=0.02, rtol=0)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(16), atol=0.05, rtol=0)


def test_an_untrained_map_passes_the_first_whitened_dimensions_on() -> None:
    model = Echo(CONFIG)
    whitened = torch.randn(1, 9, 16)
    with torch.no_grad():
        model.map.output.weight.zero_()
        model.map.output.bias.zero_()  # type: ignore[union-attr]
    torch.testing.assert_close(model.map.mapped(whitened), whitened[..., :12])


def test_each_row_has_the_phone_spoken_there() -> None:
    states = States(np.zeros((14, 2), np.float16), np.array([0, 6, 14]), ("a", "b"))
    rows, kinds = phone_rows(
        states.names, states.bounds, {"b": (("AH", 0.0, 0.05), ("B", 0.05, 0.12)), "c": (("Z", 0.0, 0.1),)}
    )
    assert kinds == 3
    assert rows.tolist() == [NO_PHONE] * 6 + [0, 0, 1, 1, 1, 1, NO_PHONE, NO_PHONE]
