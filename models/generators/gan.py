"""`gan`: a generator and a discriminator (Goodfellow et al., Generative adversarial nets, 2014), with the
convolutional networks of Radford, Metz and Chintala 2016 (DCGAN) and any objective of `objectives`.

The discriminator learns to tell real pictures from generated (fake) ones, the generator to deceive it:

    min_G max_D  E [log D(x)] + E [log (1 - D(G(z)))]
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn

from wordspot.models import frechet
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.errors import BadInput
from wordspot.models.generators.interpolation import interpolate
from wordspot.models.generators.networks import Discriminator, EnergyDiscriminator, PictureGenerator
from wordspot.models.generators.objectives import OBJECTIVES, Critic, Scored, clip_weights
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

# Of a training: the lecture shows rounds 100, 1,000, 2,000, 5,000, 10,000, 20,000 and 50,000.
SNAPSHOTS = (0.002, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0)


@dataclass(frozen=True)
class GanConfig:
    """The shape of a GAN of pictures.

    Attributes:
        height, width, channels: of pictures.
        objective: one of OBJECTIVES.
        penalty: weight of the objective's gradient penalty.
        code: numbers of a latent code.
        base: channels of the largest maps, or units of a dense layer.
        levels: how often the maps are halved; 0 for dense layers without convolutions.
        deep: whether the discriminator has two convolutions at each size and halves the last once more.
        strip: pictures that are stored of each of SNAPSHOTS.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    objective: str = "non_saturating"
    penalty: float = 0.1
    code: int = 64
    base: int = 32
    levels: int = 2
    deep: bool = True
    strip: int = 0


GanConfigT = TypeVar("GanConfigT", bound=GanConfig)


