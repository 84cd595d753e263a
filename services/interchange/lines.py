"""Occurrences from JSON Lines: of `wordspot search --json`, or an earlier export."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.records import Occurrence
from wordspot.services.interchange.schemas import HIT, SEARCH

_Object = Mapping[str, Any]


@dataclass(frozen=True)
class HitLine:
    """A line that was read.

    Attributes:
        archive: in which the hits are; empty where the line does not say.
        occurrences: of one query, which may be none.
    """

    archive: str
    occurrences: tuple[Occurrence, ...]


def read_lines(lines: Iterable[str], name: str) -> Iterator[HitLine]:
    """Yields what each line holds; empty lines are left out.

    name: of the source, for messages. Raises InvalidInput, with the number of the line.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise InvalidInput(f"{place} must be JSON, as `wordspot search --json` prints it") from None
        if not isinstance(value, dict):
            raise InvalidInput(f"{place} must be a JSON object, got {_kind(value)}")
        yield _hit_line(value, place)


def _hit_line(value: _Object, place: str) -> HitLine:
    """Raises InvalidInput."""
    schema = value.get("schema", SEARCH if "hits" in value else HIT)
    if schema == HIT:
        return HitLine("", (_occurrence(value, _text(value, "query", place), place),))
    if schema != SEARCH:
        raise InvalidInput(f"{place}: schema must be {SEARCH} or {HIT}, got {str(schema)[:80]!r}")
    hits = value.get("hits")
    if not isinstance(hits, list) or not all(isinstance(hit, dict) for hit in hits):
        raise InvalidInput(f"{place}: hits must be a list of objects, got {_kind(hits)}")
    label = _text(value, "label" if "label" in value else "query", place)
    archive = _text(value, "archive", place) if "archive" in value else ""
    return HitLine(archive, tuple(_occurrence(hit, label, place) for hit in hits))


def _occurrence(value: _Object, query: str, place: str) -> Occurrence:
    """Raises InvalidInput."""
    start, end = _number(value, "start", place), _number(value, "end", place)
    if not 0 <= start <= end:
        raise InvalidInput(f"{place}: start and end must be 0 <= start <= end, got {start:g} and {end:g}")
    tags, channel, verdict = value.get("tags") or {}, value.get("channel") or 0, value.get("verdict")
    if not isinstance(tags, dict) or not all(isinstance(tag, str) for tag in tags.values()):
        raise InvalidInput(f"{place}: tags must be texts by name, got {_kind(tags)}")
    if not isinstance(channel, int) or channel < 0:
        raise InvalidInput(f"{place}: channel must be a number from 0 on, got {str(channel)[:80]}")
    if not isinstance(verdict, bool | None):
        raise InvalidInput(f"{place}: verdict must be true or false, got {_kind(verdict)}")
    return Occurrence(
        query=query,
        recording=_text(value, "recording", place),
        path=_text(value, "path", place),
        start=start,
        end=end,
        score=_number(value, "score", place) if value.get("score") is not None else None,
        p_correct=_number(value, "p_correct", place) if value.get("p_correct") is not None else None,
        detected=value.get("detected") is not False,
        channel=channel,
        tags=tags,
        verdict=verdict,
        author=_text(value, "author", place) if "author" in value else "",
    )


def _text(value: _Object, field: str, place: str) -> str:
    """Raises InvalidInput."""
    text = value.get(field)
    if not isinstance(text, str):
        raise InvalidInput(f"{place}: {field} must be a text, got {_kind(text)}")
    return text


def _number(value: _Object, field: str, place: str) -> float:
    """Raises InvalidInput."""
    number = value.get(field)
    if isinstance(number, bool) or not isinstance(number, int | float) or not _finite(number):
        raise InvalidInput(f"{place}: {field} must be a finite number, got {_kind(number)}")
    return float(number)


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # of an integer beyond all floats
        return False


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value) if isinstance(value, int | float) else type(value).__name__
