"""`semi_supervised_gan`: reads digits after having been told a few (Salimans et al., Improved techniques for
training GANs, 2016).

The discriminator is a classifier whose further class is "drawn": with logits l of the real classes and 0 of
the further one, the score is log sum exp l. A few pictures have labels; from all others and from what the
generator draws it learns what is a picture at all. The generator matches the means of the features of real
pictures (the paper's section 3.1).
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
from wordspot.models.generators.objectives import Critic, Judged
from wordspot.models.model import Loss, TrainingData
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class SemiSupervisedGanConfig(GanConfig):
    """labelled: pictures a class whose label is told. hidden: units of the classifier's layers. noise:
    standard deviation of what is added in training to pictures, and to what each layer gives. adversarial:
    whether anything is learned from pictures without a label."""

    objective: str = "unregularised"
    classes: int = 10
    labelled: int = 10
    hidden: tuple[int, ...] = (1_000, 500, 250, 250, 250)
    noise: tuple[float, float] = (0.3, 0.5)
    adversarial: bool = True


@register("semi_supervised_gan")
class SemiSupervisedGan(Adversarial[SemiSupervisedGanConfig]):
    Config = SemiSupervisedGanConfig

    def __init__(self, config: SemiSupervisedGanConfig) -> None:
        super().__init__(config)
        self.discriminator = Layers(config)
        self.unsaved = frozenset()
        if not config.adversarial:
            self.capabilities = frozenset({"classify"})
            self.generator = nn.Identity()
        count = config.classes * config.labelled
        self.told: Tensor
        shape = (count, config.channels, config.height, config.width)
        self.register_buffer("told", torch.zeros(shape), persistent=False)
        self.labels: Tensor
        labels = torch.arange(config.classes).repeat_interleave(config.labelled)
        self.register_buffer("labels", labels, persistent=False)

    def prepare(self, data: TrainingData) -> None:
        """The first pictures of each class are those whose label is told; the layers start from them."""
        missing = {label: self.config.labelled for label in range(self.config.classes)}
        step = 0
        while any(missing.values()):
            batch = data.batch(step)
            for picture, label in zip(batch.pictures, batch.labels.tolist(), strict=True):
                if missing.get(label):
                    missing[label] -= 1
                    self.told[label * self.config.labelled + missing[label]] = picture
            step += 1
        self.discriminator.start(self.told)

    def classify(self, pictures: Tensor) -> Tensor:
        """Probabilities (B, classes + 1); the last is that it is drawn, or none of these."""
        logits = self.discriminator(pictures)
        chances: Tensor = torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1).softmax(dim=1)
        return chances

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {name: parameters for name, parameters in super().players().items() if parameters}

    def schedule(self, step: int) -> Sequence[str]:
        return super().schedule(step) if self.config.adversarial else ("discriminator",)

    def critic(self, batch: PictureBatch) -> Critic:
        return lambda pictures: self.discriminator(pictures).logsumexp(dim=1)

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        missed = cross_entropy(self.discriminator(self.told, rng), self.labels)
        figures = {"told": float(missed.detach())}
        if not self.config.adversarial:
            return Loss(missed, figures)
        with torch.no_grad():
            drawn = self.fakes(batch, rng)
        real, fake = (
            Judged(some, self.discriminator(some, rng).logsumexp(dim=1)) for some in (batch.pictures, drawn)
        )
        return Loss(missed + self.objective.discriminator(real, fake), figures)

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        drawn = self.discriminator.features(self.decode(self.codes_for(batch, rng)), rng)
        with torch.no_grad():
            wanted = self.discriminator.features(batch.pictures, rng)
        return Loss((drawn.mean(dim=0) - wanted.mean(dim=0)).square().mean(), {})

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Share of validation pictures read wrongly."""
        chosen: Tensor = self.discriminator(batch.pictures).argmax(dim=1)
        return (chosen != batch.labels).float().mean()


class Layers(nn.Module):
    """Pictures (B, C, H, W) to logits (B, classes), through layers whose weights have a length of their own
    (Salimans and Kingma 2016). Noise is added where there is a stream of random numbers."""

    def __init__(self, config: SemiSupervisedGanConfig) -> None:
        super().__init__()
        sizes = (config.channels * config.height * config.width, *config.hidden)
        self.layers = nn.ModuleList(weight_norm(nn.Linear(*pair)) for pair in itertools.pairwise(sizes))
        self.output = weight_norm(nn.Linear(sizes[-1], config.classes))
        self.noise = config.noise

    @torch.no_grad()
    def start(self, pictures: Tensor) -> None:
        """Makes each unit's mean over some pictures 0 and its standard deviation 1, of logits 0.1."""
        seen = pictures.flatten(1)
        for layer in (*self.layers, self.output):
            spread, mean = torch.std_mean(layer(seen), dim=0)
            wanted = 0.1 if layer is self.output else 1.0
            layer.parametrizations.weight.original0.mul_(wanted / spread[:, None])
            layer.bias.sub_(mean).mul_(wanted / spread)
            seen = layer(seen).relu()

    def forward(self, pictures: Tensor, rng: Generator | None = None) -> Tensor:
        logits: Tensor = self.output(_noisy(self.features(pictures, rng), self.noise[1], rng))
        return logits

    def features(self, pictures: Tensor, rng: Generator | None = None) -> Tensor:
        """What the last layer before the logits gives, (B, units)."""
        seen = pictures.flatten(1)
        for number, layer in enumerate(self.layers):
            seen = layer(_noisy(seen, self.noise[number > 0], rng)).relu()
        return seen


def _noisy(some: Tensor, spread: float, rng: Generator | None) -> Tensor:
    if rng is None:
        return some
    return some + spread * torch.randn(some.shape, generator=rng, device=some.device)


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
