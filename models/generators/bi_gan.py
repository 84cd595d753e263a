"""`bi_gan`: a generator, its inverse, and a discriminator of pairs (Donahue, Kraehenbuehl and Darrell,
Adversarial feature learning, 2017).

The discriminator tells (x, E(x)) of real pictures from (G(z), z) of random codes. Where it cannot, the
encoder E inverts the generator G.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, THRESHOLDS, Adversarial, GanConfig
from wordspot.models.generators.networks import SLOPE, Features
from wordspot.models.generators.objectives import Scored
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

HIDDEN = 256


@dataclass(frozen=True)
class BiGanConfig(GanConfig):
    """The shape of a bidirectional GAN."""

    code: int = 50


@register("bi_gan")
class BiGan(Adversarial[BiGanConfig]):
    """A generator, an encoder (`seen` and `coded` in stored artifacts) and a discriminator of pairs."""

    Config = BiGanConfig

    def __init__(self, config: BiGanConfig) -> None:
        super().__init__(config)
        self.unsaved |= {"pair"}
        self.seen = Features(config)
        self.coded = nn.Linear(self.seen.size, config.code)
        self.pair = nn.Sequential(
            nn.Linear(self.discriminator.features.size + config.code, HIDDEN),
            nn.LeakyReLU(SLOPE),
            nn.Linear(HIDDEN, 1),
        )

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        encoder = [*self.seen.parameters(), *self.coded.parameters()]
        return {
            "generator": [*players["generator"], *encoder],
            "discriminator": [*self.discriminator.features.parameters(), *self.pair.parameters()],
        }

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the codes of pictures, (B, code)."""
        code: Tensor = self.coded(self.seen(pictures))
        return code

    def reconstruct(self, pictures: Tensor) -> Tensor:
        """Returns the decoded codes of pictures, (B, C, H, W)."""
        return self.decode(self.encode(pictures))

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the loss of generator and encoder: either kind of pair should pass for the other."""
        codes = self.codes_for(batch, rng)
        generated = self._score(self.decode(codes), codes)
        real = self._score(batch.pictures, self.encode(batch.pictures))
        return Loss(
            softplus(-generated).mean() + softplus(real).mean(),
            {"fake_score": float(generated.detach().mean())},
        )

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        codes = self.codes_for(batch, rng)
        with torch.no_grad():
            generated, codes_of_real = self.decode(codes), self.encode(batch.pictures)
        critic = partial(self._score, codes=codes_of_real)
        real = Scored(batch.pictures, critic(batch.pictures))
        fake = Scored(generated, self._score(generated, codes))
        penalty = self.config.penalty * self.objective.penalty(critic, real, fake, rng)
        value = self.objective.discriminator(real, fake) + penalty
        return Loss(value, {"real_score": float(real.scores.detach().mean())})

    def _score(self, pictures: Tensor, codes: Tensor) -> Tensor:
        pair = torch.cat([self.discriminator.features(pictures), codes], dim=1)
        scores: Tensor = self.pair(pair)
        return scores[:, 0]


recipe(
    PictureRecipe(
        name="digits-gan-bidirectional",
        model="bi_gan",
        config=BiGanConfig(),
        pictures="digits",
        batch_size=64,
        plan=PLAN,
        description="Draws digits from codes, and finds the code of a digit.",
        thresholds={**THRESHOLDS, "nearest_neighbour": 0.93},
        source="Donahue, Kraehenbuehl and Darrell 2017, Adversarial feature learning",
    )
)
