"""`poems`: verses of the Tang as they are samples, beside a language model's and those of WGAN-GP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from wordspot.models import registry
from wordspot.models.datasets import fonts
from wordspot.models.datasets.poems import FORMS, Form, poems, read
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure

MODELS = {"poem-lm": "language model", "poem": "WGAN-GP"}
SHOWN = {"5x4": 2, "7x8": 1}  # poems of a form
PAPER, INK, MARGIN = "#f6efdd", "#241d16", "#b9a98a"
SEED = 7


@picture("poems")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Poems of two forms, written from right to left: held-out ones, a language model's, a WGAN-GP's."""
    font = FontProperties(fname=str(fonts.brush(home)))
    test = poems("test", home).texts()
    columns: dict[str, dict[str, Sequence[str]]] = {"the Tang, held out": _by_form(test)}
    for name, title in MODELS.items():
        if name in registry.folders(home):
            model: Any = registry.load(name, home)[0]
            rng = torch.Generator().manual_seed(SEED)
            columns[title] = {form: model.sample(count, rng, condition=form) for form, count in SHOWN.items()}
    canvas = figure(3.6 * len(columns), 6.6)
    canvas.set_facecolor(PAPER)
    grid = canvas.subplots(len(SHOWN), len(columns), squeeze=False)
    for n, (title, samples) in enumerate(columns.items()):
        for row, form in zip(grid, SHOWN, strict=True):
            scroll(row[n], samples[form], FORMS[form], font)
        grid[0, n].set_title(title, fontsize=10, color=INK)
    return canvas


def scroll(axes: Axes, texts: Sequence[str], form: Form, font: FontProperties) -> None:
    """Draws poems side by side, the first on the right, a line a column, ruled."""
    width = form.lines + 1  # a column between poems
    for n, text in enumerate(texts):
        letters = read(text)[1].translate(fonts.SHAPES)
        for place, letter in enumerate(letters):
            line, down = divmod(place, form.width)
            axes.text(
                -(n * width + line) - 0.5,
                -down - 0.5,
                letter,
                ha="center",
                va="center",
                fontproperties=font,
                fontsize=19 if form.lines == 4 else 17,
                color=INK,
            )
        for line in range(form.lines + 1):
            axes.axvline(-(n * width + line), color=MARGIN, linewidth=0.6)
    axes.set_xlim(-len(texts) * width + 1, 0)
    axes.set_ylim(-form.width - 0.1, 0.1)
    axes.set_facecolor(PAPER)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(MARGIN)


def _by_form(texts: Sequence[str]) -> dict[str, Sequence[str]]:
    """Returns poems of each form, evenly spaced over the split, which is sorted."""
    chosen: dict[str, Sequence[str]] = {}
    for form, count in SHOWN.items():
        candidates = [text for text in texts if read(text)[0] == FORMS[form]]
        step = len(candidates) // (count + 1)
        chosen[form] = [candidates[step * (n + 1)] for n in range(count)]
    return chosen
