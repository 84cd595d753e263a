"""`vae`: samples of a variational auto-encoder, beside those of a plain one."""

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
SAMPLES = 2_000


@picture("vae")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Random codes decoded by a VAE and a plain auto-encoder, real digits, interpolation, completions."""
    vae: Any = registry.load("digits-vae", home)[0]
    plain: Any = registry.load("deep-autoencoder-30", home)[0]
    real = pictures("digits", "test", home).tensor()
    rng = torch.Generator().manual_seed(1)
    generated, random = (model.sample(SAMPLES, rng) for model in (vae, plain))
    real_sharpness = sharpness(real[:SAMPLES])
    canvas = figure(10, 5.4)
    grid = canvas.subplots(3, 2, height_ratios=(ROWS, ROWS, ROWS))
    for axes, shown, title in (
        (grid[0, 0], real, "real test digits: sharpness 1"),
        (grid[0, 1], generated, f"VAE, random codes: sharpness {sharpness(generated) / real_sharpness:.2f}"),
        (
            grid[1, 0],
            random,
            f"plain auto-encoder, random codes: sharpness {sharpness(random) / real_sharpness:.2f}",
        ),
    ):
        tiles(axes, torch.split(shown[: ROWS * COLUMNS], COLUMNS), title)
    path = torch.stack(list(vae.generate(ROWS * COLUMNS, torch.Generator().manual_seed(3))))
    tiles(grid[1, 1], torch.split(path, COLUMNS), "VAE, an interpolation of codes")
    known_mask = (torch.arange(real.shape[2]) < real.shape[2] // 2)[None, None, :, None].expand(
        COLUMNS, 1, -1, real.shape[3]
    )
    examples = real[:COLUMNS]
    halves = torch.where(known_mask, examples, torch.tensor(0.25))
    tiles(
        grid[2, 0],
        [
            examples,
            halves,
            *(vae.complete(examples, known_mask, torch.Generator().manual_seed(s)) for s in (1, 2)),
        ],
        "real, what is known of it, two completions",
    )
    tiles(
        grid[2, 1],
        [examples, vae.reconstruct(examples), plain.reconstruct(examples)],
        "real, reconstructed by the VAE, by the plain one",
    )
    return canvas
