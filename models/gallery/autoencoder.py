"""`autoencoder`: digits reconstructed by deep auto-encoders, beside principal components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, scatter, tiles
from wordspot.models.judges.pictures import plane, principal_components

COLUMNS = 20
SHOWN = 2_000


@picture("autoencoder")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Digits reconstructed from 30 and 2 numbers, beside PCA; t-SNE of pixels and codes; the 2 numbers."""
    train, test = (pictures("digits", split, home) for split in ("train", "test"))
    digits = test.tensor()[:COLUMNS]
    flat = test.tensor().flatten(1)
    deep: dict[int, Any] = {code: registry.load(f"deep-autoencoder-{code}", home)[0] for code in (30, 2)}
    rows = [digits]
    titles = ["test digits"]
    for code, model in deep.items():
        mean, axes = principal_components(train.tensor().flatten(1), code)
        linear = (mean + (flat - mean) @ axes @ axes.T).clamp(0, 1)
        reconstructed = model.reconstruct(test.tensor()).flatten(1)
        errors = [float((output - flat).square().sum(dim=1).mean()) for output in (reconstructed, linear)]
        rows += [reconstructed[:COLUMNS].reshape(digits.shape), linear[:COLUMNS].reshape(digits.shape)]
        titles += [
            f"deep, {code} numbers: error {errors[0]:.1f}",
            f"PCA, {code} numbers: error {errors[1]:.1f}",
        ]
    canvas = figure(10, 7.4)
    grid = canvas.add_gridspec(2, 1, height_ratios=(1.15, 1))
    above, below = canvas.add_subfigure(grid[0]), canvas.add_subfigure(grid[1])
    for panel, row, title in zip(above.subplots(len(rows), 1), rows, titles, strict=True):
        tiles(panel, [row], title)
    subset = test.part(slice(SHOWN))
    codes = {code: model.encode(subset.tensor()).numpy() for code, model in deep.items()}
    panels = below.subplots(1, 3)
    scatter(panels[0], plane(subset.tensor().flatten(1).numpy()), subset.labels, "t-SNE of 784 pixels")
    scatter(panels[1], plane(codes[30]), subset.labels, "t-SNE of 30 numbers")
    scatter(panels[2], codes[2], subset.labels, "the 2 numbers themselves")
    return canvas
