"""When each word and phone of Flight of the Amazon Queen is spoken, by forced alignment of its subtitles.

The files in `annotations/` ship with the package, their licence beside them. Clips whose subtitle could not
be aligned entirely are absent.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "annotations"
TICKS_PER_SECOND = 100

Span = tuple[str, float, float]
"""What is said, start and end in seconds."""


@cache
def words() -> dict[str, tuple[Span, ...]]:
    """Lower-case words in order, by clip id (`queen/260023P3`)."""
    return {
        f"queen/{row['id']}": tuple((word, start, end) for word, start, end in row["words"])
        for row in _rows("queen_words.jsonl.gz")
    }


@cache
def phones() -> dict[str, tuple[Span, ...]]:
    """Phones by the names of the CMU dictionary, and SIL, without gaps, by clip id."""
    return {
        f"queen/{row['id']}": tuple(
            (phone, start / TICKS_PER_SECOND, (start + length) / TICKS_PER_SECOND)
            for phone, start, length in row["phones"]
        )
        for row in _rows("queen_phones.jsonl.gz")
    }


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
