"""`text-to-face`: faces as they are described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.conditional.descriptions import FREE
from wordspot.models.datasets.faces import caption
from wordspot.models.datasets.pictures import pictures
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, tiles

MODEL = "face-from-text"
# The lecture's: Hung-yi Lee 2017, AI Alchemy.
PROMPTS = ("red hair, long hair", "black hair, blue eyes", "blue hair, green eyes")
COLUMNS, ROWS = 12, 3
HELD_OUT = 4  # kinds that training never showed


@picture("text-to-face")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Faces as the lecture's three prompts describe them, and kinds that training never showed; real ones."""
    model: Any = registry.load(MODEL, home)[0]
    train, test = (pictures("faces", split, home) for split in ("train", "test"))
    canvas = figure(9, 11.5)
    axes = canvas.subplots(len(PROMPTS) + 1, 1, height_ratios=(*[ROWS + 1] * len(PROMPTS), 2 * HELD_OUT))
    described = model.descriptions.of_labels(torch.from_numpy(train.labels))
    for place, prompt in enumerate(PROMPTS):
        generated = model.sample(ROWS * COLUMNS, torch.Generator().manual_seed(0), condition=prompt)
        target = torch.tensor(model.descriptions.read(prompt))
        fitting = ((described == target) | (target == FREE)).all(dim=1).nonzero()[:, 0]
        real = train.tensor()[fitting[:: max(1, len(fitting) // COLUMNS)][:COLUMNS]]
        tiles(axes[place], [*generated.split(COLUMNS), real], f'"{prompt}"; below, real training faces')
    rows = []
    kinds = sorted(set(test.labels.tolist()))
    chosen = kinds[:: len(kinds) // HELD_OUT][:HELD_OUT]
    for label in chosen:
        rows.append(model.sample(COLUMNS, torch.Generator().manual_seed(0), condition=caption(label)))
        rows.append(test.tensor()[torch.from_numpy(test.labels == label)][:COLUMNS])
    captions = ";\n".join("; ".join(map(caption, chosen[n : n + 2])) for n in range(0, len(chosen), 2))
    tiles(axes[-1], rows, f"{captions}:\nkinds that training never showed; below each, real test faces")
    return canvas
