"""`captioner`: describes pictures (Vinyals et al. 2015, Show and tell; Xu et al. 2015, Show, attend
and tell).

    m = CNN(picture)               a vector m_i for each of 6 x 6 regions
    p(y_t | y_1 .. y_t-1, m)       a recurrent network with attention to the regions: see `AttentionDecoder`

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

REGION_PIXELS = 8  # along the side of a region


@dataclass(frozen=True)
class CaptionerConfig(DescriberConfig):
    """The shape of a captioner.

    Attributes:
        widths: channels of the layers; the picture is halved after the first, the second and the fourth.
    """

    widths: tuple[int, int, int, int, int] = (24, 48, 80, 80, 96)


@register("captioner")
class Captioner(Describer[CaptionerConfig]):
    """A captioner of pictures; its memory are the regions of a feature map."""

    Config = CaptionerConfig
    modality = "picture"

    def __init__(self, config: CaptionerConfig) -> None:
        """Makes a captioner with random weights. Raises BadInput unless regions fill the picture."""
        first, second, third, fourth, last = config.widths
        super().__init__(config, last)
        if config.height % REGION_PIXELS or config.width % REGION_PIXELS:
            raise BadInput(
                f"height and width must be multiples of {REGION_PIXELS}, got {config.height} x {config.width}"
            )
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
        self.place = nn.Parameter(
            0.1 * torch.randn(config.height // REGION_PIXELS, config.width // REGION_PIXELS, last)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.config.channels, self.config.height, self.config.width

    def memory(self, examples: Tensor) -> Tensor:
        """Returns the feature maps of pictures, (B, C, H, W) to (B, H / 8, W / 8, M)."""
        # Most of a picture is ground, which should give no signal.
        features: Tensor = self.look(examples - self.config.ground / 255)
        return features.permute(0, 2, 3, 1) + self.place


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
    ema_decay=0.999,
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
