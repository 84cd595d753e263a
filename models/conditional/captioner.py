"""`captioner`: says what a picture shows (Vinyals et al. 2015, Show and tell; Xu et al. 2015, Show, attend
and tell).

    m = CNN(picture)               a vector m_i for each of 6 x 6 regions
    p(y_t | y_1 .. y_t-1, m)       a recurrent network that looks at the regions for each word: see `Writer`

The same class learns English words and Chinese characters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wordspot.models.conditional.describer import (
    THRESHOLDS,
    CaptionRecipe,
    Describer,
    DescriberConfig,
    convolution,
)
from wordspot.models.errors import BadInput
from wordspot.models.recipe import recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

FOLD = 8  # pixels along the side of a region


@dataclass(frozen=True)
class CaptionerConfig(DescriberConfig):
    """widths: channels of the layers; the picture is halved after the first, the second and the fourth."""

    widths: tuple[int, int, int, int, int] = (24, 48, 80, 80, 96)


@register("captioner")
class Captioner(Describer[CaptionerConfig]):
    Config = CaptionerConfig
    modality = "picture"

    def __init__(self, config: CaptionerConfig) -> None:
        """Raises BadInput unless regions fill the picture."""
        first, second, third, fourth, last = config.widths
        super().__init__(config, last)
        if config.height % FOLD or config.width % FOLD:
            raise BadInput(f"pictures of {config.height} x {config.width}: multiples of {FOLD} are allowed")
        self.look = nn.Sequential(
            convolution(config.channels, first),
            nn.MaxPool2d(2),
            convolution(first, second),
            nn.MaxPool2d(2),
            convolution(second, third),
            convolution(third, fourth),
            nn.MaxPool2d(2),
            convolution(fourth, last),
        )
        self.place = nn.Parameter(0.1 * torch.randn(config.height // FOLD, config.width // FOLD, last))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.config.channels, self.config.height, self.config.width

    def memory(self, examples: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H / FOLD, W / FOLD, M)."""
        # Most of a picture is ground, which is to say nothing.
        seen: Tensor = self.look(examples - self.config.ground / 255)
        return seen.permute(0, 2, 3, 1) + self.place


SOURCE = "Xu et al. 2015, Show, attend and tell"
SCALE = (
    "pictures of 48 x 48 instead of 224 x 224, 36 regions instead of 196; five convolutions trained here "
    "instead of 16 trained on ImageNet; {} pictures instead of 82,783, one caption of a few words each"
)
PLAN = Plan(
    steps=10_000,
    learning_rate=2e-3,
    warm_up=200,
    weight_decay=1e-2,
    validate_every=500,
    average=0.999,
)

recipe(
    CaptionRecipe(
        name="caption-en",
        model="captioner",
        config=CaptionerConfig(),
        batch_size=32,
        plan=PLAN,
        sources=("openclipart", "openmoji", "stamps"),
        description="Says in English what a small picture shows: emoji, clip art, stamps.",
        supervision="the captions of the training pictures",
        scale=SCALE.format("3,900"),
        source=SOURCE,
        thresholds=THRESHOLDS,
    )
)
recipe(
    CaptionRecipe(
        name="caption-zh",
        model="captioner",
        config=CaptionerConfig(words=450, letters=2_500, language="zh"),
        batch_size=32,
        plan=replace(PLAN, steps=7_000, patience=3),
        sources=("openmoji", "stamps"),
        description="Says in traditional Chinese what a small picture shows: emoji, stamps.",
        supervision="the captions of the training pictures",
        scale=SCALE.format("1,900"),
        source=SOURCE,
        thresholds=THRESHOLDS,
    )
)
