"""`latent`: what lies between two digits, and digits by addition and subtraction of codes."""

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
TURNED = ((7, 4), (3, 8), (9, 0))  # kinds of digits
SHOWN = 9
MANY = 5_000


@picture("latent")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Between two test digits along the line of their codes, and sums of codes.

    On the right a digit's code less the mean code of its kind, plus that of another kind.
    """
    train, test = (pictures("digits", split, home) for split in ("train", "test"))
    made = figure(10, 8.4)
    grid = made.subplots(len(MODELS), 2, width_ratios=(STEPS, SHOWN + 3))
    for row, (name, title) in zip(grid, MODELS.items(), strict=True):
        model: Any = registry.load(name, home)[0]
        between = [_between(model, _of(test, one)[0], _of(test, other)[0]) for one, other in PAIRS]
        tiles(row[0], between, f"{title}: between two test digits")
        known = train.part(slice(MANY))
        means = {kind: model.encode(_of(known, kind)).mean(dim=0) for kind in range(10)}
        rows = []
        for one, other in TURNED:
            some = _of(test, one)[:SHOWN]
            rows += [some, model.decode(model.encode(some) - means[one] + means[other])]
        told = ", ".join(f"{one} to {other}" for one, other in TURNED)
        tiles(row[1], rows, f"with the mean code of another kind: {told}")
    return made


def _between(model: Any, one: Tensor, other: Tensor) -> Tensor:
    """From one picture (C, H, W) to another: (STEPS, C, H, W), both among them."""
    here, there = model.encode(torch.stack([one, other]))
    share = torch.linspace(0, 1, STEPS - 2)[:, None]
    made = model.decode(here + share * (there - here))
    return torch.cat([one[None], made, other[None]])


def _of(some: Pictures, kind: int) -> Tensor:
    """Those of a kind, (N, C, H, W)."""
    rows = some.labels == kind
    return Pictures(some.pixels[rows], some.labels[rows]).tensor()
