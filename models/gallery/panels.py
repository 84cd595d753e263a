"""What pictures are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

DPI = 110


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
