"""`cycle_gan`: from one kind of picture to another and back, without a single pair to learn from (Zhu et al.,
Unpaired image-to-image translation using cycle-consistent adversarial networks, 2017; Kim et al., Learning to
discover cross-domain relations with generative adversarial networks, 2017).

Two generators, there and back, each with a discriminator of what it draws. What goes there and back has to be
what it was, so a picture becomes its own counterpart and not just any. The one kind are the pictures of the
source, the other outlines; of a batch one half is shown as it is, of the other half outlines.
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
from wordspot.models.generators.networks import Discriminator, doubling, halving
from wordspot.models.generators.objectives import OBJECTIVES, Judged
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

LOST: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"absolute": l1_loss, "squared": mse_loss}
FORWARD, BACKWARD = "outline", "picture"


@dataclass(frozen=True)
class CycleGanConfig(GanConfig):
    """cycle: weight of what is lost there and back, lost: how that is measured, one of LOST."""

    objective: str = "least_squares"
    penalty: float = 1.0
    base: int = 16
    cycle: float = 10.0
    lost: str = "absolute"


@register("cycle_gan")
class CycleGan(Model[CycleGanConfig]):
    Config = CycleGanConfig
    modality = "picture"
    options = frozenset({"condition"})
    unsaved = frozenset({"of_there", "of_back"})

    def __init__(self, config: CycleGanConfig) -> None:
        """Raises BadInput."""
        super().__init__(config)
        for value, allowed in ((config.objective, OBJECTIVES), (config.lost, LOST)):
            if value not in allowed:
                raise BadInput(f"{value!r}; {', '.join(allowed)} are allowed")
        self.objective = OBJECTIVES[config.objective]
        self.there, self.back = Redrawer(config), Redrawer(config)
        self.of_there, self.of_back = Discriminator(config), Discriminator(config)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "generator": [*self.there.parameters(), *self.back.parameters()],
            "discriminator": [*self.of_there.parameters(), *self.of_back.parameters()],
        }

    def schedule(self, step: int) -> Sequence[str]:
        return ("discriminator", "generator")

    def translate(self, pictures: Tensor, *, condition: str = FORWARD) -> Tensor:
        """condition: FORWARD, to outlines, or BACKWARD. Raises BadInput."""
        if condition not in (FORWARD, BACKWARD):
            raise BadInput(f"condition {condition!r}; {FORWARD} and {BACKWARD} are allowed")
        drawn: Tensor = (self.there if condition == FORWARD else self.back)(pictures)
        return drawn

    def loss(self, player: str, batch: PictureBatch, rng: Generator) -> Loss:
        pictures, others = batch.pictures.chunk(2)
        lines = outlines(others)
        if player == "discriminator":
            return self._discriminators(pictures, lines, rng)
        drawn, read = self.there(pictures), self.back(lines)
        fooled = self.objective.generator(Judged(drawn, self.of_there(drawn)))
        fooled = fooled + self.objective.generator(Judged(read, self.of_back(read)))
        measure = LOST[self.config.lost]
        lost = measure(self.back(drawn), pictures) + measure(self.there(read), lines)
        return Loss(fooled + self.config.cycle * lost, {"lost": float(lost.detach())})

    def _discriminators(self, pictures: Tensor, lines: Tensor, rng: Generator) -> Loss:
        with torch.no_grad():
            drawn, read = self.there(pictures), self.back(lines)
        value = pictures.new_zeros(())
        for critic, some, made in ((self.of_there, lines, drawn), (self.of_back, pictures, read)):
            count = min(len(some), len(made))
            real, fake = (
                Judged(some[:count], critic(some[:count])),
                Judged(made[:count], critic(made[:count])),
            )
            value = value + self.objective.discriminator(real, fake)
            value = value + self.config.penalty * self.objective.penalty(critic, real, fake, rng)
        return Loss(value, {})


class Redrawer(nn.Module):
    """Pictures to pictures of the same size: halved, looked at, doubled again."""

    def __init__(self, config: CycleGanConfig) -> None:
        super().__init__()
        widths = [config.base * 2**level for level in range(config.levels)]
        self.layers = nn.Sequential(
            halving(config.channels, widths),
            *(Residual(widths[-1]) for _ in range(3)),
            doubling(widths[-1], widths[::-1]),
            nn.Conv2d(widths[0], config.channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        drawn: Tensor = self.layers(2 * pictures - 1)
        return drawn


class Residual(nn.Module):
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
        seen: Tensor = self.layers(maps)
        return maps + seen


def outlines(pictures: Tensor) -> Tensor:
    """Where a picture (B, C, H, W) changes within a pixel around: its morphological gradient."""
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
