"""Occurrences as tables, CSV and TSV, and as JSON Lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Sequence

from wordspot.services.escapes import escaped, escaped_json
from wordspot.services.interchange.records import Occurrence
from wordspot.services.interchange.schemas import HIT, named

CSV, TSV = ",", "\t"
COLUMNS = (
    "query",
    "recording",
    "path",
    "start",
    "end",
    "score",
    "p_correct",
    "detected",
    "channel",
    "verdict",
    "author",
)
_VERDICTS = {True: "correct", False: "wrong", None: ""}
FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # begin them in spreadsheets


def write(occurrences: Iterable[Occurrence], delimiter: str, *, bom: bool = False) -> bytes:
    """Returns a table with a head line.

    Texts that a spreadsheet would take for formulas begin with an apostrophe.

    Args:
        occurrences: one a line.
        delimiter: CSV or TSV.
        bom: whether a byte order mark comes first, by which Excel knows UTF-8.
    """
    return table((COLUMNS, *(map(_row, occurrences))), delimiter, bom=bom)


def table(rows: Iterable[Sequence[str | float | None]], delimiter: str, *, bom: bool = False) -> bytes:
    """Returns a table of cells; numbers stay as they are, texts are neutralised."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n" if delimiter == CSV else "\n")
    for row in rows:
        writer.writerow(cell(value) for value in row)
    return (codecs.BOM_UTF8 if bom else b"") + file.getvalue().encode()


def cell(value: str | float | None) -> str:
    """Returns a value as a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = escaped(value)
    return f"'{text}" if text.startswith(FORMULAS) else text


def write_lines(occurrences: Iterable[Occurrence]) -> bytes:
    """Returns JSON Lines, each as the schema of a hit says."""
    lines = (escaped_json(json.dumps(named(HIT) | _object(each), ensure_ascii=False)) for each in occurrences)
    return "".join(f"{line}\n" for line in lines).encode()


def _row(occurrence: Occurrence) -> tuple[str | float | None, ...]:
    return (
        occurrence.query,
        occurrence.recording,
        occurrence.path,
        round(occurrence.start, 3),
        round(occurrence.end, 3),
        occurrence.score,
        occurrence.p_correct,
        "yes" if occurrence.detected else "no",
        occurrence.channel or None,
        _VERDICTS[occurrence.verdict],
        occurrence.author,
    )


def _object(occurrence: Occurrence) -> dict[str, object]:
    """Returns the fields that have a value."""
    fields: dict[str, object] = {
        "query": occurrence.query,
        "recording": occurrence.recording,
        "path": occurrence.path,
        "start": occurrence.start,
        "end": occurrence.end,
    }
    if occurrence.score is not None:
        fields |= {"score": occurrence.score, "p_correct": occurrence.p_correct}
    fields["detected"] = occurrence.detected
    if occurrence.channel:
        fields["channel"] = occurrence.channel
    if occurrence.tags:
        fields["tags"] = dict(occurrence.tags)
    if occurrence.verdict is not None:
        fields |= {"verdict": occurrence.verdict, "author": occurrence.author}
    return fields
