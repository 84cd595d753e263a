"""`faces`: samples of a generator of faces in the course of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles
from wordspot.models.generators.gan import SNAPSHOTS

COLUMNS = 14


@picture("faces")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Faces of the same codes after more and more rounds; an interpolation; the nearest real ones."""
    loaded, card = registry.load("faces", home)
    model: Any = loaded
    steps = int(card.budget["steps_done"])
    train = pictures("faces", "train", home).tensor()
    strip = model.snapshots.float() / 255
    canvas = figure(9, 7.6)
    axes = canvas.subplots(len(SNAPSHOTS) + 1, 1, height_ratios=(*([1] * len(SNAPSHOTS)), 4))
    for place, (share, row) in enumerate(zip(SNAPSHOTS, strip, strict=True)):
        tiles(axes[place], [row[:COLUMNS]], f"{max(1, round(share * steps)):,} rounds")
    generated = model.sample(COLUMNS, torch.Generator().manual_seed(4))
    nearest = train[torch.cdist(generated.flatten(1), train.flatten(1)).argmin(dim=1)]
    path = torch.stack(list(model.generate(2 * COLUMNS, torch.Generator().manual_seed(6))))
    tiles(
        axes[-1],
        [generated, nearest, path[:COLUMNS], path[COLUMNS:]],
        "generated with the best weights, under each the nearest training picture; an interpolation of codes",
    )
    return canvas
