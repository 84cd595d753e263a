from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from wordspot.models.errors import BadInput
from wordspot.models.model import Loss, Model
from wordspot.models.trainer import Plan, fit


@dataclass(frozen=True)
class DuelConfig:
    size: int = 3


class Duel(Model[DuelConfig]):
    """Two players in turn; each pulls its own weights towards the batch, with noise."""

    Config = DuelConfig
    frozen = False

    def __init__(self, config: DuelConfig) -> None:
        super().__init__(config)
        self.first = nn.Linear(config.size, 1)
        self.second = nn.Linear(config.size, 1)
        self.moved: list[str] = []

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {"first": list(self.first.parameters()), "second": list(self.second.parameters())}

    def schedule(self, step: int) -> Sequence[str]:
        return ("first",) if step % 3 else ("first", "second")

    def loss(self, player: str, batch: Tensor, rng: Generator) -> Loss:
        self.moved.append(player)
        noise = 0.01 * torch.randn(batch.shape, generator=rng)
        both = self.first(batch + noise) + self.second(batch)
        return Loss((both - batch.sum(dim=1, keepdim=True)).square().mean(), {"noise": float(noise.std())})


class Rows:
    def batch(self, step: int) -> Tensor:
        return torch.randn(16, 3, generator=torch.Generator().manual_seed(step))

    def validation(self) -> Sequence[Tensor]:
        return [self.batch(10_000)]


PLAN = Plan(steps=40, learning_rate=0.02, warm_up=4, validate_every=10)


def duel() -> Duel:
    torch.manual_seed(1)
    return Duel(DuelConfig())


def test_training_lowers_the_loss_and_reports(tmp_path: Path) -> None:
    reports = []
    final = fit(duel(), Rows(), PLAN, tmp_path, report=reports.append)
    assert [report.step for report in reports] == [10, 20, 30, 40]
    assert reports[-1].loss < reports[0].loss
    assert final.best <= min(report.validation for report in reports)


def test_a_player_out_of_turn_stays_bit_identical(tmp_path: Path) -> None:
    class FirstOnly(Duel):
        def schedule(self, step: int) -> Sequence[str]:
            return ("first",)

    torch.manual_seed(1)
    model = FirstOnly(DuelConfig())
    first, second = model.first.weight.clone(), model.second.weight.clone()
    fit(model, Rows(), PLAN, tmp_path)
    assert torch.equal(model.second.weight, second)
    assert not torch.equal(model.first.weight, first)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_resumed_training_ends_bit_identical_to_an_unbroken_one(tmp_path: Path, ema_decay: float) -> None:
    plan = replace(PLAN, ema_decay=ema_decay)
    unbroken = duel()
    fit(unbroken, Rows(), plan, tmp_path / "whole")

    class CutOff(Exception):
        pass

    class Failing(Rows):
        def batch(self, step: int) -> Tensor:
            if step == 23:
                raise CutOff
            return super().batch(step)

    with pytest.raises(CutOff):
        fit(duel(), Failing(), plan, tmp_path / "parts")
    torch.manual_seed(99)
    resumed = Duel(DuelConfig())
    fit(resumed, Rows(), plan, tmp_path / "parts", resume=True)
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_resuming_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint to resume from"):
        fit(duel(), Rows(), PLAN, tmp_path, resume=True)


OTHER_PLANS: dict[str, Any] = {
    "steps": 41,
    "learning_rate": 0.03,
    "warm_up": 5,
    "weight_decay": 0.1,
    "clip_norm": 2.0,
    "validate_every": 5,
    "seed": 7,
    "ema_decay": 0.5,
    "patience": 3,
    "betas": (0.9, 0.9),
    "rates": {"first": 0.5},
}


def test_every_hyperparameter_but_the_minutes_is_tested_below() -> None:
    assert {*OTHER_PLANS, "minutes"} == {field.name for field in fields(Plan)}


@pytest.mark.parametrize("name", OTHER_PLANS)
def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path, name: str) -> None:
    fit(duel(), Rows(), PLAN, tmp_path)
    with pytest.raises(BadInput, match="another model, plan or data"):
        fit(duel(), Rows(), replace(PLAN, **{name: OTHER_PLANS[name]}), tmp_path, resume=True)


def test_a_checkpoint_is_resumed_with_more_minutes(tmp_path: Path) -> None:
    assert fit(duel(), Rows(), replace(PLAN, minutes=1e-9), tmp_path).step < PLAN.steps
    assert fit(duel(), Rows(), replace(PLAN, minutes=60.0), tmp_path, resume=True).step == PLAN.steps


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    fit(duel(), Rows(), PLAN, tmp_path, provenance={"data": {"sha256": "1"}})
    fit(duel(), Rows(), PLAN, tmp_path, provenance={"data": {"sha256": "1"}}, resume=True)
    for other in ({"data": {"sha256": "2"}}, {"data": {"sha256": "1"}, "batch_size": 2}, None):
        with pytest.raises(BadInput, match="another model, plan or data"):
            fit(duel(), Rows(), PLAN, tmp_path, provenance=other, resume=True)


def test_a_checkpoint_of_a_training_of_other_parts_is_refused(tmp_path: Path) -> None:
    class Partial(Duel):
        def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
            return {"first": [self.first.bias] if self.frozen else super().players()["first"]}

        def schedule(self, step: int) -> Sequence[str]:
            return ("first",)

    whole, partial = Partial(DuelConfig()), Partial(DuelConfig())
    whole.frozen, partial.frozen = False, True
    fit(whole, Rows(), PLAN, tmp_path)
    with pytest.raises(BadInput, match="another model, plan or data"):
        fit(partial, Rows(), PLAN, tmp_path, resume=True)


def test_the_weights_kept_are_those_that_validated_best(tmp_path: Path) -> None:
    reports = []
    model = duel()
    final = fit(model, Rows(), replace(PLAN, learning_rate=3.0, warm_up=0), tmp_path, report=reports.append)
    model.moved.clear()
    assert final.best == min(report.validation for report in reports)


def test_a_budget_of_no_minutes_ends_after_no_step(tmp_path: Path) -> None:
    model = duel()
    assert fit(model, Rows(), replace(PLAN, minutes=0.0), tmp_path).step == 0
    assert model.moved == []


def test_the_mean_of_past_weights_is_kept_and_the_first_ones_are_forgotten(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Watched(Duel):
        def loss(self, player: str, batch: Tensor, rng: Generator) -> Loss:
            if self.training and player == "first":
                seen.append(self.first.weight.detach().clone())
            return super().loss(player, batch, rng)

    torch.manual_seed(1)
    model = Watched(DuelConfig())
    fit(model, Rows(), replace(PLAN, ema_decay=0.9, validate_every=40), tmp_path)
    expected = seen[0].clone()
    last = torch.zeros_like(expected)
    for step, weights in enumerate([*seen[1:], last]):
        if step + 1 < len(seen):
            kept = min(0.9, (1 + step) / (10 + step))
            expected = kept * expected + (1 - kept) * weights
    # All but the last step, of which nobody sees the weights: a tenth at most of what they moved.
    assert (model.first.weight - expected).abs().max() <= 0.1 * 0.02 * 2
    assert (model.first.weight - seen[0]).abs().max() > 0.1


def test_training_stops_where_validation_does_not_get_better(tmp_path: Path) -> None:
    worse = replace(PLAN, learning_rate=3.0, warm_up=0, steps=1_000, patience=2)
    reports = []
    fit(duel(), Rows(), worse, tmp_path, report=reports.append)
    values = [report.validation for report in reports]
    assert values.index(min(values)) == len(values) - 4
    assert reports[-1].step < 1_000
