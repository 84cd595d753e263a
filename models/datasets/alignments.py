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

from wordspot.models.espeak import TimedLabel

FOLDER = Path(__file__).parent / "annotations"
TICKS_PER_SECOND = 100


@cache
def words() -> dict[str, tuple[TimedLabel, ...]]:
    """Returns words in lower case in order, by clip id (`queen/260023P3`)."""
    return {
        f"queen/{row['id']}": tuple((word, start, end) for word, start, end in row["words"])
        for row in _rows("queen_words.jsonl.gz")
    }


@cache
def phones() -> dict[str, tuple[TimedLabel, ...]]:
    """Returns phones by the names of the CMU dictionary, and SIL, without gaps, by clip id."""
    return {
        f"queen/{row['id']}": tuple(
            (phone, start / TICKS_PER_SECOND, (start + length) / TICKS_PER_SECOND)
            for phone, start, length in row["phones"]
        )
        for row in _rows("queen_phones.jsonl.gz")
    }


@cache
def query_clips() -> frozenset[str]:
    """Returns the ids of the training clips out of which the development queries are cut; what these queries
    evaluate should not have trained on them."""
    return frozenset((FOLDER / "queen_queries.txt").read_text(encoding="utf-8").split())


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
