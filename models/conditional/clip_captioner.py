"""`clip_captioner`: describes clips (Venugopalan et al. 2015, Sequence to sequence: video to
text).

    f_t = CNN(frame_t, frame_t - frame_t-1)
    m_t = GRU(f_t, m_t-1)                      video to code
    p(y_n | y_1 .. y_n-1, m)                   code to sentence: see `AttentionDecoder`

In place of the paper's optical flow the network sees the difference from the frame before. The decoder has
attention to the frames (Yao et al. 2015, Describing videos by exploiting temporal structure).
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

REGION_PIXELS = 16  # along the side of a region


@dataclass(frozen=True)
class ClipCaptionerConfig(DescriberConfig):
    """The shape of a clip captioner.

    Attributes:
        frames: of a clip.
        widths: channels of the layers; each of the first three halves the frame.
        features: numbers a frame.
        memory: size of the recurrent state after a frame.
    """

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
    """A captioner of clips; its memory are the recurrent states after each frame."""

    Config = ClipCaptionerConfig
    modality = "video"

    def __init__(self, config: ClipCaptionerConfig) -> None:
        """Makes a captioner with random weights. Raises BadInput unless regions fill the frame."""
        first, second, third, last = config.widths
        super().__init__(config, config.memory)
        if config.height % REGION_PIXELS or config.width % REGION_PIXELS:
            raise BadInput(
                f"height and width must be multiples of {REGION_PIXELS}, got {config.height} x {config.width}"
            )
        regions = (config.height // REGION_PIXELS) * (config.width // REGION_PIXELS)
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
        """Returns the recurrent states after each frame, (B, T, C, H, W) to (B, T, M)."""
        frames = examples - self.config.ground / 255
        previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        features = self.look(torch.cat([frames, frames - previous], dim=2).flatten(0, 1))
        states: Tensor = self.reader(features.unflatten(0, examples.shape[:2]))[0]
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
            ema_decay=0.999,
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
