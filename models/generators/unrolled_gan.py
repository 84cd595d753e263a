"""`unrolled_gan`: a generator trained against unrolled discriminators (Metz, Poole, Pfau and Sohl-Dickstein,
Unrolled generative adversarial networks, 2017).

Its loss is not that of the current discriminator but of the discriminator after a few steps of its own, and
the gradient passes through these steps (equations 4 to 6): a generator that collapses to one mode is punished
by how the discriminator will react.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.func import functional_call

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.objectives import Scored
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class UnrolledGanConfig(GanConfig):
    """The shape of an unrolled GAN.

    Attributes:
        ahead: unrolled steps of the discriminator.
        rate: learning rate of these steps.
    """

    objective: str = "unregularised"
    ahead: int = 5
    rate: float = 0.02


@register("unrolled_gan")
class UnrolledGan(Adversarial[UnrolledGanConfig]):
    """A GAN whose generator's loss unrolls the discriminator."""

    Config = UnrolledGanConfig

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the generator's objective under the unrolled discriminator."""
        generated = self.decode(self.codes_for(batch, rng))
        unrolled = {
            name: value.detach().requires_grad_() for name, value in self.discriminator.named_parameters()
        }
        for _ in range(self.config.ahead):
            real, fake = (self._scored(unrolled, pictures) for pictures in (batch.pictures, generated))
            loss = self.objective.discriminator(real, fake)
            gradients = torch.autograd.grad(loss, tuple(unrolled.values()), create_graph=True)
            updated = (
                value - self.config.rate * gradient
                for value, gradient in zip(unrolled.values(), gradients, strict=True)
            )
            unrolled = dict(zip(unrolled, updated, strict=True))
        fake = self._scored(unrolled, generated)
        return Loss(self.objective.generator(fake), {"fake_score": float(fake.scores.detach().mean())})

    def _scored(self, parameters: dict[str, Tensor], pictures: Tensor) -> Scored:
        return Scored(pictures, functional_call(self.discriminator, parameters, (pictures,)))


# A generator with a higher learning rate than its discriminator's moves from mode to mode.
RING_PLAN = replace(PLAN, steps=2_000, validate_every=400, ema_decay=0.0, rates={"discriminator": 0.3})

for _ahead, _description in (
    (0, "Points on a ring of eight clouds, without a look ahead."),
    (5, "Points on a ring of eight clouds, with a look ahead."),
):
    recipe(
        PictureRecipe(
            name=f"ring-gan-unrolled-{_ahead}",
            model="unrolled_gan",
            config=UnrolledGanConfig(height=1, width=1, channels=2, code=8, base=128, levels=0, ahead=_ahead),
            pictures="ring",
            batch_size=256,
            plan=RING_PLAN,
            description=_description,
            thresholds={"least_mode": 20} if _ahead else {},
            source="Metz et al. 2017, Unrolled generative adversarial networks",
        )
    )
