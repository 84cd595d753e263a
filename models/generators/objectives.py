"""What a discriminator and a generator try to minimise: objectives of adversarial training, by name.

    OBJECTIVES["least_squares"] = Objective(
        lambda real, fake: (real.scores - 1).square().mean() + fake.scores.square().mean(),
        lambda fake: (fake.scores - 1).square().mean(),
    )

Scores are what a discriminator gives before any squashing: the higher, the more real.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import relu, softplus

CLIP = 0.01  # Arjovsky et al. 2017
ENERGY_MARGIN = 5.0  # of the Euclidean distance of a picture from what comes back
LOSS_MARGIN = 0.02  # for each pixel that two pictures differ by


@dataclass(frozen=True)
class Judged:
    """pictures: (B, C, H, W), 0 to 1. scores: (B,)."""

    pictures: Tensor
    scores: Tensor


Critic = Callable[[Tensor], Tensor]
Penalty = Callable[[Critic, Judged, Judged, Generator], Tensor]


def no_penalty(critic: Critic, real: Judged, fake: Judged, rng: Generator) -> Tensor:
    return real.scores.new_zeros(())


@dataclass(frozen=True)
class Objective:
    """discriminator: of real and drawn; generator: of drawn; penalty: added to the discriminator's, with a
    weight.

    turns: of the discriminator before each of the generator. clip: bound of the discriminator's weights.
    energy: whether scores are those of an auto-encoder, minus its error.
    """

    discriminator: Callable[[Judged, Judged], Tensor]
    generator: Callable[[Judged], Tensor]
    penalty: Penalty = no_penalty
    turns: int = 1
    clip: float | None = None
    energy: bool = False


def gradient_penalty(critic: Critic, real: Judged, fake: Judged, rng: Generator) -> Tensor:
    """(|gradient| - 1)^2 at random points between real and drawn (Gulrajani et al. 2017, equation 3)."""
    share = torch.rand((len(real.scores), 1, 1, 1), generator=rng, device=real.scores.device)
    between = torch.lerp(fake.pictures, real.pictures, share).requires_grad_()
    return (_slope(critic(between), between).sqrt() - 1).square().mean()


def roughness(critic: Critic, real: Judged, fake: Judged, rng: Generator) -> Tensor:
    """Half of |gradient|^2 at real pictures: R1 (Mescheder, Geiger and Nowozin 2018)."""
    given = real.pictures.detach().requires_grad_()
    return _slope(critic(given), given).mean() / 2


def _slope(scores: Tensor, pictures: Tensor) -> Tensor:
    """(B,): squared norm of the gradient, a small number added."""
    (slope,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return slope.flatten(1).square().sum(dim=1) + 1e-12


def divergence(
    activation: Callable[[Tensor], Tensor], conjugate: Callable[[Tensor], Tensor], penalty: Penalty
) -> Objective:
    """f-GAN (Nowozin et al. 2016, table 2): E f*(g(V)) - E g(V) bounds a divergence from below.

    activation: g, onto the domain of the conjugate f*. The generator minimises -E g(V) on what it draws, as
    the paper's section 3.2 advises.
    """
    return Objective(
        lambda real, fake: conjugate(activation(fake.scores)).mean() - activation(real.scores).mean(),
        lambda fake: -activation(fake.scores).mean(),
        penalty,
    )


def _wasserstein(real: Judged, fake: Judged) -> Tensor:
    return fake.scores.mean() - real.scores.mean()


def _logistic(real: Judged, fake: Judged) -> Tensor:
    return softplus(-real.scores).mean() + softplus(fake.scores).mean()


def _non_saturating(fake: Judged) -> Tensor:
    return softplus(-fake.scores).mean()


def _higher(fake: Judged) -> Tensor:
    return -fake.scores.mean()


def _loss_sensitive(real: Judged, fake: Judged) -> Tensor:
    """Losses are minus scores: those of drawn pictures are to exceed those of real ones by a margin."""
    margin = LOSS_MARGIN * (real.pictures - fake.pictures).abs().flatten(1).sum(dim=1)
    return relu(margin + fake.scores - real.scores).mean()


def _energy_based(real: Judged, fake: Judged) -> Tensor:
    return relu(ENERGY_MARGIN + fake.scores).mean() - real.scores.mean()


OBJECTIVES: dict[str, Objective] = {
    # Goodfellow et al. 2014: equation 1, and what they advise instead.
    "minimax": Objective(_logistic, lambda fake: -softplus(fake.scores).mean(), roughness),
    "non_saturating": Objective(_logistic, _non_saturating, roughness),
    "unregularised": Objective(_logistic, _non_saturating),
    # Arjovsky et al. 2017; Gulrajani et al. 2017.
    "wasserstein_clipped": Objective(_wasserstein, _higher, turns=5, clip=CLIP),
    "wasserstein": Objective(_wasserstein, _higher, gradient_penalty, turns=5),
    # Mao et al. 2017.
    "least_squares": Objective(
        lambda real, fake: (real.scores - 1).square().mean() + fake.scores.square().mean(),
        lambda fake: (fake.scores - 1).square().mean(),
        roughness,
    ),
    # Nowozin et al. 2016, table 6.
    "kullback_leibler": divergence(lambda v: v, lambda t: (t - 1).exp(), roughness),
    "pearson": divergence(lambda v: v, lambda t: t.square() / 4 + t, roughness),
    "jensen_shannon": divergence(
        lambda v: math.log(2) - softplus(-v), lambda t: -(2 - t.exp()).log(), roughness
    ),
    # Qi 2017.
    "loss_sensitive": Objective(_loss_sensitive, _higher, roughness),
    # Zhao, Mathieu and LeCun 2017.
    "energy_based": Objective(_energy_based, _higher, energy=True),
    # Hjelm et al. 2018, equation 18, for what is continuous.
    "boundary_seeking": Objective(_logistic, lambda fake: fake.scores.square().mean() / 2, roughness),
}


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)
