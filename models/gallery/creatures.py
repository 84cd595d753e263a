"""`creatures`: real ones, half covered, completed; and samples from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles

COLUMNS = 16
SEEDS = (1, 2, 3)
TEMPERATURES = (0.8, 0.9, 1.0)


@picture("creatures")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Held-out creatures, covered and completed by three seeds; others sampled from nothing."""
    model: Any = registry.load("creatures", home)[0]
    train, test = (pictures("creatures", split, home).tensor() for split in ("train", "test"))
    examples = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:COLUMNS]]
    canvas = figure(9, 9.6)
    grid = canvas.subplots(3, 1, height_ratios=(5, 4, 6))
    for axes, covered in zip(grid, (50, 75), strict=False):
        known_mask = torch.arange(examples.shape[2]) < examples.shape[2] * (100 - covered) // 100
        known_mask = known_mask[None, None, :, None].expand(len(examples), 1, -1, examples.shape[3])
        shown = torch.where(known_mask, examples, torch.tensor(0.8))
        rows = [
            model.complete(examples, known_mask, torch.Generator().manual_seed(s), temperature=0.8)
            for s in SEEDS
        ]
        head = [examples] if covered == 50 else []
        title = "real, " if head else ""
        tiles(axes, [*head, shown, *rows], f"{title}{covered} % covered, completed by three seeds")
    rows = []
    for temperature in TEMPERATURES:
        generated = model.sample(COLUMNS, torch.Generator().manual_seed(5), temperature=temperature)
        nearest = torch.cdist(generated.flatten(1), train.flatten(1)).argmin(dim=1)
        rows += [generated, train[nearest]]
    temperatures = ", ".join(map(str, TEMPERATURES))
    tiles(
        grid[2], rows, f"from nothing at temperature {temperatures}; under each the nearest training picture"
    )
    return canvas
