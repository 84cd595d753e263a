"""`functions`: three classifiers as functions from a picture to a digit, or to none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from wordspot.models import registry
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure

MODELS = {"digits-mlp": "MLP", "digits-cnn": "CNN", "digits-rnn": "row RNN"}
COLUMNS = 10


@picture("functions")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """The classes that an MLP, a CNN and a row-wise RNN give to digits, and to other pictures."""
    test = pictures("digits", "test", home)
    clothes = pictures("fashion", "test", home).tensor()[:COLUMNS]
    rng = torch.Generator().manual_seed(0)
    first = torch.tensor([int((test.labels == label).nonzero()[0][0]) for label in range(COLUMNS)])
    digits = test.tensor()[first]
    flat = digits.flatten(1)
    shuffled = flat.gather(1, torch.rand(flat.shape, generator=rng).argsort(dim=1)).reshape(digits.shape)
    noise = torch.rand(digits.shape, generator=rng)
    rows = {"test digits": digits, "their pixels shuffled": shuffled, "noise": noise, "clothes": clothes}
    readers: dict[str, Any] = {name: registry.load(name, home)[0] for name in MODELS}
    canvas = figure(9.5, 6.2)
    grid = canvas.subplots(len(rows), COLUMNS)
    for line, (kind, inputs) in zip(grid, rows.items(), strict=True):
        answers = {name: model.classify(inputs) for name, model in readers.items()}
        for column, axes in enumerate(line):
            axes.imshow(1 - inputs[column, 0].numpy(), cmap="gray", vmin=0, vmax=1)
            axes.axis("off")
            lines = [
                f"{MODELS[name]} {_label(probabilities[column])}" for name, probabilities in answers.items()
            ]
            axes.set_title("\n".join(lines), fontsize=6.5)
        line[0].text(
            -0.15, 0.5, kind, transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=8
        )
    canvas.suptitle(
        '"Most 28x28 vectors are not digits": what each network sees, and how sure it is', fontsize=10
    )
    return canvas


def _label(probabilities: Tensor) -> str:
    """Returns the likeliest class with its probability."""
    best = int(probabilities.argmax())
    return f"{'none' if best == len(probabilities) - 1 else best} {float(probabilities[best]):.0%}"
