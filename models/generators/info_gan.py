"""`info_gan`: codes with interpretable parts, learned without labels (Chen et al., InfoGAN: interpretable
representation learning by information maximizing generative adversarial nets, 2016).

Beside noise the code holds a class and a few numbers. A recognition network has to recover them from the
generated picture (the paper's Q, equation 5), so the generator makes them visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.conditional_gan import ClassesConfig, WithClasses
from wordspot.models.generators.gan import PLAN, THRESHOLDS
from wordspot.models.generators.networks import SLOPE, Features
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

HIDDEN = 128


@dataclass(frozen=True)
class InfoGanConfig(ClassesConfig):
    """The shape of an InfoGAN.

    Attributes:
        numbers: uniform in -1 to 1, which stand in the code before the one-hot class.
        weight: of the recognition loss, lambda.
    """

    numbers: int = 2
    weight: float = 1.0


@register("info_gan")
class InfoGan(WithClasses[InfoGanConfig]):
    """A GAN with a recognition network (`features` and `found` in stored artifacts)."""

    Config = InfoGanConfig

    def __init__(self, config: InfoGanConfig) -> None:
        super().__init__(config)
        self.features = Features(config)
        outputs = config.classes + config.numbers
        self.found = nn.Sequential(
            nn.Linear(self.features.size, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, outputs)
        )

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        recognition = [*self.features.parameters(), *self.found.parameters()]
        return {**players, "generator": [*players["generator"], *recognition]}

    def clusters(self, pictures: Tensor) -> Tensor:
        """Returns the recognised class of pictures, int64 (B,)."""
        return self._recognise(pictures)[1].argmax(dim=1)

    def codes_of(self, labels: Tensor, rng: Generator) -> Tensor:
        codes = super().codes_of(labels, rng)
        numbers = 2 * torch.rand((len(codes), self.config.numbers), generator=rng, device=codes.device) - 1
        codes[:, self._numbers] = numbers
        return codes

    def generator_regulariser(
        self, batch: PictureBatch, codes: Tensor, generated: Tensor, rng: Generator
    ) -> Tensor:
        numbers, classes = self._recognise(generated)
        class_loss = cross_entropy(classes, codes[:, -self.config.classes :])
        return self.config.weight * (class_loss + mse_loss(numbers, codes[:, self._numbers]))

    @property
    def _numbers(self) -> slice:
        """The positions of the numbers in a code."""
        return slice(-self.config.classes - self.config.numbers, -self.config.classes)

    def _recognise(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the recognised numbers, (B, numbers), and logits of the classes, (B, classes)."""
        recognised: Tensor = self.found(self.features(pictures))
        return recognised[:, : self.config.numbers], recognised[:, self.config.numbers :]


recipe(
    PictureRecipe(
        name="digits-gan-info",
        model="info_gan",
        config=InfoGanConfig(code=32),
        pictures="digits",
        batch_size=64,
        plan=PLAN,
        description="Draws digits and sorts them into ten kinds that nobody named.",
        thresholds={**THRESHOLDS, "matched_kinds": 0.8},
        source="Chen et al. 2016, InfoGAN",
    )
)