class Adversarial(Model[GanConfigT]):
    """Base of the GANs of pictures.

    Attributes:
        snapshots: pictures of the same codes in the course of training, uint8
            (len(SNAPSHOTS), strip, C, H, W), 0 to 255.
    """

    modality = "picture"
    records = frozenset({"snapshots"})

    def __init__(self, config: GanConfigT) -> None:
        """Makes a model with random weights. Raises BadInput if the objective is unknown."""
        super().__init__(config)
        if config.objective not in OBJECTIVES:
            raise BadInput(f"objective must be one of {', '.join(OBJECTIVES)}, got {config.objective!r}")
        self.objective = OBJECTIVES[config.objective]
        self.generator: nn.Module = PictureGenerator(config, config.code)
        self.discriminator: Any = (EnergyDiscriminator if self.objective.energy else Discriminator)(config)
        if not self.objective.energy:
            self.unsaved = frozenset({"discriminator"})
        self.snapshots: Tensor
        shape = (len(SNAPSHOTS), config.strip, config.channels, config.height, config.width)
        self.register_buffer("snapshots", torch.zeros(shape, dtype=torch.uint8))

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "generator": list(self.generator.parameters()),
            "discriminator": list(self.discriminator.parameters()),
        }

    def schedule(self, step: int) -> Sequence[str]:
        moves = step % self.objective.critic_steps == self.objective.critic_steps - 1
        return ("discriminator", "generator") if moves else ("discriminator",)

    def codes(self, count: int, rng: Generator) -> Tensor:
        """Returns random codes, (count, code)."""
        device = next(self.parameters()).device
        return torch.randn((count, self.config.code), generator=rng, device=device)

    def decode(self, code: Tensor) -> Tensor:
        """Returns the pictures of codes, (B, code) to (B, C, H, W), 0 to 1."""
        generated: Tensor = self.generator(code)
        return generated

    def sample(self, count: int, rng: Generator) -> Tensor:
        """Returns pictures of random codes, (count, C, H, W), 0 to 1."""
        return self.decode(self.codes(count, rng))

    def generate(self, count: int, rng: Generator) -> Iterator[Tensor]:
        """Yields pictures (C, H, W) of an interpolation through random codes."""
        return interpolate(self.decode, self.codes, count, rng)

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the loss of the generator or of the discriminator."""
        if player == "generator":
            return self.generator_loss(batch, rng)
        if self.objective.clip:
            clip_weights(self.discriminator, self.objective.clip)
        return self.discriminator_loss(batch, rng)

    def codes_for(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns the codes of the fake pictures that are compared with a batch."""
        return self.codes(len(batch.pictures), rng)

    def critic(self, batch: PictureBatch) -> Critic:
        """Returns what scores the real pictures of a batch and the fake ones compared with them."""
        score: Critic = self.discriminator
        return score

    def generator_regulariser(
        self, batch: PictureBatch, codes: Tensor, generated: Tensor, rng: Generator
    ) -> Tensor:
        """Returns what the generator minimises in addition to the objective, a scalar."""
        return generated.new_zeros(())

    def fake_pictures(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns the fake pictures that the discriminator is to tell from the batch."""
        return self.decode(self.codes_for(batch, rng))

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the objective of the generator with its regulariser; figures: mean score of fakes."""
        codes = self.codes_for(batch, rng)
        generated = self.decode(codes)
        fake = Scored(generated, self.critic(batch)(generated))
        value = self.objective.generator(fake) + self.generator_regulariser(batch, codes, generated, rng)
        return Loss(value, {"fake_score": float(fake.scores.detach().mean())})

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        """Returns the objective of the discriminator with its penalty; figures: mean real score."""
        with torch.no_grad():
            generated = self.fake_pictures(batch, rng)
        critic = self.critic(batch)
        real = Scored(batch.pictures, critic(batch.pictures))
        fake = Scored(generated, critic(generated))
        penalty = self.config.penalty * self.objective.penalty(critic, real, fake, rng)
        value = self.objective.discriminator(real, fake) + penalty
        return Loss(value, {"real_score": float(real.scores.detach().mean())})

    @torch.no_grad()
    def on_step_end(self, step: int, steps: int, candidate: Model[Any]) -> None:
        snapshots = [place for place, share in enumerate(SNAPSHOTS) if step == max(1, round(share * steps))]
        if snapshots and self.config.strip:
            rng = torch.Generator(self.snapshots.device).manual_seed(0)
            generator: Any = copy.deepcopy(candidate).eval()
            self.snapshots[snapshots] = (
                (255 * generator.sample(self.config.strip, rng)).round().to(torch.uint8)
            )

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns the Fréchet distance in features of random weights; losses of players do not measure it."""
        generated = torch.cat([self.sample(len(part), rng) for part in torch.split(batch.pictures, 500)])
        features = (frechet.random_features(pictures) for pictures in (batch.pictures, generated))
        return torch.tensor(frechet.distance(*features), device=generated.device)


@register("gan")
class Gan(Adversarial[GanConfig]):
    """A generator and a discriminator, without conditions."""

    Config = GanConfig


PLAN = Plan(
    steps=9_000,
    learning_rate=1e-3,
    warm_up=1,
    validate_every=900,
    weight_decay=0.0,
    clip_norm=1_000.0,
    ema_decay=0.999,
    betas=(0.5, 0.99),
)
THRESHOLDS = {
    "frechet_of_vae": 1.0,
    "frechet_of_gaussian": 1 / 3,
    "coverage": 0.6,
    "least_class": 0.03,
}
FIRST = GanConfig(levels=0, base=512, penalty=1.0)  # networks without convolutions
F_GAN = "Nowozin, Cseke and Tomioka 2016, f-GAN"
SLOWER = replace(PLAN, learning_rate=5e-4)

for _name, _config, _plan, _source in (
    (
        "minimax",
        replace(FIRST, objective="minimax"),
        replace(SLOWER, steps=16_000),
        "Goodfellow et al. 2014, equation 1",
    ),
    ("first", FIRST, replace(SLOWER, steps=16_000), "Goodfellow et al. 2014, Generative adversarial nets"),
    ("convolutional", GanConfig(strip=10), PLAN, "Radford, Metz and Chintala 2016, DCGAN"),
    (
        "clipped",
        GanConfig(objective="wasserstein_clipped", deep=False),
        replace(PLAN, steps=24_000, learning_rate=2e-4),
        "Arjovsky et al. 2017, Wasserstein GAN",
    ),
    (
        "wasserstein",
        GanConfig(objective="wasserstein", penalty=10.0),
        replace(PLAN, steps=14_000),
        "Gulrajani et al. 2017, WGAN-GP",
    ),
    ("least-squares", GanConfig(objective="least_squares"), PLAN, "Mao et al. 2017, LSGAN"),
    ("kullback-leibler", GanConfig(objective="kullback_leibler"), SLOWER, F_GAN),
    ("pearson", GanConfig(objective="pearson"), PLAN, F_GAN),
    ("jensen-shannon", GanConfig(objective="jensen_shannon"), PLAN, F_GAN),
    ("loss-sensitive", GanConfig(objective="loss_sensitive"), PLAN, "Qi 2017, Loss-sensitive GAN"),
    (
        "energy-based",
        GanConfig(objective="energy_based"),
        replace(SLOWER, steps=12_000),
        "Zhao, Mathieu and LeCun 2017, EBGAN",
    ),
    ("boundary-seeking", GanConfig(objective="boundary_seeking"), PLAN, "Hjelm et al. 2018, BGAN"),
):
    recipe(
        PictureRecipe(
            name=f"digits-gan-{_name}",
            model="gan",
            config=_config,
            pictures="digits",
            batch_size=64,
            plan=_plan,
            description="Draws handwritten digits from random codes.",
            thresholds=THRESHOLDS,
            scale="layers of 32 to 128 channels, or of 512 units, on pictures of 28x28",
            source=_source,
        )
    )

recipe(
    PictureRecipe(
        name="faces",
        model="gan",
        config=GanConfig(
            height=48, width=48, channels=3, penalty=1.0, base=24, levels=3, deep=False, strip=14
        ),
        pictures="faces",
        batch_size=32,
        plan=replace(PLAN, steps=20_000, learning_rate=2e-4, validate_every=1_000),
        description="Draws faces; keeps what it drew on the way.",
        scale="20,000 rounds where the lecture has 50,000; pictures of 48x48",
        source="Radford, Metz and Chintala 2016, DCGAN",
    )
)
