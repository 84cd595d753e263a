"""The theory of adversarial training, held against normal distributions on a line."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from wordspot.models.generators.objectives import LOSS_MARGIN, OBJECTIVES, Scored

SHIFT = 1.0  # real: N(0, 1); drawn: N(SHIFT, 1)


def grid() -> tuple[Tensor, Tensor, Tensor]:
    """Points, and both densities times the step, which sum to 1."""
    points = torch.linspace(-9, 10, 20_001, dtype=torch.float64)
    step = points[1] - points[0]
    density = torch.exp(-points.square() / 2) / math.sqrt(2 * math.pi) * step
    other = torch.exp(-(points - SHIFT).square() / 2) / math.sqrt(2 * math.pi) * step
    return points, density, other


def expected_loss(name: str, score: Callable[[Tensor], Tensor], count: int = 400_000) -> float:
    """The discriminator's loss on many draws of both distributions."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn((2, count), generator=rng, dtype=torch.float64)
    real, fake = noise[0], noise[1] + SHIFT
    shaped = [some[:, None, None, None] for some in (real, fake)]
    judged = [Scored(some, score(points)) for some, points in zip(shaped, (real, fake), strict=True)]
    return float(OBJECTIVES[name].discriminator(*judged))


def logit(points: Tensor) -> Tensor:
    """log p / q of the two distributions."""
    return SHIFT**2 / 2 - SHIFT * points


def jensen_shannon() -> float:
    _, p, q = grid()
    middle = (p + q) / 2
    return float((p * (p / middle).log() + q * (q / middle).log()).sum() / 2)


def test_the_loss_of_the_best_discriminator_is_the_jensen_shannon_divergence() -> None:
    expected = 2 * math.log(2) - 2 * jensen_shannon()
    assert expected_loss("minimax", logit) == pytest.approx(expected, abs=0.005)


def test_no_other_discriminator_does_better() -> None:
    best = expected_loss("minimax", logit)
    for worse in (lambda x: 1.3 * logit(x), lambda x: 0.7 * logit(x), lambda x: logit(x) + 0.3):
        assert expected_loss("minimax", worse) > best


@pytest.mark.parametrize(
    ("name", "best", "divergence"),
    [
        ("kullback_leibler", lambda x: 1 + logit(x), SHIFT**2 / 2),
        ("pearson", lambda x: 2 * (logit(x).exp() - 1), math.exp(SHIFT**2) - 1),
        ("jensen_shannon", logit, 2 * jensen_shannon()),
    ],
)
def test_each_divergence_is_reached_by_its_best_discriminator_and_by_no_other(
    name: str, best: Callable[[Tensor], Tensor], divergence: float
) -> None:
    assert -expected_loss(name, best) == pytest.approx(divergence, rel=0.04)
    assert -expected_loss(name, lambda x: 0.6 * best(x)) < divergence * 0.96


def trained(name: str, real: Tensor, fake: Tensor, steps: int = 400) -> nn.Module:
    """A discriminator on a line, as good as it gets."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(1, 32),
        nn.Tanh(),
        nn.Linear(32, 32),
        nn.Tanh(),
        nn.Linear(32, 1),
        nn.Flatten(0),
    )
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    rng = torch.Generator().manual_seed(0)
    objective = OBJECTIVES[name]
    for _ in range(steps):
        judged = Scored(real, network(real)), Scored(fake, network(fake))
        loss = objective.discriminator(*judged)
        if name == "wasserstein":
            loss = loss + 10 * objective.penalty(network, *judged, rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network


def pull(name: str) -> float:
    """How strongly the generator's loss pulls drawn points, all at 4, towards real ones, all near 0."""
    noise = 0.1 * torch.randn((2, 64, 1, 1, 1), generator=torch.Generator().manual_seed(0))
    real, fake = noise[0], noise[1] + 4
    network = trained(name, real, fake)
    moved = fake.clone().requires_grad_()
    loss = 64 * OBJECTIVES[name].generator(Scored(moved, network(moved)))
    (slope,) = torch.autograd.grad(loss, moved)
    return float(slope.mean())


def test_between_disjoint_supports_jensen_shannon_does_not_pull_and_wasserstein_does() -> None:
    assert abs(pull("minimax")) < 0.01
    assert pull("wasserstein") == pytest.approx(1, abs=0.25)


def test_a_loss_sensitive_margin_grows_with_the_difference_of_the_pictures() -> None:
    objective = OBJECTIVES["loss_sensitive"]
    real = Scored(torch.ones(4, 1, 2, 2), torch.full((4,), 0.05))
    near = Scored(torch.full((4, 1, 2, 2), 0.9), torch.zeros(4))
    far = Scored(torch.zeros(4, 1, 2, 2), torch.zeros(4))
    assert float(objective.discriminator(real, near)) == 0  # the scores are farther apart than the pictures
    assert float(objective.discriminator(real, far)) == pytest.approx(4 * LOSS_MARGIN - 0.05)


def test_a_boundary_seeking_generator_wants_scores_at_the_boundary() -> None:
    objective = OBJECTIVES["boundary_seeking"]
    losses = [float(objective.generator(Scored(torch.zeros(1), torch.tensor([s])))) for s in (-2.0, 0.0, 2.0)]
    assert losses[1] == 0 < losses[0] == losses[2]
