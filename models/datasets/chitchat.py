"""Conversations of pairs of people about nothing in particular, in English (Will Myers 2020).

Package: `chitchat-dataset` of the Python package index (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import PythonPackage
from wordspot.models.datasets.texts import source

PACKAGE = PythonPackage(
    "chitchat-dataset", "0.9.0", "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e"
)


@source("chitchat", packages=(PACKAGE,), licence="MIT")
def convert(root: Path) -> Iterator[str]:
    """Yields what two people say by turns, a question with its answer a line."""
    conversations = json.loads((root / "chitchat_dataset/dataset.json").read_text(encoding="utf-8"))
    for conversation in conversations.values():
        turns = conversation["messages"]
        for asking, answer in zip(turns[::2], [*turns[1::2], []], strict=False):
            yield " ".join(message["text"] for message in (*asking, *answer))
