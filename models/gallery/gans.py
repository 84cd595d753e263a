"""`gans`: samples of digits by every adversarial model, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles
from wordspot.models.generators.gan import Adversarial

COLUMNS = 24
PREFIX = "digits-"


@picture("gans")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Samples of every adversarial model of digits with the same seed, and their Fréchet distances."""
    cards = registry.available(home)
    chosen = [
        (card.name.removeprefix(PREFIX), metric.value)
        for card in cards.values()
        for metric in card.metrics
        if metric.name == "frechet" and issubclass(registry.model_class(card.model), Adversarial)
    ]
    chosen.sort(key=lambda entry: entry[1])
    real = pictures("digits", "test", home).tensor()[:COLUMNS]
    canvas = figure(9, 0.55 * (len(chosen) + 1))
    grid = canvas.subplots(len(chosen) + 1, 1)
    tiles(grid[0], [real], "real test digits")
    for axes, (name, distance) in zip(grid[1:], chosen, strict=True):
        model: Any = registry.load(PREFIX + name, home)[0]
        generated = model.sample(COLUMNS, torch.Generator().manual_seed(1))
        tiles(axes, [generated], f"{name}: Frechet distance {distance:.1f}")
    return canvas
