"""`chat`: ten exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.datasets.text_pairs import pairs
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import page

MODEL = "chat"
# The first is the lecture's: Hung-yi Lee 2017, AI Alchemy.
TURNS = (
    "Hello. Nice to see you.",
    "Hi!",
    "How are you doing today?",
    "What are you studying?",
    "Hello\nHi, how are you?\nI'm good. Where are you from?",
)
SHOWN = 5  # held-out conversations
COLUMNS = 105


@picture("chat")
def draw(home: Path) -> Figure:
    """Ten exchanges: five beginnings, and five held-out conversations with people's own answers."""
    model: Any = registry.load(MODEL, home)[0]
    rng = torch.Generator().manual_seed(0)
    test = pairs("conversations", home)["test"]
    blocks = [
        [("turns", condition), (MODEL, model.sample(1, rng, condition=condition)[0])] for condition in TURNS
    ]
    for pair in test[len(test) // (2 * SHOWN) :: len(test) // SHOWN][:SHOWN]:
        generated = model.sample(1, rng, condition=pair.given)[0]
        blocks.append([("turns", pair.given), ("a person", pair.answer), (MODEL, generated)])
    return page(blocks, COLUMNS)
