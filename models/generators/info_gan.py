"""`info_gan`: part of the code means something, though nobody said what (Chen et al., InfoGAN: interpretable
representation learning by information maximizing generative adversarial nets, 2016).

Beside random numbers the code holds one of several kinds and a few numbers. A second network has to find them
out from the drawn picture alone (the paper's Q, equation 5), so the generator makes them show.
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
    """classes: kinds to choose one of. numbers: uniform in -1 to 1, the last of the code before the kinds.
    weight: of what is found out, lambda."""

    numbers: int = 2
    weight: float = 1.0


@register("info_gan")
class InfoGan(WithClasses[InfoGanConfig]):
    Config = InfoGanConfig

    def __init__(self, config: InfoGanConfig) -> None:
        super().__init__(config)
        self.features = Features(config)
        told = config.classes + config.numbers
        self.found = nn.Sequential(
            nn.Linear(self.features.size, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, told)
        )

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        finder = [*self.features.parameters(), *self.found.parameters()]
        return {**players, "generator": [*players["generator"], *finder]}

    def clusters(self, pictures: Tensor) -> Tensor:
        """The kind of each, int64 (B,)."""
        return self._found(pictures)[1].argmax(dim=1)

    def codes_of(self, labels: Tensor, rng: Generator) -> Tensor:
        codes = super().codes_of(labels, rng)
        numbers = 2 * torch.rand((len(codes), self.config.numbers), generator=rng, device=codes.device) - 1
        codes[:, self._numbers] = numbers
        return codes

    def besides(self, batch: PictureBatch, codes: Tensor, drawn: Tensor, rng: Generator) -> Tensor:
        numbers, kinds = self._found(drawn)
        missed = cross_entropy(kinds, codes[:, -self.config.classes :])
        return self.config.weight * (missed + mse_loss(numbers, codes[:, self._numbers]))

    @property
    def _numbers(self) -> slice:
        """Where they stand in the code."""
        return slice(-self.config.classes - self.config.numbers, -self.config.classes)

    def _found(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers, and the logits of the kinds."""
        found: Tensor = self.found(self.features(pictures))
        return found[:, : self.config.numbers], found[:, self.config.numbers :]


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
