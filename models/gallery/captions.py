"""`captions`: held-out pictures, what they are called, and what a captioner says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from torch import Tensor

from wordspot.models import registry
from wordspot.models.datasets import fonts
from wordspot.models.datasets.captioned import captions
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, wrapped
from wordspot.models.judges.captions import nearest

MODELS = {"caption-en": 14, "caption-zh": 6}  # pictures that are shown of each
COLUMNS = 5
WIDTH = 27  # columns of a line of text
LOOKED_AT = 3  # pictures whose attention is shown
WORDS = 7


@picture("captions")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Twenty held-out pictures: what they are called, what a model says, and where it looked."""
    font = FontProperties(fname=str(fonts.brush(home)))
    made = figure(11, 14)
    rows = -(-sum(MODELS.values()) // COLUMNS)
    grid = made.add_gridspec(
        rows + LOOKED_AT, COLUMNS * (WORDS + 1), height_ratios=[*[3] * rows, *[2] * LOOKED_AT]
    )
    place, looked_at = 0, []
    for name, count in MODELS.items():
        model: Any
        model, card = registry.load(name, home)
        splits = captions(card.data["sources"], card.data["language"], home)
        test = splits["test"]
        chosen = test.part(np.linspace(0, len(test) - 1, count + 2).round().astype(int)[1:-1].tolist())
        near = nearest(splits["train"].pixels, chosen.pixels, 3)
        for n, one in enumerate(chosen.tensor()):
            told = list(model.describe(one, torch.Generator().manual_seed(0)))
            said = "".join(piece for piece, _ in told)
            row, column = divmod(place, COLUMNS)
            width = WORDS + 1
            axes = made.add_subplot(grid[row, column * width : (column + 1) * width])
            texts = (chosen.texts[n], said, splits["train"].texts[near[n]])
            _shown(axes, one, dict(zip(("called", name, "nearest"), texts, strict=True)), font)
            looked_at.append((one, told))
            place += 1
    for row, (one, told) in enumerate(looked_at[:: len(looked_at) // LOOKED_AT][:LOOKED_AT], rows):
        for column, (piece, looks) in enumerate([("", None), *told][: WORDS + 1]):
            axes = made.add_subplot(grid[row, column * COLUMNS : (column + 1) * COLUMNS])
            axes.imshow(_lit(one, looks).permute(1, 2, 0), interpolation="nearest", vmin=0, vmax=1)
            axes.set_title(piece.strip().translate(fonts.SHAPES), fontsize=8, fontproperties=font)
            axes.axis("off")
    return made


def _shown(axes: Axes, one: Tensor, texts: dict[str, str], font: FontProperties) -> None:
    axes.imshow(one.permute(1, 2, 0), interpolation="nearest")
    axes.axis("off")
    lines = [line for what, text in texts.items() for line in wrapped(f"{what}: {text}", WIDTH)]
    told = "\n".join(lines).translate(fonts.SHAPES)
    chinese = any(ord(letter) > 0x2E7F for letter in told)
    axes.set_title(told, fontsize=7, loc="left", fontproperties=font if chinese else None)


def _lit(one: Tensor, looks: Tensor | None) -> Tensor:
    """Bright where the model looked."""
    if looks is None:
        return one
    sizes = [whole // part for whole, part in zip(one.shape[1:], looks.shape, strict=True)]
    light = torch.kron(looks / looks.max(), torch.ones(sizes))
    return (0.25 + 0.75 * light) * one
