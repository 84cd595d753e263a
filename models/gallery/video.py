"""`predicted-frames`: predictions of a video pixel network, beside those of one that ignores the past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from wordspot.models import registry
from wordspot.models.datasets.moving_digits import Motion, moving_digits
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles
from wordspot.models.judges.videos import ALONE

NETWORK = "moving-digits-vpn"
CLIPS = 4
MEAN_OF = 16  # continuations


@picture("predicted-frames")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Test clips of moving digits with continuations by a network with and without a past."""
    network, card = registry.load(NETWORK, home)
    alone = registry.load(ALONE, home)[0]
    clips = moving_digits("test", home, Motion(**card.data["motion"])).clips(1, CLIPS)
    given_frames = int(network.config.seen)
    many = continued(network, clips.repeat_interleave(MEAN_OF, dim=0), given_frames)
    of_clip = many.reshape(CLIPS, MEAN_OF, *clips.shape[1:])  # (CLIPS, MEAN_OF, T, 1, H, W)
    without = continued(alone, clips, given_frames)
    canvas = figure(10, 7.5)
    for index, axes in enumerate(canvas.subplots(2, CLIPS // 2).flat):
        rows = [
            clips[index],
            of_clip[index, 0],
            of_clip[index, 1],
            of_clip[index].mean(dim=0),
            without[index],
        ]
        tiles(axes, rows, f"clip {index + 1}: true, two continuations, mean of {MEAN_OF}, without a past")
        axes.axvline(given_frames * (clips.shape[-1] + 2) - 0.5, color="C3", linewidth=1)
    canvas.suptitle(
        f"{given_frames} frames are given, left of the line; those right of it are generated", fontsize=10
    )
    return canvas


def continued(model: Any, clips: Tensor, given_frames: int) -> Tensor:
    """Returns the clips continued after the given frames."""
    known_mask = (torch.arange(clips.shape[1]) < given_frames).expand(clips.shape[:2])
    generated: Tensor = model.complete(clips, known_mask, torch.Generator().manual_seed(0))
    return generated
