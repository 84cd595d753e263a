"""Objectives of adversarial training, by name: what discriminator and generator minimise.

    OBJECTIVES["least_squares"] = Objective(
        lambda real, fake: (real.scores - 1).square().mean() + fake.scores.square().mean(),
        lambda fake: (fake.scores - 1).square().mean(),
    )

Scores are logits of a discriminator: the higher, the more real.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import relu, softplus

CLIP = 0.01  # Arjovsky et al. 2017
ENERGY_MARGIN = 5.0  # of the Euclidean distance between a picture and its reconstruction
LOSS_MARGIN = 0.02  # for each pixel that two pictures differ by


@dataclass(frozen=True)
class Scored:
    """Pictures with a discriminator's scores.

    Attributes:
        pictures: float (B, C, H, W), 0 to 1.
        scores: float (B,), logits.
    """

    pictures: Tensor
    scores: Tensor


Critic = Callable[[Tensor], Tensor]
Penalty = Callable[[Critic, Scored, Scored, Generator], Tensor]


def no_penalty(critic: Critic, real: Scored, fake: Scored, rng: Generator) -> Tensor:
    """Returns 0."""
    return real.scores.new_zeros(())


@dataclass(frozen=True)
class Objective:
    """An objective of both players.

    Attributes:
        discriminator: its loss, of real and fake pictures.
        generator: its loss, of fake pictures.
        penalty: added to the discriminator's loss with a weight.
        critic_steps: of the discriminator for each step of the generator.
        clip: bound of the discriminator's weights, or None.
        energy: whether scores are those of an auto-encoder, minus its reconstruction error.
    """

    discriminator: Callable[[Scored, Scored], Tensor]
    generator: Callable[[Scored], Tensor]
    penalty: Penalty = no_penalty
    critic_steps: int = 1
    clip: float | None = None
    energy: bool = False


def gradient_penalty(critic: Critic, real: Scored, fake: Scored, rng: Generator) -> Tensor:
    """Returns (|gradient| - 1)^2 at random points between real and fake (Gulrajani et al. 2017, eq. 3)."""
    mix = torch.rand((len(real.scores), 1, 1, 1), generator=rng, device=real.scores.device)
    points = torch.lerp(fake.pictures, real.pictures, mix).requires_grad_()
    return (_squared_gradient_norm(critic(points), points).sqrt() - 1).square().mean()


def r1_penalty(critic: Critic, real: Scored, fake: Scored, rng: Generator) -> Tensor:
    """Returns half of |gradient|^2 at real pictures: R1 (Mescheder, Geiger and Nowozin 2018)."""
    pictures = real.pictures.detach().requires_grad_()
    return _squared_gradient_norm(critic(pictures), pictures).mean() / 2


def _squared_gradient_norm(scores: Tensor, pictures: Tensor) -> Tensor:
    """Returns the squared norms of the gradients, (B,), with a small number added."""
    (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return gradient.flatten(1).square().sum(dim=1) + 1e-12


def divergence(
    activation: Callable[[Tensor], Tensor], conjugate: Callable[[Tensor], Tensor], penalty: Penalty
) -> Objective:
    """Returns the objective of an f-divergence: E f*(g(V)) - E g(V) bounds it from below (f-GAN, Nowozin et
    al. 2016, table 2).

    Args:
        activation: g, onto the domain of the conjugate.
        conjugate: f*. The generator minimises -E g(V) on fake pictures, as the paper's section 3.2 advises.
        penalty: of the discriminator.
    """
    return Objective(
        lambda real, fake: conjugate(activation(fake.scores)).mean() - activation(real.scores).mean(),
        lambda fake: -activation(fake.scores).mean(),
        penalty,
    )


def _wasserstein(real: Scored, fake: Scored) -> Tensor:
    return fake.scores.mean() - real.scores.mean()


def _logistic(real: Scored, fake: Scored) -> Tensor:
    return softplus(-real.scores).mean() + softplus(fake.scores).mean()


def _non_saturating(fake: Scored) -> Tensor:
    return softplus(-fake.scores).mean()


def _negated_score(fake: Scored) -> Tensor:
    return -fake.scores.mean()


def _loss_sensitive(real: Scored, fake: Scored) -> Tensor:
    """Returns the hinge loss by which fake pictures should exceed real ones by a margin; losses are minus
    scores."""
    margin = LOSS_MARGIN * (real.pictures - fake.pictures).abs().flatten(1).sum(dim=1)
    return relu(margin + fake.scores - real.scores).mean()


def _energy_based(real: Scored, fake: Scored) -> Tensor:
    return relu(ENERGY_MARGIN + fake.scores).mean() - real.scores.mean()


OBJECTIVES: dict[str, Objective] = {
    # Goodfellow et al. 2014: equation 1, and their alternative.
    "minimax": Objective(_logistic, lambda fake: -softplus(fake.scores).mean(), r1_penalty),
    "non_saturating": Objective(_logistic, _non_saturating, r1_penalty),
    "unregularised": Objective(_logistic, _non_saturating),
    # Arjovsky et al. 2017; Gulrajani et al. 2017.
    "wasserstein_clipped": Objective(_wasserstein, _negated_score, critic_steps=5, clip=CLIP),
    "wasserstein": Objective(_wasserstein, _negated_score, gradient_penalty, critic_steps=5),
    # Mao et al. 2017.
    "least_squares": Objective(
        lambda real, fake: (real.scores - 1).square().mean() + fake.scores.square().mean(),
        lambda fake: (fake.scores - 1).square().mean(),
        r1_penalty,
    ),
    # Nowozin et al. 2016, table 6.
    "kullback_leibler": divergence(lambda v: v, lambda t: (t - 1).exp(), r1_penalty),
    "pearson": divergence(lambda v: v, lambda t: t.square() / 4 + t, r1_penalty),
    "jensen_shannon": divergence(
        lambda v: math.log(2) - softplus(-v), lambda t: -(2 - t.exp()).log(), r1_penalty
    ),
    # Qi 2017.
    "loss_sensitive": Objective(_loss_sensitive, _negated_score, r1_penalty),
    # Zhao, Mathieu and LeCun 2017.
    "energy_based": Objective(_energy_based, _negated_score, energy=True),
    # Hjelm et al. 2018, equation 18, for continuous pictures.
    "boundary_seeking": Objective(_logistic, lambda fake: fake.scores.square().mean() / 2, r1_penalty),
}


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    """Clips all weights to -bound .. bound, in place."""
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)
