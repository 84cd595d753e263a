"""`unrolled_gan`: the generator looks ahead (Metz, Poole, Pfau and Sohl-Dickstein, Unrolled generative
adversarial networks, 2017).

It is judged not by the discriminator of now but by what that becomes in a few steps of its own, and the
gradient goes through these steps (equations 4 to 6): a generator that puts all on one kind sees that the
discriminator will catch it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.func import functional_call

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.objectives import Judged
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class UnrolledGanConfig(GanConfig):
    """ahead: steps of the discriminator that are foreseen, each by `rate` down its gradient."""

    objective: str = "unregularised"
    ahead: int = 5
    rate: float = 0.02


@register("unrolled_gan")
class UnrolledGan(Adversarial[UnrolledGanConfig]):
    Config = UnrolledGanConfig

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        drawn = self.decode(self.codes_for(batch, rng))
        ahead = {
            name: value.detach().requires_grad_() for name, value in self.discriminator.named_parameters()
        }
        for _ in range(self.config.ahead):
            real, fake = (self._judged(ahead, some) for some in (batch.pictures, drawn))
            loss = self.objective.discriminator(real, fake)
            slopes = torch.autograd.grad(loss, tuple(ahead.values()), create_graph=True)
            moved = (
                value - self.config.rate * slope for value, slope in zip(ahead.values(), slopes, strict=True)
            )
            ahead = dict(zip(ahead, moved, strict=True))
        fake = self._judged(ahead, drawn)
        return Loss(self.objective.generator(fake), {"drawn": float(fake.scores.detach().mean())})

    def _judged(self, parameters: dict[str, Tensor], pictures: Tensor) -> Judged:
        return Judged(pictures, functional_call(self.discriminator, parameters, (pictures,)))


# A generator that moves faster than its discriminator runs after it from cloud to cloud.
HASTY = replace(PLAN, steps=2_000, validate_every=400, average=0.0, rates={"discriminator": 0.3})

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
            plan=HASTY,
            description=_description,
            thresholds={"least_mode": 20} if _ahead else {},
            source="Metz et al. 2017, Unrolled generative adversarial networks",
        )
    )
