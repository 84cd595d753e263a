"""`vae`: what a variational auto-encoder draws, beside a plain one on random codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles
from wordspot.models.judges.drawings import sharpness

COLUMNS = 14
ROWS = 4
MANY = 2_000


@picture("vae")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Random codes decoded by a VAE and by a plain auto-encoder, real digits, a walk, completions."""
    vae: Any = registry.load("digits-vae", home)[0]
    plain: Any = registry.load("deep-autoencoder-30", home)[0]
    real = pictures("digits", "test", home).tensor()
    rng = torch.Generator().manual_seed(1)
    drawn, random = (model.sample(MANY, rng) for model in (vae, plain))
    usual = sharpness(real[:MANY])
    made = figure(10, 5.4)
    grid = made.subplots(3, 2, height_ratios=(ROWS, ROWS, ROWS))
    for axes, some, title in (
        (grid[0, 0], real, "real test digits: sharpness 1"),
        (grid[0, 1], drawn, f"VAE, random codes: sharpness {sharpness(drawn) / usual:.2f}"),
        (grid[1, 0], random, f"plain auto-encoder, random codes: sharpness {sharpness(random) / usual:.2f}"),
    ):
        tiles(axes, torch.split(some[: ROWS * COLUMNS], COLUMNS), title)
    walk = torch.stack(list(vae.generate(ROWS * COLUMNS, torch.Generator().manual_seed(3))))
    tiles(grid[1, 1], torch.split(walk, COLUMNS), "VAE, a walk from code to code")
    known = (torch.arange(real.shape[2]) < real.shape[2] // 2)[None, None, :, None].expand(
        COLUMNS, 1, -1, real.shape[3]
    )
    given = real[:COLUMNS]
    halves = torch.where(known, given, torch.tensor(0.25))
    tiles(
        grid[2, 0],
        [given, halves, *(vae.complete(given, known, torch.Generator().manual_seed(s)) for s in (1, 2))],
        "real, what is known of it, two completions",
    )
    tiles(
        grid[2, 1],
        [given, vae.reconstruct(given), plain.reconstruct(given)],
        "real, there and back by VAE, by plain",
    )
    return made
