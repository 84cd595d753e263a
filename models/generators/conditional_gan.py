"""`conditional_gan`: pictures of a given class (Mirza and Osindero, Conditional generative adversarial nets,
2014).

The generator's input is the code with the class; the discriminator scores picture and class together, by a
product of the picture's features with a vector of the class (Miyato and Koyama 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.errors import BadInput
from wordspot.models.generators.gan import PLAN, THRESHOLDS, Adversarial, GanConfig
from wordspot.models.generators.interpolation import interpolate
from wordspot.models.generators.objectives import Critic
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class ClassesConfig(GanConfig):
    """The shape of a GAN with classes.

    Attributes:
        code: numbers of a code, the one-hot class among them.
        classes: numbered from 0.
    """

    code: int = 74
    classes: int = 10


ClassesConfigT = TypeVar("ClassesConfigT", bound=ClassesConfig)


class WithClasses(Adversarial[ClassesConfigT]):
    """A GAN whose codes are random numbers followed by a one-hot class."""

    options = frozenset({"condition"})

    def sample(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """Returns pictures (count, C, H, W), 0 to 1.

        Args:
            count: pictures.
            rng: of the codes.
            condition: the number of a class, or empty for a random one each.

        Raises:
            BadInput: there is no such class.
        """
        return self.decode(self.codes(count, rng, condition=condition))

    def generate(self, count: int, rng: Generator, *, condition: str = "") -> Iterator[Tensor]:
        """Yields pictures (C, H, W) of an interpolation through codes. Raises BadInput as `sample`."""
        return interpolate(self.decode, partial(self.codes, condition=condition), count, rng)

    def codes(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """Returns random codes of the condition's class, (count, code). Raises BadInput as `sample`."""
        classes = self.config.classes
        device = next(self.parameters()).device
        if not condition:
            labels = torch.randint(classes, (count,), generator=rng, device=device)
        elif condition.isdecimal() and int(condition) < classes:
            labels = torch.full((count,), int(condition), device=device)
        else:
            raise BadInput(f"condition must be empty or between 0 and {classes - 1}, got {condition!r}")
        return self.codes_of(labels, rng)

    def codes_of(self, labels: Tensor, rng: Generator) -> Tensor:
        """Returns random codes (B, code) of classes, int64 (B,)."""
        noise = super().codes(len(labels), rng)
        noise[:, -self.config.classes :] = one_hot(labels, self.config.classes)
        return noise


@register("conditional_gan")
class ConditionalGan(WithClasses[ClassesConfig]):
    """A GAN with a projection discriminator of classes."""

    Config = ClassesConfig

    def __init__(self, config: ClassesConfig) -> None:
        super().__init__(config)
        self.unsaved |= {"label"}
        self.label = nn.Embedding(config.classes, self.discriminator.features.size)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        return {**players, "discriminator": [*players["discriminator"], *self.label.parameters()]}

    def codes_for(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns random codes of the batch's classes."""
        return self.codes_of(batch.labels, rng)

    def critic(self, batch: PictureBatch) -> Critic:
        return partial(self._score, labels=batch.labels)

    def _score(self, pictures: Tensor, labels: Tensor) -> Tensor:
        features = self.discriminator.features(pictures)
        scores: Tensor = self.discriminator.score(features)[:, 0] + (self.label(labels) * features).sum(dim=1)
        return scores


recipe(
    PictureRecipe(
        name="digits-gan-conditional",
        model="conditional_gan",
        config=ClassesConfig(),
        pictures="digits",
        batch_size=64,
        plan=PLAN,
        description="Draws the handwritten digit that is asked for.",
        supervision="the labels of the training pictures",
        thresholds={**THRESHOLDS, "asked_for": 0.95},
        source="Mirza and Osindero 2014, Conditional generative adversarial nets",
    )
)
