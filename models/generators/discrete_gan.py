"""`discrete_gan`: a generator of binary pictures, through which no gradient passes (Hjelm et al.,
Boundary-seeking generative adversarial networks, 2018).

The generator gives the probability of each pixel. Of each code several pictures are sampled and weighted by
the discriminator's scores, w = exp(score) over the sum of all; the generator makes those of larger weight
likelier (equation 10):

    loss = - E_z sum_m w_m log p(x_m | z)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class DiscreteGanConfig(GanConfig):
    """The shape of a discrete GAN.

    Attributes:
        tries: pictures that are sampled of each code.
    """

    tries: int = 20


@register("discrete_gan")
class DiscreteGan(Adversarial[DiscreteGanConfig]):
    """A GAN of binary pictures."""

    Config = DiscreteGanConfig

    def sample(self, count: int, rng: Generator) -> Tensor:
        """Returns binary pictures of random codes, (count, C, H, W), 0 or 1."""
        return torch.bernoulli(self.decode(self.codes(count, rng)), generator=rng)

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        probabilities = self.decode(self.codes_for(batch, rng))
        repeated = probabilities.repeat_interleave(self.config.tries, dim=0)  # (B tries, C, H, W)
        with torch.no_grad():
            generated = torch.bernoulli(repeated, generator=rng)
            scores = self.discriminator(generated).reshape(len(probabilities), -1)  # (B, tries)
            weights = scores.softmax(dim=1).flatten()
        nats = binary_cross_entropy(repeated, generated, reduction="none").flatten(1).sum(dim=1)
        return Loss((weights * nats).sum() / len(probabilities), {"fake_score": float(scores.mean())})

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        binary = PictureBatch(torch.bernoulli(batch.pictures, generator=rng), batch.labels)
        return super().discriminator_loss(binary, rng)

    def fake_pictures(self, batch: PictureBatch, rng: Generator) -> Tensor:
        return self.sample(len(batch.pictures), rng)


recipe(
    PictureRecipe(
        name="digits-gan-discrete",
        model="discrete_gan",
        config=DiscreteGanConfig(),
        pictures="digits",
        batch_size=64,
        plan=PLAN,
        description="Draws handwritten digits in black and white.",
        thresholds={"two_levels": 1.0, "frechet_of_gaussian": 1 / 3},
        source="Hjelm et al. 2018, Boundary-seeking generative adversarial networks",
    )
)
