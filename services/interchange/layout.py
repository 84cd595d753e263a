"""Occurrences to tiers: one a query, more where they overlap, which annotation programs do not allow."""

from __future__ import annotations

from collections.abc import Iterable

from wordspot.services.interchange.records import (
    MS_PER_SECOND,
    Annotation,
    Occurrence,
    Tier,
    to_ms,
)
from wordspot.services.interchange.text import one_line, unique

UNNAMED_QUERY = "query"
UNCERTAIN, WRONG = " ?", " (wrong)"


def grouped_by_recording(occurrences: Iterable[Occurrence]) -> list[list[Occurrence]]:
    """Returns the occurrences of each recording, in order of its first."""
    groups: dict[str, list[Occurrence]] = {}
    for occurrence in occurrences:
        groups.setdefault(occurrence.recording or occurrence.path, []).append(occurrence)
    return list(groups.values())


def query_name(occurrence: Occurrence) -> str:
    """Returns the name of the tier of an occurrence."""
    name = one_line(occurrence.query) or UNNAMED_QUERY
    return f"{name} (channel {occurrence.channel})" if occurrence.channel else name


def annotation_text(occurrence: Occurrence, *, with_scores: bool = False) -> str:
    """Returns the query, marked where the hit is uncertain, or was found wrong."""
    text = one_line(occurrence.query) or UNNAMED_QUERY
    if occurrence.uncertain:
        text += UNCERTAIN
    if occurrence.verdict is False:
        text += WRONG
    if with_scores and occurrence.score is not None:
        text += f" {occurrence.score:.2f}"
    return text


def tiers_of(occurrences: Iterable[Occurrence], *, with_scores: bool = False) -> list[Tier]:
    """Returns a tier a query, in order of first occurrence, and behind it more for what overlaps in it.

    Args:
        occurrences: of one recording.
        with_scores: whether texts end with the score.
    """
    queries: dict[str, list[Annotation]] = {}
    for occurrence in occurrences:
        start = to_ms(max(occurrence.start, 0.0))
        end = max(to_ms(occurrence.end), start + 1)
        text = annotation_text(occurrence, with_scores=with_scores)
        queries.setdefault(query_name(occurrence), []).append(
            Annotation(start / MS_PER_SECOND, end / MS_PER_SECOND, text)
        )
    tiers: list[Tier] = []
    taken: set[str] = set(queries)
    for name, group in queries.items():
        for number, lane in enumerate(_lanes(group)):
            tiers.append(Tier(unique(name, taken) if number else name, lane))
    return tiers


def _lanes(annotations: Iterable[Annotation]) -> list[list[Annotation]]:
    """Returns the annotations in as few lists as hold them without overlaps, each in order of time."""
    lanes: list[list[Annotation]] = []
    for annotation in sorted(annotations, key=lambda each: (each.start, each.end)):
        free = next((lane for lane in lanes if lane[-1].end <= annotation.start), None)
        if free is None:
            lanes.append([annotation])
        else:
            free.append(annotation)
    return lanes
