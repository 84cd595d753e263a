"""`clip_captioner`: says what happens in a clip (Venugopalan et al. 2015, Sequence to sequence: video to
text).

    f_t = CNN(frame_t, frame_t - frame_t-1)
    m_t = GRU(f_t, m_t-1)                      video to code
    p(y_n | y_1 .. y_n-1, m)                   code to sentence: see `Writer`

What the paper has optical flow for is told by what changed since the frame before. The writer looks at the
frames for each word (Yao et al. 2015, Describing videos by exploiting temporal structure).
"""

from __future__ import annotations

from dataclasses import dataclass

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

FOLD = 16  # pixels along the side of a region


@dataclass(frozen=True)
class ClipCaptionerConfig(DescriberConfig):
    """widths: channels of the layers; each of the first three halves the frame. features: of a frame.
    memory: of the state after it."""

    frames: int = 8
    ground: int = 128
    words: int = 180
    letters: int = 1_500
    dimension: int = 48
    hidden: int = 96
    longest: int = 12
    widths: tuple[int, int, int, int] = (24, 48, 64, 96)
    features: int = 96
    memory: int = 96


@register("clip_captioner")
class ClipCaptioner(Describer[ClipCaptionerConfig]):
    Config = ClipCaptionerConfig
    modality = "video"

    def __init__(self, config: ClipCaptionerConfig) -> None:
        """Raises BadInput unless regions fill the frame."""
        first, second, third, last = config.widths
        super().__init__(config, config.memory)
        if config.height % FOLD or config.width % FOLD:
            raise BadInput(f"frames of {config.height} x {config.width}: multiples of {FOLD} are allowed")
        regions = (config.height // FOLD) * (config.width // FOLD)
        self.look = nn.Sequential(
            convolution(2 * config.channels, first, 2),
            convolution(first, second, 2),
            convolution(second, third, 2),
            convolution(third, last),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(last * regions, config.features),
            nn.ReLU(),
        )
        self.reader = nn.GRU(config.features, config.memory, batch_first=True)

    @property
    def shape(self) -> tuple[int, ...]:
        config = self.config
        return config.frames, config.channels, config.height, config.width

    def memory(self, examples: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B, T, M)."""
        frames = examples - self.config.ground / 255
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        seen = self.look(torch.cat([frames, frames - before], dim=2).flatten(0, 1))
        states: Tensor = self.reader(seen.unflatten(0, examples.shape[:2]))[0]
        return states


recipe(
    CaptionRecipe(
        name="caption-video",
        model="clip_captioner",
        config=ClipCaptionerConfig(),
        batch_size=32,
        plan=Plan(
            steps=4_500,
            learning_rate=2e-3,
            warm_up=200,
            weight_decay=1e-2,
            validate_every=500,
            average=0.999,
        ),
        sources=("wesnoth",),
        mirrored=True,
        description="Says what a unit of a game does in a short clip: a wolf is attacking.",
        supervision="the sentences of the training clips",
        scale="clips of 8 frames of 48 x 48 instead of 80 of 227 x 227; four convolutions trained here "
        "instead of a network trained on ImageNet and one on optical flow; 900 clips instead of 1,200 with "
        "40 sentences each",
        source="Venugopalan et al. 2015, Sequence to sequence: video to text",
        thresholds=THRESHOLDS,
    )
)
