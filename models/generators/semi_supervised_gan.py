"""`semi_supervised_gan`: a classifier that learns from few labels (Salimans et al., Improved techniques for
training GANs, 2016).

The discriminator is a classifier with one more class, "generated": with logits l of the real classes and 0 of
that one, the score is log sum exp l. A few pictures have labels; from all others and from generated ones it
learns what real pictures are. The generator matches the mean features of real pictures (feature matching, the
paper's section 3.1).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import weight_norm

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.objectives import Critic, Scored
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class SemiSupervisedGanConfig(GanConfig):
    """The shape of a semi-supervised GAN.

    Attributes:
        classes: of real pictures.
        labelled: pictures a class that have labels.
        hidden: units of the classifier's layers.
        noise: standard deviations of the noise that training adds to pictures and to each layer's output.
        adversarial: whether pictures without label are learned from.
    """

    objective: str = "unregularised"
    classes: int = 10
    labelled: int = 10
    hidden: tuple[int, ...] = (1_000, 500, 250, 250, 250)
    noise: tuple[float, float] = (0.3, 0.5)
    adversarial: bool = True


@register("semi_supervised_gan")
class SemiSupervisedGan(Adversarial[SemiSupervisedGanConfig]):
    """A generator, and a classifier as discriminator."""

    Config = SemiSupervisedGanConfig

    def __init__(self, config: SemiSupervisedGanConfig) -> None:
        super().__init__(config)
        self.discriminator = NoisyClassifier(config)
        self.unsaved = frozenset()
        if not config.adversarial:
            self.capabilities = frozenset({"classify"})
            self.generator = nn.Identity()
        count = config.classes * config.labelled
        self.labelled_pictures: Tensor
        shape = (count, config.channels, config.height, config.width)
        self.register_buffer("labelled_pictures", torch.zeros(shape), persistent=False)
        self.labels: Tensor
        labels = torch.arange(config.classes).repeat_interleave(config.labelled)
        self.register_buffer("labels", labels, persistent=False)

    def prepare(self, data: TrainingData) -> None:
        """Stores the first pictures of each class as the labelled ones, and initialises the layers."""
        missing = {label: self.config.labelled for label in range(self.config.classes)}
        step = 0
        while any(missing.values()):
            batch = data.batch(step)
            for picture, label in zip(batch.pictures, batch.labels.tolist(), strict=True):
                if missing.get(label):
                    missing[label] -= 1
                    self.labelled_pictures[label * self.config.labelled + missing[label]] = picture
            step += 1
        self.discriminator.initialise(self.labelled_pictures)

    def classify(self, pictures: Tensor) -> Tensor:
        """Returns probabilities (B, classes + 1); the last is that of no real picture of a class."""
        logits = self.discriminator(pictures)
        probabilities: Tensor = torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1).softmax(dim=1)
        return probabilities

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {name: parameters for name, parameters in super().players().items() if parameters}

    def schedule(self, step: int) -> Sequence[str]:
        return super().schedule(step) if self.config.adversarial else ("discriminator",)

    def critic(self, batch: PictureBatch) -> Critic:
        return lambda pictures: self.discriminator(pictures).logsumexp(dim=1)

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        labelled_loss = cross_entropy(self.discriminator(self.labelled_pictures, rng), self.labels)
        figures = {"labelled_loss": float(labelled_loss.detach())}
        if not self.config.adversarial:
            return Loss(labelled_loss, figures)
        with torch.no_grad():
            generated = self.fake_pictures(batch, rng)
        real, fake = (
            Scored(pictures, self.discriminator(pictures, rng).logsumexp(dim=1))
            for pictures in (batch.pictures, generated)
        )
        return Loss(labelled_loss + self.objective.discriminator(real, fake), figures)

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        generated = self.discriminator.features(self.decode(self.codes_for(batch, rng)), rng)
        with torch.no_grad():
            target = self.discriminator.features(batch.pictures, rng)
        return Loss((generated.mean(dim=0) - target.mean(dim=0)).square().mean(), {})

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns the classification error, 0 to 1."""
        predicted: Tensor = self.discriminator(batch.pictures).argmax(dim=1)
        return (predicted != batch.labels).float().mean()


class NoisyClassifier(nn.Module):
    """Computes logits (B, classes) of pictures (B, C, H, W), with weight normalisation (Salimans and Kingma
    2016). Noise is added where an rng is given."""

    def __init__(self, config: SemiSupervisedGanConfig) -> None:
        super().__init__()
        sizes = (config.channels * config.height * config.width, *config.hidden)
        self.layers = nn.ModuleList(weight_norm(nn.Linear(*pair)) for pair in itertools.pairwise(sizes))
        self.output = weight_norm(nn.Linear(sizes[-1], config.classes))
        self.noise = config.noise

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Scales each unit to mean 0 and standard deviation 1, of logits 0.1, over pictures (data-dependent
        initialisation of weight normalisation)."""
        values = pictures.flatten(1)
        for layer in (*self.layers, self.output):
            spread, mean = torch.std_mean(layer(values), dim=0)
            deviation = 0.1 if layer is self.output else 1.0
            layer.parametrizations.weight.original0.mul_(deviation / spread[:, None])
            layer.bias.sub_(mean).mul_(deviation / spread)
            values = layer(values).relu()

    def forward(self, pictures: Tensor, rng: Generator | None = None) -> Tensor:
        """Returns logits (B, classes) of pictures (B, C, H, W).

        rng: Of the noise in training; None for none.
        """
        logits: Tensor = self.output(_with_noise(self.features(pictures, rng), self.noise[1], rng))
        return logits

    def features(self, pictures: Tensor, rng: Generator | None = None) -> Tensor:
        """Returns the output of the last layer before the logits, (B, units)."""
        values = pictures.flatten(1)
        for number, layer in enumerate(self.layers):
            values = layer(_with_noise(values, self.noise[number > 0], rng)).relu()
        return values


def _with_noise(values: Tensor, deviation: float, rng: Generator | None) -> Tensor:
    if rng is None:
        return values
    return values + deviation * torch.randn(values.shape, generator=rng, device=values.device)


BASE = PictureRecipe(
    name="digits-gan-semi-supervised",
    model="semi_supervised_gan",
    config=SemiSupervisedGanConfig(),
    pictures="digits",
    batch_size=64,
    plan=PLAN,
    description="Reads handwritten digits after having been told ten of each.",
    supervision="the labels of 100 training pictures; validation chose the weights by labels",
    thresholds={"accuracy": 0.95, "error_of_labels_only": 0.5},
    source="Salimans et al. 2016, Improved techniques for training GANs",
)
recipe(BASE)
recipe(
    replace(
        BASE,
        name="digits-labels-only",
        config=replace(BASE.config, hidden=(200,), adversarial=False),
        plan=replace(BASE.plan, steps=2_000, validate_every=100),
        description="Reads handwritten digits from the ten of each alone, without any others.",
        thresholds={},
    )
)
