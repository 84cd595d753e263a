"""Adversarial training: whose turn it is, and what is refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.errors import BadInput
from wordspot.models.generators.conditional_gan import ClassesConfig, ConditionalGan
from wordspot.models.generators.gan import SNAPSHOTS, Gan, GanConfig
from wordspot.models.generators.objectives import OBJECTIVES
from wordspot.models.generators.semi_supervised_gan import SemiSupervisedGan, SemiSupervisedGanConfig
from wordspot.models.trainer import Plan, fit

SLIM = {"height": 8, "width": 8, "base": 4, "levels": 1, "code": 5}


class Noise:
    def batch(self, step: int) -> PictureBatch:
        rng = torch.Generator().manual_seed(step)
        return PictureBatch(torch.rand((16, 1, 8, 8), generator=rng), torch.arange(16) % 3)

    def validation(self) -> list[PictureBatch]:
        return [self.batch(1_000)]


class OneSided(Gan):
    """Only one of the two ever moves."""

    moving = "generator"

    def schedule(self, step: int) -> Sequence[str]:
        return (self.moving,)


@pytest.mark.parametrize("moving", ["generator", "discriminator"])
def test_the_one_whose_turn_it_is_leaves_the_other_as_it_was_to_the_bit(moving: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = OneSided(GanConfig(**SLIM))
    model.moving = moving
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, Noise(), Plan(steps=3, validate_every=3), tmp_path)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) is not name.startswith(moving), name


def test_a_wasserstein_discriminator_moves_five_times_as_often() -> None:
    model = Gan(GanConfig(**SLIM, objective="wasserstein"))
    moves = Counter(player for step in range(50) for player in model.schedule(step))
    assert moves == {"discriminator": 50, "generator": 10}


def test_a_player_may_have_a_pace_of_its_own(tmp_path: Path) -> None:
    model = Gan(GanConfig(**SLIM))
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, Noise(), Plan(steps=2, validate_every=2, rates={"discriminator": 0.0}), tmp_path)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) is name.startswith("discriminator"), name


def test_energies_pull_even_where_almost_nothing_is_lost() -> None:
    """Black pictures that come back black must not be a place to stay."""
    model = Gan(GanConfig(**SLIM, objective="energy_based"))
    energy = model.discriminator
    for parameter in energy.layers[-2].parameters():
        torch.nn.init.constant_(parameter, 0.0)
    energy.layers[-2].bias.data.fill_(-9.0)  # through a sigmoid: 0.0001
    black = torch.zeros(2, 1, 8, 8)
    assert float(-energy(black).mean().detach()) < 0.01
    (slope,) = torch.autograd.grad(energy(black).sum(), energy.layers[-2].bias)
    assert abs(float(slope)) > 1e-4


def test_one_that_knows_the_labels_alone_learns_from_them_alone(tmp_path: Path) -> None:
    config = SemiSupervisedGanConfig(**SLIM, classes=3, labelled=2, hidden=(16, 8), adversarial=False)
    model = SemiSupervisedGan(config)
    model.prepare(Noise())
    progress = fit(model, Noise(), Plan(steps=150, learning_rate=1e-2, validate_every=150), tmp_path)
    assert set(model.players()) == {"discriminator"}
    assert progress.figures["labelled_loss"] < 0.5 < math.log(3)
    assert model.capabilities == {"classify"}


def test_units_start_with_a_mean_of_zero_and_a_standard_deviation_of_one() -> None:
    model = SemiSupervisedGan(SemiSupervisedGanConfig(**SLIM, classes=3, labelled=20, hidden=(16, 8)))
    model.prepare(Noise())
    first = model.discriminator.layers[0](model.labelled_pictures.flatten(1))
    torch.testing.assert_close(first.mean(dim=0), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(first.std(dim=0), torch.ones(16), atol=1e-3, rtol=0)
    assert float(model.discriminator(model.labelled_pictures).std(dim=0).mean().detach()) == pytest.approx(
        0.1, rel=0.01
    )


def test_clipped_weights_stay_within_their_bound() -> None:
    model = Gan(GanConfig(**SLIM, objective="wasserstein_clipped"))
    model.loss("discriminator", Noise().batch(0), torch.Generator().manual_seed(0))
    bound = OBJECTIVES["wasserstein_clipped"].clip
    assert bound is not None
    assert all(float(p.detach().abs().max()) <= bound for p in model.discriminator.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_moves_both(objective: str) -> None:
    torch.manual_seed(0)
    model = Gan(GanConfig(**SLIM, objective=objective))
    for player, parameters in model.players().items():
        loss = model.loss(player, Noise().batch(0), torch.Generator().manual_seed(0)).value
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        assert torch.isfinite(loss)
        assert any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes), player


def test_an_unknown_objective_and_a_size_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(BadInput, match=r"objective must be one of minimax, .* got 'none'"):
        Gan(GanConfig(objective="none"))
    with pytest.raises(BadInput, match="multiples of 4, 8 at least, to be halved 2 times, got 30 x 28"):
        Gan(GanConfig(height=30))


def test_the_class_that_is_asked_for_stands_in_the_code() -> None:
    model = ConditionalGan(ClassesConfig(**SLIM, classes=3))
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(model.codes(4, rng, condition="2")[:, -3:], torch.tensor([[0.0, 0.0, 1.0]] * 4))
    assert set(model.codes(50, rng)[:, -3:].argmax(dim=1).tolist()) == {0, 1, 2}
    for wrong in ("3", "-1", "two"):
        with pytest.raises(BadInput, match="must be empty or between 0 and 2"):
            model.sample(1, rng, condition=wrong)


def test_the_course_of_training_is_kept_whatever_weights_are_best(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Gan(GanConfig(**SLIM, strip=3))
    fit(model, Noise(), Plan(steps=50, validate_every=25, learning_rate=1e-2), tmp_path)
    assert model.snapshots.shape == (len(SNAPSHOTS), 3, 1, 8, 8)
    shown = model.snapshots.float()
    assert (shown.flatten(1).std(dim=1) > 0).all()
    assert len(shown.flatten(1).unique(dim=0)) >= len(SNAPSHOTS) - 1  # two fall on the first step
    drawn = model.sample(3, torch.Generator().manual_seed(0))
    assert (shown[-1] / 255 - drawn).abs().mean() < (shown[0] / 255 - drawn).abs().mean()


def test_what_only_training_needs_is_not_stored(tmp_path: Path) -> None:
    model = Gan(GanConfig(**SLIM)).eval()
    card = artifact.save(model, TrainingRecord("one"), tmp_path)
    stored = artifact.read_weights(tmp_path, card)
    assert {name.partition(".")[0] for name in stored} == {"generator", "snapshots"}
    again = artifact.restore(Gan, tmp_path, card)
    rng = [torch.Generator().manual_seed(0) for _ in range(2)]
    assert torch.equal(model.sample(3, rng[0]), again.sample(3, rng[1]))
