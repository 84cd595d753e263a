"""Small writers of poems, held to what all of them promise and to what is special about each."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets.poems import FORMS, Form, PoemBatch, PoemData, Poems, read
from wordspot.models.errors import BadInput
from wordspot.models.generators.poem_gan import PoemGan, PoemGanConfig, context_vectors
from wordspot.models.generators.poem_language_model import PoemLanguageModel, PoemLanguageModelConfig
from wordspot.models.generators.poems import PoemModel
from wordspot.models.sampling import sample_categorical
from wordspot.models.trainer import Plan, fit, validate

COUNT = 24
LETTERS = "".join(chr(0x4E00 + n) for n in range(COUNT))
CONFIGS: dict[str, Any] = {
    "poem_gan": PoemGanConfig(characters=COUNT, dimension=8, width=12, blocks=(1, 1), critic_steps=3),
    "poem_language_model": PoemLanguageModelConfig(characters=COUNT, dimension=12, hidden=16),
}


def rising(count: int, seed: int) -> Poems:
    """A character is followed by the next or the next but one, round and round."""
    rng = np.random.default_rng(seed)
    verses = {}
    for name, form in FORMS.items():
        lines = rng.integers(1, 3, (count * form.lines, form.width))
        lines[:, 0] = rng.integers(0, COUNT, len(lines))
        verses[name] = (lines.cumsum(axis=1) % COUNT).reshape(count, form.places)
    return Poems(LETTERS, verses)


def only(form: str, some: Poems) -> Poems:
    return Poems(
        some.characters, {name: rows if name == form else rows[:0] for name, rows in some.verses.items()}
    )


DATA = PoemData(rising(64, 0), rising(40, 1), batch_size=16, seed=0)
QUATRAINS = PoemData(only("5x4", rising(256, 0)), only("5x4", rising(200, 1)), batch_size=16, seed=0)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(name: str) -> PoemModel[Any]:
    torch.manual_seed(1)
    model = registry.model_class(name)(CONFIGS[name])
    assert isinstance(model, PoemModel)
    model.prepare(DATA)
    return model.eval()


@pytest.fixture(params=CONFIGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def writer(name: str) -> PoemModel[Any]:
    return fresh(name)


@pytest.fixture
def gan() -> PoemGan:
    model = fresh("poem_gan")
    assert isinstance(model, PoemGan)
    return model


@pytest.fixture
def language_model() -> PoemLanguageModel:
    model = fresh("poem_language_model")
    assert isinstance(model, PoemLanguageModel)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("form", FORMS)
def test_a_poem_has_the_form_that_was_asked_for(writer: PoemModel[Any], form: str) -> None:
    written = writer.sample(3, rng(), condition=form)
    assert len(written) == 3
    for text in written:
        found, characters = read(text)
        assert found == FORMS[form]
        assert text == FORMS[form].printed(characters)
        assert set(characters) <= set(LETTERS)


@torch.inference_mode()
def test_the_same_seed_gives_the_same_poems_whatever_was_drawn_before(writer: PoemModel[Any]) -> None:
    first = writer.sample(4, rng(5), condition="7x4")
    torch.rand(10)
    assert writer.sample(4, rng(5), condition="7x4") == first
    assert writer.sample(4, rng(6), condition="7x4") != first
    streamed = list(writer.generate(4, rng(5), condition="7x4"))
    assert streamed == list(writer.generate(4, rng(5), condition="7x4"))
    assert len(set(streamed)) == 4
    assert writer.sample(0, rng()) == list(writer.generate(0, rng())) == []


@torch.inference_mode()
def test_a_low_temperature_takes_what_is_likeliest(writer: PoemModel[Any]) -> None:
    low, lower, high = (
        writer.sample_characters(FORMS["5x4"], 8, rng(), temperature) for temperature in (1e-4, 1e-5, 50.0)
    )
    assert (low == lower).float().mean() > 0.95
    assert (low == high).float().mean() < 0.5


def test_an_unknown_form_is_told_which_there_are(writer: PoemModel[Any]) -> None:
    for ask in (writer.sample, lambda *given, **wanted: list(writer.generate(*given, **wanted))):
        with pytest.raises(BadInput, match=r"no form 'haiku'; there are 5x4, 7x4, 5x8, 7x8"):
            ask(1, rng(), condition="haiku")


def test_a_vocabulary_of_another_size_is_refused(writer: PoemModel[Any]) -> None:
    short = PoemData(Poems(LETTERS[:-1], DATA.train.verses), DATA.train, batch_size=16, seed=0)
    with pytest.raises(BadInput, match="must have 24 characters as the model has, got 23"):
        writer.prepare(short)


@torch.inference_mode()
def test_an_artifact_brings_its_own_vocabulary(name: str, writer: PoemModel[Any], tmp_path: Path) -> None:
    record = TrainingRecord("one")
    artifact.save(writer, record, tmp_path / "whole")
    artifact.save(writer, record, tmp_path / "half", half=True)
    again, read_card = registry.load(str(tmp_path / "whole"))
    half, _ = registry.load(str(tmp_path / "half"))
    assert isinstance(again, PoemModel)
    assert isinstance(half, PoemModel)
    assert again.sample(3, rng(), condition="5x8") == writer.sample(3, rng(), condition="5x8")
    assert half.characters == writer.characters == LETTERS
    assert (read_card.model, read_card.modality) == (name, "text")
    assert {"sample", "generate"} <= set(read_card.capabilities)


def test_training_brings_the_language_model_closer_to_the_poems(tmp_path: Path) -> None:
    model = fresh("poem_language_model")
    before = validate(model, QUATRAINS.validation(), 0, "cpu")
    plan = Plan(steps=60, learning_rate=2e-2, warm_up=5, validate_every=60)
    assert fit(model, QUATRAINS, plan, tmp_path).best < 0.9 * before


def test_training_brings_the_gan_closer_to_the_poems(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = PoemGan(dataclasses.replace(CONFIGS["poem_gan"], width=24, critic_steps=2))
    model.prepare(QUATRAINS)
    before = validate(model, QUATRAINS.validation(), 0, "cpu")
    plan = Plan(
        steps=200,
        learning_rate=1e-2,
        warm_up=5,
        validate_every=200,
        betas=(0.5, 0.9),
        weight_decay=0,
        clip_norm=100,
    )
    assert fit(model, QUATRAINS, plan, tmp_path).best < 0.97 * before


def test_what_is_drawn_comes_as_often_as_its_chance() -> None:
    chances = torch.tensor([0.5, 0.0, 0.2, 0.3])
    drawn = sample_categorical(chances.expand(20_000, 4), rng())
    shares = torch.bincount(drawn, minlength=4) / 20_000
    assert shares[1] == 0
    torch.testing.assert_close(shares, chances, atol=0.015, rtol=0)


def test_characters_with_the_same_contexts_have_similar_vectors() -> None:
    """Pairs 0, 1 and 2, 3 and so on stand for each other."""
    pairs = rising(200, 2)
    verses = {
        name: 2 * (rows // 2) + np.random.default_rng(0).integers(0, 2, rows.shape)
        for name, rows in pairs.verses.items()
    }
    vectors = context_vectors(Poems(LETTERS, verses), 8)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(COUNT))
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(dim=1)
    assert nearest.tolist() == [n ^ 1 for n in range(COUNT)]


def test_the_generator_moves_at_every_third_step_of_the_critic(gan: PoemGan, tmp_path: Path) -> None:
    assert [gan.schedule(step) for step in range(6)] == [
        *(("critic",), ("critic",), ("critic", "generator")) * 2
    ]
    before = {player: [p.clone() for p in own] for player, own in gan.players().items()}
    fit(gan, DATA, Plan(steps=2, validate_every=2), tmp_path)
    after = gan.players()
    assert all(torch.equal(*both) for both in zip(before["generator"], after["generator"], strict=True))
    assert not all(torch.equal(*both) for both in zip(before["critic"], after["critic"], strict=True))


def test_the_loss_of_the_generator_reaches_it_through_the_softmax(gan: PoemGan) -> None:
    gan.loss("generator", DATA.batch(0), rng()).value.backward()  # type: ignore[no-untyped-call]
    unreached = [
        name
        for name, parameter in gan.named_parameters()
        if not name.startswith("critic") and (parameter.grad is None or not parameter.grad.any())
    ]
    # A batch is of one form, and no poem of five characters has a sixth.
    assert all(name.startswith("generator.form") for name in unreached)
    assert len(unreached) == len(FORMS) - 1


class Slope(nn.Module):
    """A critic whose gradient has the same length everywhere."""

    def __init__(self, length: float) -> None:
        super().__init__()
        self.length = length

    def forward(self, grid: Tensor, form: Form) -> Tensor:
        direction = torch.ones_like(grid[0]).flatten()
        return self.length * grid.flatten(1) @ (direction / direction.norm())


@pytest.mark.parametrize(("length", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_penalty_is_how_far_the_slope_is_from_one(gan: PoemGan, length: float, penalty: float) -> None:
    gan.critic = Slope(length)  # type: ignore[assignment]
    figures = gan.loss("critic", DATA.batch(0), rng()).figures
    assert figures["penalty"] == pytest.approx(penalty, abs=1e-5)


def test_the_quality_of_real_poems_is_better_than_that_of_noise(gan: PoemGan) -> None:
    class Reciter(PoemGan):
        def sample_characters(
            self, form: Form, count: int, rng: torch.Generator, temperature: float
        ) -> Tensor:
            return torch.from_numpy(DATA.train.verses[form.name][:count])

    reciter = Reciter(CONFIGS["poem_gan"])
    for batch in DATA.validation():
        assert 0 < float(reciter.quality(batch, rng())) < 0.3 * float(gan.quality(batch, rng()))


@torch.inference_mode()
def test_nats_are_those_of_the_whole_poem_and_add_up_over_what_may_come(
    language_model: PoemLanguageModel,
) -> None:
    (text,) = language_model.sample(1, rng(), condition="5x4")
    last = [text[:-2] + letter + text[-1] for letter in LETTERS]
    nats = language_model.nll(last, rng())
    assert nats.shape == (COUNT,)
    row = torch.tensor([[LETTERS.index(letter) for letter in read(text)[1]]])
    each = language_model._nats(row, FORMS["5x4"], rng())[0]
    torch.testing.assert_close(nats[last.index(text)], each.sum())
    assert float((each[:-1].sum() - nats).exp().sum()) == pytest.approx(1, abs=1e-4)


@torch.inference_mode()
def test_what_comes_later_changes_nothing_before(language_model: PoemLanguageModel) -> None:
    rows = torch.from_numpy(DATA.train.verses["7x8"][:2])
    changed = rows.clone()
    changed[:, 30] = (changed[:, 30] + 5) % COUNT
    one, other = (language_model._nats(some, FORMS["7x8"], rng()) for some in (rows, changed))
    assert torch.equal(one[:, :30], other[:, :30])
    assert (one[:, 31] != other[:, 31]).all()


@torch.inference_mode()
def test_poems_of_several_forms_are_judged_each_by_itself(language_model: PoemLanguageModel) -> None:
    texts = [language_model.sample(1, rng(), condition=form)[0] for form in (*FORMS, *FORMS)]
    alone = torch.cat([language_model.nll([text], rng()) for text in texts])
    torch.testing.assert_close(language_model.nll(texts, rng()), alone)
    assert language_model.nll([], rng()).shape == (0,)


def test_characters_that_are_not_known_have_no_chance(language_model: PoemLanguageModel) -> None:
    text = FORMS["5x4"].printed("貓" + LETTERS[:18] + "狗")
    with pytest.raises(BadInput, match="狗貓 not among the 24 known characters"):
        language_model.nll([text], rng())


def test_dropping_out_is_by_the_given_chance_alone(language_model: PoemLanguageModel) -> None:
    batch = PoemBatch(torch.from_numpy(DATA.train.verses["5x4"]), "5x4")
    language_model.train()
    first, again, other = (
        float(language_model.loss("model", batch, rng(seed)).value.detach()) for seed in (0, 0, 1)
    )
    assert first == again != other
    language_model.eval()
    still = {language_model.loss("model", batch, rng(seed)).figures["nats"] for seed in (0, 1)}
    assert len(still) == 1


@torch.inference_mode()
def test_it_writes_as_it_reads(language_model: PoemLanguageModel) -> None:
    """The chance by which a character is drawn is that which the whole poem's reading gives it."""
    form = FORMS["5x4"]
    rows = language_model.sample_characters(form, 4_000, rng(), 1.0)
    first = rows[rows[:, 0] == rows[0, 0]]
    shares = torch.bincount(first[:, 1], minlength=COUNT) / len(first)
    asked = first[:1].repeat(COUNT, 1)
    asked[:, 1] = torch.arange(COUNT)
    chances = (-language_model._nats(asked, form, rng())[:, 1]).exp()
    assert float((shares - chances).abs().max()) < 4 * math.sqrt(0.25 / len(first))
