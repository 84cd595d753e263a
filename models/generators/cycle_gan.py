"""`cycle_gan`: unpaired translation from one domain of pictures to another and back (Zhu et al.,
Unpaired image-to-image translation using cycle-consistent adversarial networks, 2017; Kim et al., Learning to
discover cross-domain relations with generative adversarial networks, 2017).

Two generators, one for each direction, each with a discriminator of its outputs. A picture translated there
and back has to be as before (cycle consistency), so it becomes its own counterpart and not just any. One
domain are the pictures of the source, the other their outlines; half of a batch serves as pictures, the other
half as outlines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import l1_loss, max_pool2d, mse_loss

from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.errors import BadInput
from wordspot.models.generators.gan import PLAN, GanConfig
from wordspot.models.generators.networks import Discriminator, downsampling, upsampling
from wordspot.models.generators.objectives import OBJECTIVES, Scored
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

CYCLE_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"absolute": l1_loss, "squared": mse_loss}
FORWARD, BACKWARD = "outline", "picture"


@dataclass(frozen=True)
class CycleGanConfig(GanConfig):
    """The shape of a cycle GAN.

    Attributes:
        cycle: weight of the cycle-consistency loss.
        lost: its distance, one of CYCLE_LOSSES.
    """

    objective: str = "least_squares"
    penalty: float = 1.0
    base: int = 16
    cycle: float = 10.0
    lost: str = "absolute"


@register("cycle_gan")
class CycleGan(Model[CycleGanConfig]):
    """Two generators, which stored artifacts call `there` (to outlines) and `back`."""

    Config = CycleGanConfig
    modality = "picture"
    options = frozenset({"condition"})
    unsaved = frozenset({"outline_discriminator", "picture_discriminator"})

    def __init__(self, config: CycleGanConfig) -> None:
        """Makes a model with random weights. Raises BadInput if objective or distance is unknown."""
        super().__init__(config)
        for name, value, allowed in (
            ("objective", config.objective, OBJECTIVES),
            ("lost", config.lost, CYCLE_LOSSES),
        ):
            if value not in allowed:
                raise BadInput(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        self.objective = OBJECTIVES[config.objective]
        self.there, self.back = TranslationNetwork(config), TranslationNetwork(config)
        self.outline_discriminator, self.picture_discriminator = Discriminator(config), Discriminator(config)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "generator": [*self.there.parameters(), *self.back.parameters()],
            "discriminator": [
                *self.outline_discriminator.parameters(),
                *self.picture_discriminator.parameters(),
            ],
        }

    def schedule(self, step: int) -> Sequence[str]:
        return ("discriminator", "generator")

    def translate(self, pictures: Tensor, *, condition: str = FORWARD) -> Tensor:
        """Returns translated pictures, (B, C, H, W) to the same, 0 to 1.

        condition: FORWARD, to outlines, or BACKWARD. Raises BadInput for another.
        """
        if condition not in (FORWARD, BACKWARD):
            raise BadInput(f"condition must be {FORWARD} or {BACKWARD}, got {condition!r}")
        generated: Tensor = (self.there if condition == FORWARD else self.back)(pictures)
        return generated

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        pictures, outlined_pictures = batch.pictures.chunk(2)
        lines = outlines(outlined_pictures)
        if player == "discriminator":
            return self._discriminators(pictures, lines, rng)
        outlined, filled = self.there(pictures), self.back(lines)
        adversarial = self.objective.generator(Scored(outlined, self.outline_discriminator(outlined)))
        adversarial = adversarial + self.objective.generator(
            Scored(filled, self.picture_discriminator(filled))
        )
        distance = CYCLE_LOSSES[self.config.lost]
        cycle_loss = distance(self.back(outlined), pictures) + distance(self.there(filled), lines)
        return Loss(adversarial + self.config.cycle * cycle_loss, {"cycle_loss": float(cycle_loss.detach())})

    def _discriminators(self, pictures: Tensor, lines: Tensor, rng: Generator) -> Loss:
        with torch.no_grad():
            outlined, filled = self.there(pictures), self.back(lines)
        value = pictures.new_zeros(())
        for critic, targets, outputs in (
            (self.outline_discriminator, lines, outlined),
            (self.picture_discriminator, pictures, filled),
        ):
            count = min(len(targets), len(outputs))
            real, fake = (
                Scored(targets[:count], critic(targets[:count])),
                Scored(outputs[:count], critic(outputs[:count])),
            )
            value = value + self.objective.discriminator(real, fake)
            value = value + self.config.penalty * self.objective.penalty(critic, real, fake, rng)
        return Loss(value, {})


class TranslationNetwork(nn.Module):
    """Translates pictures to pictures of the same size: downsampling, residual blocks, upsampling."""

    def __init__(self, config: CycleGanConfig) -> None:
        super().__init__()
        widths = [config.base * 2**level for level in range(config.levels)]
        self.layers = nn.Sequential(
            downsampling(config.channels, widths),
            *(Residual(widths[-1]) for _ in range(3)),
            upsampling(widths[-1], widths[::-1]),
            nn.Conv2d(widths[0], config.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns translated pictures (B, C, H, W) of pictures (B, C, H, W), all 0 to 1."""
        generated: Tensor = self.layers(2 * pictures - 1)
        return generated


class Residual(nn.Module):
    """Two convolutions with a residual connection, (B, width, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps (B, C, H, W) plus what the layers make of them."""
        residual: Tensor = self.layers(maps)
        return maps + residual


def outlines(pictures: Tensor) -> Tensor:
    """Returns the morphological gradient of pictures (B, C, H, W) within a pixel."""
    return max_pool2d(pictures, 3, stride=1, padding=1) + max_pool2d(-pictures, 3, stride=1, padding=1)


for _name, _config, _source in (
    ("cycle", CycleGanConfig(), "Zhu et al. 2017, Unpaired image-to-image translation"),
    (
        "disco",
        CycleGanConfig(objective="non_saturating", lost="squared", cycle=30.0),
        "Kim et al. 2017, Learning to discover cross-domain relations",
    ),
    ("uncycled", CycleGanConfig(cycle=0.0), "Zhu et al. 2017, without its cycle"),
):
    recipe(
        PictureRecipe(
            name=f"digits-gan-{_name}",
            model="cycle_gan",
            config=_config,
            pictures="digits",
            batch_size=64,
            plan=replace(PLAN, steps=4_000, learning_rate=2e-4, validate_every=400),
            description="Digits to outlines and back, learned without pairs.",
            thresholds={"true_pairs": 0.9} if _config.cycle else {},
            source=_source,
        )
    )
