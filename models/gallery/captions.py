"""`captions`: held-out pictures with their captions and those of a captioner."""

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

MODELS = {"caption-en": 14, "caption-zh": 6}  # pictures of each
COLUMNS = 5
WIDTH = 27  # columns of a line of text
ATTENTION_PICTURES = 3  # whose attention is shown
WORDS = 7


@picture("captions")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Twenty held-out pictures with their captions, those of a model and its attention."""
    font = FontProperties(fname=str(fonts.brush(home)))
    canvas = figure(11, 14)
    rows = -(-sum(MODELS.values()) // COLUMNS)
    grid = canvas.add_gridspec(
        rows + ATTENTION_PICTURES,
        COLUMNS * (WORDS + 1),
        height_ratios=[*[3] * rows, *[2] * ATTENTION_PICTURES],
    )
    position, described = 0, []
    for name, count in MODELS.items():
        model: Any
        model, card = registry.load(name, home)
        splits = captions(card.data["sources"], card.data["language"], home)
        test = splits["test"]
        chosen = test.part(np.linspace(0, len(test) - 1, count + 2).round().astype(int)[1:-1].tolist())
        near = nearest(splits["train"].pixels, chosen.pixels, 3)
        for n, example in enumerate(chosen.tensor()):
            pieces = list(model.describe(example, torch.Generator().manual_seed(0)))
            caption = "".join(piece for piece, _ in pieces)
            row, column = divmod(position, COLUMNS)
            width = WORDS + 1
            axes = canvas.add_subplot(grid[row, column * width : (column + 1) * width])
            texts = (chosen.texts[n], caption, splits["train"].texts[near[n]])
            _draw_captioned(axes, example, dict(zip(("called", name, "nearest"), texts, strict=True)), font)
            described.append((example, pieces))
            position += 1
    for row, (example, pieces) in enumerate(
        described[:: len(described) // ATTENTION_PICTURES][:ATTENTION_PICTURES], rows
    ):
        for column, (piece, weights) in enumerate([("", None), *pieces][: WORDS + 1]):
            axes = canvas.add_subplot(grid[row, column * COLUMNS : (column + 1) * COLUMNS])
            axes.imshow(
                _highlighted(example, weights).permute(1, 2, 0), interpolation="nearest", vmin=0, vmax=1
            )
            axes.set_title(piece.strip().translate(fonts.SHAPES), fontsize=8, fontproperties=font)
            axes.axis("off")
    return canvas


def _draw_captioned(axes: Axes, picture: Tensor, texts: dict[str, str], font: FontProperties) -> None:
    axes.imshow(picture.permute(1, 2, 0), interpolation="nearest")
    axes.axis("off")
    lines = [line for what, text in texts.items() for line in wrapped(f"{what}: {text}", WIDTH)]
    title = "\n".join(lines).translate(fonts.SHAPES)
    chinese = any(ord(letter) > 0x2E7F for letter in title)
    axes.set_title(title, fontsize=7, loc="left", fontproperties=font if chinese else None)


def _highlighted(picture: Tensor, attention: Tensor | None) -> Tensor:
    """Returns a picture (3, H, W), bright where attention (rows, columns) is high."""
    if attention is None:
        return picture
    sizes = [whole // part for whole, part in zip(picture.shape[1:], attention.shape, strict=True)]
    light = torch.kron(attention / attention.max(), torch.ones(sizes))
    return (0.25 + 0.75 * light) * picture
