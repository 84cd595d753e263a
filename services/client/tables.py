"""Tables in text: CSV and TSV, as spreadsheets and databases write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.texts import file_text

_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 64 * 1024


def read_table(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the rows that are not empty: number of the line, and cell by name of the column.

    The first line names the columns; their names are in small letters here. Delimiter and quotes are found
    out, a byte order mark says how the text is encoded.

    Args:
        path: of the file.
        wanted: names of columns, one of which it has.

    Raises:
        InvalidInput: if it cannot be read or is no such table.
    """
    text = file_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), _dialect(text))
    try:
        names = _names(path, next(rows, []), wanted)
        for row in rows:
            if len(row) > len(names):
                raise InvalidInput(
                    f"{path}, line {rows.line_num} must have at most {len(names)} cells, got {len(row)}"
                )
            if any(cell.strip() for cell in row):
                yield rows.line_num, dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {rows.line_num}: {error}") from error


def _dialect(text: str) -> type[csv.Dialect]:
    """Returns how the table is written; that of spreadsheets where a sample does not show it."""
    try:
        dialect = csv.Sniffer().sniff(text[:_SAMPLE_CHARACTERS], _DELIMITERS)
    except csv.Error:
        return csv.excel
    dialect.doublequote = True  # taken for absent where the sample has none
    return dialect


def _names(path: Path, header: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Raises InvalidInput."""
    names = [cell.strip().lower() for cell in header]
    if not set(names) & set(wanted):
        raise InvalidInput(
            f"the first line of {path} must name its columns, one of them {' or '.join(wanted)}, got "
            f"{', '.join(map(repr, header)) or 'nothing'}"
        )
    if twice := next((name for number, name in enumerate(names) if name and name in names[:number]), None):
        raise InvalidInput(f"{path} must have each column once, got {twice!r} twice")
    return names
