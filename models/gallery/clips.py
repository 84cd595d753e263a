"""`clips`: held-out clips with their captions and those of a captioner."""

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
    """Ten held-out clips with their captions, those of a model and, below, its attention to frames."""
    model: Any
    model, card = registry.load(MODEL, home)
    test = captions(card.data["sources"], card.data["language"], home)["test"]
    chosen = test.part(np.linspace(0, len(test) - 1, SHOWN + 2).round().astype(int)[1:-1].tolist())
    canvas = figure(9, 6)
    for axes, clip, text in zip(
        canvas.subplots(SHOWN // 2, 2).ravel(), chosen.tensor(), chosen.texts, strict=True
    ):
        pieces = list(model.describe(clip, torch.Generator().manual_seed(0)))
        caption = "".join(piece for piece, _ in pieces)
        attention = torch.stack([weights for _, weights in pieces]).mean(dim=0)
        bars = torch.ones(len(clip), 3, 4, clip.shape[3]) - (attention / attention.max())[:, None, None, None]
        tiles(axes, [torch.cat([clip, bars.clamp(0, 1)], dim=2)], f"{text}\n{MODEL}: {caption}")
    return canvas
