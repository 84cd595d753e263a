"""`clips`: held-out clips and what a captioner says happens in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.captioned import captions
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles

MODEL = "caption-video"
SHOWN = 10


@picture("clips")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Ten held-out clips: what happens, what a model says, and below which frames it looked at."""
    model: Any
    model, card = registry.load(MODEL, home)
    test = captions(card.data["sources"], card.data["language"], home)["test"]
    chosen = test.part(np.linspace(0, len(test) - 1, SHOWN + 2).round().astype(int)[1:-1].tolist())
    made = figure(9, 6)
    for axes, clip, text in zip(
        made.subplots(SHOWN // 2, 2).ravel(), chosen.tensor(), chosen.texts, strict=True
    ):
        told = list(model.describe(clip, torch.Generator().manual_seed(0)))
        said = "".join(piece for piece, _ in told)
        seen = torch.stack([looks for _, looks in told]).mean(dim=0)
        bars = torch.ones(len(clip), 3, 4, clip.shape[3]) - (seen / seen.max())[:, None, None, None]
        tiles(axes, [torch.cat([clip, bars.clamp(0, 1)], dim=2)], f"{text}\n{MODEL}: {said}")
    return made
