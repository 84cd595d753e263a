"""Panels of the gallery's pictures: tiles, scatter plots, pages of text."""

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
# Of pages of text: size of a column and of a line, columns of labels, lines between blocks.
COLUMN_INCHES, LINE_INCHES, LABEL_COLUMNS, GAP_LINES = 0.072, 0.2, 15, 0.8


def figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches, which needs no display."""
    canvas = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def tiles(axes: Axes, rows: Sequence[Tensor], title: str = "") -> None:
    """Draws rows of pictures, (N, C, H, W) each, 0 to 1, framed in white; grey ones are inverted."""
    sheet = np.concatenate([np.concatenate([_framed(picture) for picture in row], axis=1) for row in rows])
    axes.imshow(sheet, vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9, loc="left")
    axes.axis("off")


def _framed(picture: Tensor) -> NDArray[Any]:
    """Returns a picture (C, H, W) with a white frame, (H + 2, W + 2, 3)."""
    coloured = picture if len(picture) == 3 else 1 - picture.expand(3, -1, -1)
    return np.pad(coloured.permute(1, 2, 0).numpy(), ((1, 1), (1, 1), (0, 0)), constant_values=1.0)


def scatter(axes: Axes, points: NDArray[Any], labels: NDArray[Any], title: str) -> None:
    """Draws points (N, 2), coloured by label, with each label at the median of its points."""
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
    """Sets a title, and removes ticks."""
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.8")


def principal(rows: NDArray[Any], of: NDArray[Any] | None = None) -> NDArray[Any]:
    """Returns rows (N, D) projected on the two principal axes of `of`, by default of themselves, (N, 2)."""
    base = rows if of is None else of
    mean = base.mean(axis=0)
    axes = np.linalg.svd(base - mean, full_matrices=False)[2][:2]
    projected: NDArray[Any] = (rows - mean) @ axes.T
    return projected


def pairs(axes: Axes, points: NDArray[Any], words: Sequence[str], title: str) -> None:
    """Draws an arrow from each even one of points (2 N, 2) to the odd one behind it, and a word at each."""
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
    """Returns the mean cosine between the differences of all pairs of rows (2 N, D), paired as in `pairs`."""
    steps = rows[1::2] - rows[::2]
    unit = torch.nn.functional.normalize(torch.from_numpy(np.ascontiguousarray(steps)).float(), dim=1)
    cosines = unit @ unit.T
    return float(cosines[~torch.eye(len(unit), dtype=torch.bool)].mean())


def page(
    blocks: Sequence[Sequence[tuple[str, str]]], columns: int, font: FontProperties | None = None
) -> Figure:
    """Returns a figure of labelled texts below each other, with a line between blocks.

    Args:
        blocks: (label, text) each; a text may have several lines.
        columns: of a line; an ideograph takes two.
        font: for texts with ideographs.
    """
    lines = [
        [
            (what, [part for whole in text.split("\n") for part in wrapped(whole, columns)])
            for what, text in block
        ]
        for block in blocks
    ]
    height = sum(len(part) for block in lines for _, part in block) + GAP_LINES * (len(lines) - 1)
    canvas = figure(COLUMN_INCHES * (columns + LABEL_COLUMNS), LINE_INCHES * (height + 1))
    axes = canvas.subplots()
    line_number = 0.0
    for number, block in enumerate(lines):
        if number:
            line_number += GAP_LINES
            axes.axhline(GAP_LINES / 2 - line_number, color="#cccccc", linewidth=0.6)
        for what, parts in block:
            axes.text(-1, -line_number, what, ha="right", va="top", fontsize=8, color="#777777")
            for line in parts:
                fitting = font if _columns(line) > len(line) else None
                axes.text(0, -line_number, line, ha="left", va="top", fontsize=9, fontproperties=fitting)
                line_number += 1
    axes.set_xlim(-LABEL_COLUMNS, columns)
    axes.set_ylim(-height, 0)
    axes.axis("off")
    return canvas


def wrapped(text: str, columns: int) -> list[str]:
    """Breaks a text between words or ideographs into lines of at most so many columns, at least one line."""
    lines = [""]
    for part in re.findall(r"\s*(?:[\u2e80-\uffef]|[^\s\u2e80-\uffef]+)", text):
        if lines[-1] and _columns(lines[-1]) + _columns(part) > columns:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return lines


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
