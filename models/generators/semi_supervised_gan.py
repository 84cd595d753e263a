"""`semi_supervised_gan`: reads digits after having been told a few (Salimans et al., Improved techniques for
training GANs, 2016).

The discriminator is a classifier whose further class is "drawn": with logits l of the real classes and 0 of
the further one, the score is log sum exp l. A few pictures have labels; from all others and from what the
generator draws it learns what is a picture at all. The generator matches the means of the features of real
pictures (the paper's section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.objectives import Critic
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class SemiSupervisedGanConfig(GanConfig):
    """labelled: pictures a class whose label is told."""

    classes: int = 10
    labelled: int = 10


@register("semi_supervised_gan")
class SemiSupervisedGan(Adversarial[SemiSupervisedGanConfig]):
    Config = SemiSupervisedGanConfig

    def __init__(self, config: SemiSupervisedGanConfig) -> None:
        super().__init__(config)
        self.output = nn.Linear(self.discriminator.features.size, config.classes)
        self.dropout = nn.Dropout(0.3)
        count = config.classes * config.labelled
        self.told: Tensor
        shape = (count, config.channels, config.height, config.width)
        self.register_buffer("told", torch.zeros(shape), persistent=False)
        self.labels: Tensor
        labels = torch.arange(config.classes).repeat_interleave(config.labelled)
        self.register_buffer("labels", labels, persistent=False)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        features = [*self.discriminator.features.parameters(), *self.output.parameters()]
        return {**super().players(), "discriminator": features}

    def prepare(self, data: TrainingData) -> None:
        """The first pictures of each class are those whose label is told."""
        missing = {label: self.config.labelled for label in range(self.config.classes)}
        step = 0
        while any(missing.values()):
            batch = data.batch(step)
            for picture, label in zip(batch.pictures, batch.labels.tolist(), strict=True):
                if missing.get(label):
                    missing[label] -= 1
                    self.told[label * self.config.labelled + missing[label]] = picture
            step += 1

    def classify(self, pictures: Tensor) -> Tensor:
        """Probabilities (B, classes + 1); the last is that it is drawn, or none of these."""
        logits = self._logits(pictures)
        chances: Tensor = torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1).softmax(dim=1)
        return chances

    def critic(self, batch: PictureBatch) -> Critic:
        return self._score

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        other = super().discriminator_loss(batch, rng)
        missed = cross_entropy(self._logits(self.told), self.labels)
        return Loss(other.value + missed, {**other.figures, "told": float(missed.detach())})

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        drawn = self.discriminator.features(self.decode(self.codes_for(batch, rng)))
        with torch.no_grad():
            wanted = self.discriminator.features(batch.pictures)
        return Loss((drawn.mean(dim=0) - wanted.mean(dim=0)).abs().mean(), {})

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Share of validation pictures read wrongly."""
        return (self._logits(batch.pictures).argmax(dim=1) != batch.labels).float().mean()

    def _logits(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.output(self.dropout(self.discriminator.features(pictures)))
        return logits

    def _score(self, pictures: Tensor) -> Tensor:
        return self._logits(pictures).logsumexp(dim=1)


recipe(
    PictureRecipe(
        name="digits-gan-semi-supervised",
        model="semi_supervised_gan",
        config=SemiSupervisedGanConfig(),
        pictures="digits",
        batch_size=64,
        plan=PLAN,
        description="Reads handwritten digits after having been told ten of each.",
        supervision="the labels of 100 training pictures; validation chose the weights by labels",
        thresholds={"accuracy": 0.95},
        source="Salimans et al. 2016, Improved techniques for training GANs",
    )
)
