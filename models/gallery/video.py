"""`predicted-frames`: how a video pixel network goes on with clips, beside one that ignores the past."""

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
    """Test clips of moving digits, and how they go on by a network with and without a past."""
    network, card = registry.load(NETWORK, home)
    alone = registry.load(ALONE, home)[0]
    clips = moving_digits("test", home, Motion(**card.data["motion"])).clips(1, CLIPS)
    seen = int(network.config.seen)
    many = continued(network, clips.repeat_interleave(MEAN_OF, dim=0), seen)
    of_clip = many.reshape(CLIPS, MEAN_OF, *clips.shape[1:])  # (CLIPS, MEAN_OF, T, 1, H, W)
    without = continued(alone, clips, seen)
    made = figure(10, 7.5)
    for index, axes in enumerate(made.subplots(2, CLIPS // 2).flat):
        rows = [
            clips[index],
            of_clip[index, 0],
            of_clip[index, 1],
            of_clip[index].mean(dim=0),
            without[index],
        ]
        tiles(axes, rows, f"clip {index + 1}: true, two continuations, mean of {MEAN_OF}, without a past")
        axes.axvline(seen * (clips.shape[-1] + 2) - 0.5, color="C3", linewidth=1)
    made.suptitle(f"{seen} frames are seen, left of the line; those right of it are drawn", fontsize=10)
    return made


def continued(model: Any, clips: Tensor, seen: int) -> Tensor:
    """The clips as they go on after the seen frames."""
    known = (torch.arange(clips.shape[1]) < seen).expand(clips.shape[:2])
    drawn: Tensor = model.complete(clips, known, torch.Generator().manual_seed(0))
    return drawn
