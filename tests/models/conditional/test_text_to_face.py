from __future__ import annotations

import pytest
import torch

from wordspot.models.conditional.text_to_face import TextToFace, TextToFaceConfig
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.errors import BadInput

CONFIG = TextToFaceConfig(
    height=8,
    width=8,
    base=4,
    levels=1,
    code=9,
    text=4,
    hair=("black", "red", "blue"),
    eyes=("green", "blue"),
)


@pytest.fixture
def model() -> TextToFace:
    torch.manual_seed(0)
    return TextToFace(CONFIG).eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 8) -> PictureBatch:
    return PictureBatch(torch.rand((count, 3, 8, 8), generator=rng(1)), torch.arange(count) % 12)


def test_wrong_descriptions_are_wrong_and_some_in_one_trait_alone(model: TextToFace) -> None:
    described = model.descriptions.of_labels(torch.arange(12).repeat(50))
    mismatched = model.mismatched(described, rng())
    differ = (mismatched != described).sum(dim=1)
    assert int(differ.min()) == 1
    assert int(differ.max()) == 3
    assert (mismatched >= 0).all()
    assert (mismatched < torch.tensor(model.descriptions.sizes)).all()


def test_what_the_condition_leaves_open_is_drawn_for_each(model: TextToFace) -> None:
    with torch.no_grad():
        codes = model.codes(64, rng(), condition="red hair")
    vectors = codes[:, -CONFIG.text :]
    with torch.no_grad():
        kinds = model.reader(torch.tensor([[1, eyes, length] for eyes in (0, 1) for length in (0, 1)]))
    nearest = torch.cdist(vectors, kinds).min(dim=1)
    assert float(nearest.values.max()) < 1e-2
    assert len(nearest.indices.unique()) == 4
    whole = model.codes(64, rng(), condition="red hair, blue eyes, long hair")[:, -CONFIG.text :]
    assert len(whole.unique(dim=0)) == 1


@torch.inference_mode()
def test_a_walk_keeps_to_the_condition_and_seeds_to_their_pictures(model: TextToFace) -> None:
    condition = "blue eyes, long hair, black hair"
    drawn = model.sample(5, rng(3), condition=condition)
    assert torch.equal(drawn, model.sample(5, rng(3), condition="long black hair; eyes blue"))
    assert not torch.equal(drawn, model.sample(5, rng(4), condition=condition))
    walk = torch.stack(list(model.generate(20, rng(3), condition=condition)))
    assert walk.shape == (20, 3, 8, 8)
    steps = (walk[1:] - walk[:-1]).abs().amax(dim=(1, 2, 3))
    assert float(steps.max()) < 0.9 * float((drawn[0] - drawn[1]).abs().max()) + 0.2
    for ask in (model.sample, lambda *given, **said: list(model.generate(*given, **said))):
        with pytest.raises(BadInput, match="'spectacles' not known"):
            ask(1, rng(), condition="red hair and spectacles")


def test_the_generators_step_leaves_the_discriminator_bit_identical(model: TextToFace) -> None:
    model.train()
    players = model.players()
    assert {id(p) for p in players["generator"]}.isdisjoint(id(p) for p in players["discriminator"])
    before = [parameter.clone() for parameter in players["discriminator"]]
    step = torch.optim.SGD(players["generator"], 0.1)
    model.loss("generator", batch(), rng()).value.backward()
    step.step()
    assert all(torch.equal(one, other) for one, other in zip(before, players["discriminator"], strict=True))
    assert any(parameter.grad is not None for parameter in model.reader.parameters())


def test_a_real_picture_with_a_wrong_text_is_told_from_one_with_its_own(model: TextToFace) -> None:
    """The matching-aware part of the loss: it trains even where nothing drawn is told from what is real."""
    model.train()
    step = torch.optim.Adam(model.players()["discriminator"], 5e-3)
    pictures = torch.zeros(12, 3, 8, 8)
    for label in range(12):
        hair, eyes, long = model.descriptions.of_labels(torch.tensor([label]))[0].tolist()
        pictures[label, hair, :4], pictures[label, eyes, 4:6], pictures[label, :, 6:] = 1.0, 1.0, float(long)
    some = PictureBatch(pictures, torch.arange(12))
    for n in range(150):
        step.zero_grad()
        model.loss("discriminator", some, rng(n)).value.backward()
        step.step()
    described = model.descriptions.of_labels(some.labels)
    with torch.no_grad():
        own, other = (
            model.critic(PictureBatch(pictures, labels))(pictures)
            for labels in (some.labels, some.labels.roll(1))
        )
    assert torch.equal(described[0], torch.tensor([0, 0, 0]))
    assert float((own > other).float().mean()) > 0.9
