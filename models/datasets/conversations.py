"""Conversations in English as pairs: up to three turns, a line each, and the turn that follows.

Package: `chitchat-dataset` of the Python package index (MIT; Will Myers 2020). A turn is what a person writes
until the other answers; of an answer, as many of its messages are taken from the first on as have at most
LONGEST tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from wordspot.models.datasets.chitchat import PACKAGE
from wordspot.models.datasets.text_pairs import Pair, source
from wordspot.models.vocabulary import LANGUAGES

TURNS = 3  # that are seen before an answer
LONGEST = 20  # tokens of an answer

_ADDRESS = re.compile(r"https?://|www\.")
_SPACE = re.compile(r"\s+")


@source("conversations", packages=(PACKAGE,), licence="MIT", language="en", family="conversation")
def convert(root: Path) -> Iterator[Pair]:
    """Yields messages with their answers, of the family of their conversation."""
    conversations = json.loads((root / "chitchat_dataset/dataset.json").read_text(encoding="utf-8"))
    for family, conversation in conversations.items():
        turns = [
            [_SPACE.sub(" ", message["text"]).strip() for message in turn]
            for turn in conversation["messages"]
        ]
        yield from answered([[text for text in turn if text] for turn in turns], family)


def answered(turns: Sequence[Sequence[str]], family: str) -> Iterator[Pair]:
    """Yields each answer with the turns before it.

    turns: messages of each. An answer that points to a page of the web is left out."""
    spoken = [turn for turn in turns if turn]
    for n, turn in enumerate(spoken[1:], 1):
        answer = opening(turn)
        if answer and not _ADDRESS.search(answer):
            yield Pair("\n".join(" ".join(turn) for turn in spoken[max(0, n - TURNS) : n]), answer, family)


def opening(messages: Sequence[str]) -> str:
    """As many messages as are together short enough; empty if the first is not."""
    lengths = accumulate(len(LANGUAGES["en"].split(message)) for message in messages)
    return " ".join(messages[: sum(length <= LONGEST for length in lengths)])
