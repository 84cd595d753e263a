"""What pictures are put together from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from unicodedata import east_asian_width

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray
from torch import Tensor

DPI = 110
# Of pages of text: inches of a column and of a line; columns of what stands before; lines between blocks.
COLUMN, LINE, LABEL, BETWEEN = 0.072, 0.2, 15, 0.8


def figure(width: float, height: float) -> Figure:
    """Inches; drawn without a display."""
    made = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(made)
    return made


def tiles(axes: Axes, rows: Sequence[Tensor], title: str = "") -> None:
    """Rows of pictures (N, C, H, W), 0 to 1, a pixel of white between them; grey ones black on white."""
    shown = np.concatenate([np.concatenate([_framed(one) for one in row], axis=1) for row in rows])
    axes.imshow(shown, vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9, loc="left")
    axes.axis("off")


def _framed(one: Tensor) -> NDArray[Any]:
    """(H + 2, W + 2, 3)."""
    coloured = one if len(one) == 3 else 1 - one.expand(3, -1, -1)
    return np.pad(coloured.permute(1, 2, 0).numpy(), ((1, 1), (1, 1), (0, 0)), constant_values=1.0)


def scatter(axes: Axes, points: NDArray[Any], labels: NDArray[Any], title: str) -> None:
    """points (N, 2), coloured by label and with each label at the median of its points."""
    across, up = points.T
    colours = axes.scatter(across, up, c=labels, cmap="tab10", s=3, linewidths=0).get_cmap()
    for label in np.unique(labels):
        x, y = np.median(points[labels == label], axis=0)
        axes.text(
            x,
            y,
            str(label),
            ha="center",
            va="center",
            fontsize=11,
            weight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": colours(label / 9), "alpha": 0.85},
        )
    bare(axes, title)


def bare(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.8")


def principal(rows: NDArray[Any], of: NDArray[Any] | None = None) -> NDArray[Any]:
    """rows (N, D) on the two principal axes of `of`, by default of themselves: (N, 2)."""
    base = rows if of is None else of
    middle = base.mean(axis=0)
    axes = np.linalg.svd(base - middle, full_matrices=False)[2][:2]
    flat: NDArray[Any] = (rows - middle) @ axes.T
    return flat


def pairs(axes: Axes, points: NDArray[Any], words: Sequence[str], title: str) -> None:
    """points (2 N, 2): an arrow from each even one to the odd one behind it, every word at its point."""
    for start, end in zip(points[::2], points[1::2], strict=True):
        axes.annotate(
            "", end, start, arrowprops={"arrowstyle": "->", "color": "0.6", "shrinkA": 4, "shrinkB": 4}
        )
    across, up = points.T
    axes.scatter(across, up, s=8, c=np.arange(len(points)) % 2, cmap="coolwarm")
    for (x, y), word in zip(points, words, strict=True):
        axes.annotate(word, (x, y), xytext=(3, 3), textcoords="offset points", fontsize=8)
    axes.margins(0.12)
    bare(axes, title)


def parallel(rows: NDArray[Any]) -> float:
    """Mean cosine between the steps of all pairs, rows (2 N, D) as in `pairs`."""
    steps = rows[1::2] - rows[::2]
    unit = torch.nn.functional.normalize(torch.from_numpy(np.ascontiguousarray(steps)).float(), dim=1)
    cosines = unit @ unit.T
    return float(cosines[~torch.eye(len(unit), dtype=torch.bool)].mean())


def page(
    blocks: Sequence[Sequence[tuple[str, str]]], columns: int, font: FontProperties | None = None
) -> Figure:
    """Texts below each other, each behind what it is; a line between blocks.

    blocks: (what, text), a text may have several lines. columns: of a line, an ideograph takes two. font: for
    texts with ideographs.
    """
    lines = [
        [
            (what, [part for whole in text.split("\n") for part in wrapped(whole, columns)])
            for what, text in block
        ]
        for block in blocks
    ]
    height = sum(len(part) for block in lines for _, part in block) + BETWEEN * (len(lines) - 1)
    made = figure(COLUMN * (columns + LABEL), LINE * (height + 1))
    axes = made.subplots()
    down = 0.0
    for number, block in enumerate(lines):
        if number:
            down += BETWEEN
            axes.axhline(BETWEEN / 2 - down, color="#cccccc", linewidth=0.6)
        for what, parts in block:
            axes.text(-1, -down, what, ha="right", va="top", fontsize=8, color="#777777")
            for line in parts:
                fitting = font if _columns(line) > len(line) else None
                axes.text(0, -down, line, ha="left", va="top", fontsize=9, fontproperties=fitting)
                down += 1
    axes.set_xlim(-LABEL, columns)
    axes.set_ylim(-height, 0)
    axes.axis("off")
    return made


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns, between words or ideographs; an empty text is one."""
    lines = [""]
    for part in re.findall(r"\s*(?:[\u2e80-\uffef]|[^\s\u2e80-\uffef]+)", text):
        if lines[-1] and _columns(lines[-1]) + _columns(part) > columns:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return lines


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
