"""`latent`: interpolation between digits, and arithmetic of latent codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from wordspot.models import registry
from wordspot.models.datasets.pictures import Pictures, pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles

MODELS = {
    "deep-autoencoder-30": "plain auto-encoder",
    "digits-vae": "variational auto-encoder",
    "digits-vae-gan": "VAE-GAN",
    "digits-gan-bidirectional": "bidirectional GAN",
}
PAIRS = ((3, 8), (4, 9), (0, 6))
STEPS = 11
TRANSLATED = ((7, 4), (3, 8), (9, 0))  # classes
SHOWN = 9
TRAINING_PICTURES = 5_000


@picture("latent")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Interpolations between two test digits, and sums of codes.

    On the right a digit's code less the mean code of its class, plus that of another class.
    """
    train, test = (pictures("digits", split, home) for split in ("train", "test"))
    canvas = figure(10, 8.4)
    grid = canvas.subplots(len(MODELS), 2, width_ratios=(STEPS, SHOWN + 3))
    for row, (name, title) in zip(grid, MODELS.items(), strict=True):
        model: Any = registry.load(name, home)[0]
        between = [
            _interpolated(model, _of_class(test, start)[0], _of_class(test, end)[0]) for start, end in PAIRS
        ]
        tiles(row[0], between, f"{title}: between two test digits")
        subset = train.part(slice(TRAINING_PICTURES))
        means = {kind: model.encode(_of_class(subset, kind)).mean(dim=0) for kind in range(10)}
        rows = []
        for source, target in TRANSLATED:
            digits = _of_class(test, source)[:SHOWN]
            rows += [digits, model.decode(model.encode(digits) - means[source] + means[target])]
        pairs = ", ".join(f"{source} to {target}" for source, target in TRANSLATED)
        tiles(row[1], rows, f"with the mean code of another kind: {pairs}")
    return canvas


def _interpolated(model: Any, first: Tensor, second: Tensor) -> Tensor:
    """Returns pictures (STEPS, C, H, W) from one picture (C, H, W) to another, both among them."""
    start, end = model.encode(torch.stack([first, second]))
    share = torch.linspace(0, 1, STEPS - 2)[:, None]
    decoded = model.decode(start + share * (end - start))
    return torch.cat([first[None], decoded, second[None]])


def _of_class(data: Pictures, kind: int) -> Tensor:
    """Returns the pictures of a class, (N, C, H, W)."""
    rows = data.labels == kind
    return Pictures(data.pixels[rows], data.labels[rows]).tensor()
