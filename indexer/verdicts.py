"""Verdicts: what people say of places that a query found, and when two places are the same."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_AUTHOR_CHARACTERS, MAX_VERDICT_QUERY_BYTES

SHARED = 0.5  # of the shorter of two places that are the same


@dataclass(frozen=True)
class Verdict:
    """What somebody says of a place that a query found.

    Attributes:
        recording: its id.
        start: in seconds from the start of the recording.
        end: in seconds from the start of the recording.
        query: what was looked for: the label of the query.
        correct: whether it is said there.
        author: whose verdict it is, empty if nobody said so.
        score: of the hit that was judged.
        p_correct: of the hit that was judged.
        channel: of the hit, 0 for none in particular.
        id: unique; empty until it is stored.
        created: when it was set, for the last time; None until it is stored.
        path: of the recording; empty until it is stored.
    """

    recording: str
    start: float
    end: float
    query: str
    correct: bool
    author: str = ""
    score: float = 0.0
    p_correct: float = 0.0
    channel: int = 0
    id: str = ""
    created: datetime | None = None
    path: str = ""

    def checked(self) -> Verdict:
        """Returns the verdict with its texts as they are stored. Raises InvalidInput."""
        numbers = (self.start, self.end, self.score, self.p_correct)
        if not all(map(math.isfinite, numbers)) or not 0 <= self.start < self.end:
            raise InvalidInput(
                f"the stretch of a verdict must satisfy 0 <= start < end, "
                f"got {self.start:g} to {self.end:g} s"
            )
        if not 0 <= self.p_correct <= 1:
            raise InvalidInput(f"p_correct must be between 0 and 1, got {self.p_correct:g}")
        if not 0 <= self.channel < 2**31:
            raise InvalidInput(f"channel must be 0 or more, got {self.channel}")
        query, author = checked_label(self.query), _one_line(self.author, "author")
        if len(author) > MAX_AUTHOR_CHARACTERS:
            raise InvalidInput(
                f"author must have at most {MAX_AUTHOR_CHARACTERS} characters, got {len(author)}"
            )
        return replace(self, query=query, author=author)

    def overlap(self, start: float, end: float) -> float:
        """Returns what it shares with a stretch of its recording, as a part of the shorter of the two."""
        shared = min(self.end, end) - max(self.start, start)
        return max(shared, 0.0) / min(self.end - self.start, end - start)

    def is_of(self, recording: str, start: float, end: float, channel: int = 0) -> bool:
        """Returns whether it is of this place, by whatever query. channel: 0 is the same as any."""
        return (
            self.recording == recording
            and (self.channel == channel or not (self.channel and channel))
            and self.overlap(start, end) >= SHARED
        )


def checked_label(query: str) -> str:
    """Returns what was looked for, as it is stored. Raises InvalidInput."""
    label = _one_line(query, "query")
    size = len(label.encode())
    if not 1 <= size <= MAX_VERDICT_QUERY_BYTES:
        raise InvalidInput(
            f"query must say what was looked for, in 1 to {MAX_VERDICT_QUERY_BYTES:,} bytes, got {size:,}"
        )
    return label


def verdict_of(
    verdicts: Iterable[Verdict], recording: str, start: float, end: float, channel: int = 0
) -> Verdict | None:
    """Returns the verdict of a place: the one that shares most with it, the latest of equals; None if there
    is none.

    verdicts: of one query, the latest last.
    """
    best: Verdict | None = None
    for verdict in verdicts:
        if verdict.is_of(recording, start, end, channel) and (
            best is None or verdict.overlap(start, end) >= best.overlap(start, end)
        ):
            best = verdict
    return best


def _one_line(text: str, what: str) -> str:
    """Returns the text in composed form without spaces around it. Raises InvalidInput."""
    stored = unicodedata.normalize("NFC", text).strip()
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in stored):
        raise InvalidInput(f"{what} must be text of one line, got {stored[:64]!r}")
    return stored
