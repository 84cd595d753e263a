"""Tables of tags by path: CSV files, as spreadsheets and databases write them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import path_text
from wordspot.indexer.tags import checked_key, checked_tags
from wordspot.services.client.texts import file_text
from wordspot.v1 import archive_pb2

PATH_COLUMNS = ("path", "file", "filename", "file name", "recording")
_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 64 * 1024

TagsByPath = Mapping[str, Mapping[str, str]]
"""Tags by the path of a recording, or the end of it."""


def read_tag_table(path: Path) -> dict[str, dict[str, str]]:
    """Returns the tags of a CSV file by the path in their rows.

    The first line names the columns. One of them is `path`, `file`, `filename` or `recording`: a path, or the
    end of one, or an id. The others are keys of tags, in small letters, with `_` for spaces; an empty cell
    says nothing. Delimiter and quotes are found out, a byte order mark says how the text is encoded.

    Raises:
        InvalidInput: the file cannot be read, is no such table, or holds a tag that is not valid.
    """
    text = file_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), _dialect(text))
    try:
        header = next(rows, [])
        column, keys = _columns(path, header)
        table: dict[str, dict[str, str]] = {}
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            name = row[column].strip() if column < len(row) else ""
            if not name or len(row) > len(header):
                raise InvalidInput(
                    f"{path}, line {rows.line_num} must have a path and at most {len(header)} cells, got "
                    f"{len(row)} cells"
                )
            tags = {key: cell for key, cell in zip(keys, row, strict=False) if key and cell.strip()}
            table.setdefault(name, {}).update(_checked(path, rows.line_num, tags))
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {rows.line_num}: {error}") from error
    return table


def tag_updates(
    tags_by_path: TagsByPath, added: Sequence[tuple[Path, str, bool]]
) -> list[archive_pb2.RecordingUpdate]:
    """Returns the changes that a table asks for.

    added: absolute path, id and more of files just added, which are known by that path whatever name their
    content had before. Other names are left to the archive.
    """
    ids = {path_text(path): identity for path, identity, _ in added}
    by_name: dict[str, set[str]] = {}
    for path in ids:
        by_name.setdefault(path.rpartition("/")[2], set()).add(path)
    updates = []
    for name, tags in tags_by_path.items():
        wanted = path_text(name).removeprefix("./")
        absolute = path_text(os.path.normpath(Path(name).absolute()))
        ends = [path for path in by_name.get(wanted.rpartition("/")[2], ()) if path.endswith(f"/{wanted}")]
        found = ids.get(absolute) or (ids[ends[0]] if len(ends) == 1 else "")
        if found:
            updates.append(archive_pb2.RecordingUpdate(recording=found, tags=tags))
        else:
            updates.append(recording_update(name, tags=tags))
    return updates


def recording_update(
    recording: str, *, tags: Mapping[str, str], removed: Sequence[str] = (), replace: bool = False
) -> archive_pb2.RecordingUpdate:
    """Returns a change of one recording. recording: its id, its path or the end of it.

    Raises InvalidInput.
    """
    update = archive_pb2.RecordingUpdate(
        tags=checked_tags(tags), removed_tags=map(checked_key, removed), replace_tags=replace
    )
    if _is_id(recording):
        update.recording = recording
    else:
        update.path = path_text(recording)
    return update


def _is_id(recording: str) -> bool:
    return len(recording) == 16 and set(recording) <= set("0123456789abcdef")


def _dialect(text: str) -> type[csv.Dialect]:
    """Returns how the table is written; that of spreadsheets where a sample does not show it."""
    try:
        dialect = csv.Sniffer().sniff(text[:_SAMPLE_CHARACTERS], _DELIMITERS)
    except csv.Error:
        return csv.excel
    dialect.doublequote = True  # taken for absent where the sample has none
    return dialect


def _columns(path: Path, header: Sequence[str]) -> tuple[int, list[str]]:
    """Returns which column holds paths, and the key of each, empty for that one. Raises InvalidInput."""
    names = [cell.strip().lower() for cell in header]
    column = next((number for number, name in enumerate(names) if name in PATH_COLUMNS), None)
    if column is None:
        raise InvalidInput(
            f"the first line of {path} must name its columns, one of them {' or '.join(PATH_COLUMNS)}, got "
            f"{', '.join(map(repr, header)) or 'nothing'}"
        )
    keys = [name.replace(" ", "_") for name in names]
    keys[column] = ""
    for number, key in enumerate(keys):
        if key:
            _checked(path, 1, {key: "1900"})
        if key and key in keys[:number]:
            raise InvalidInput(f"{path} must have each column once, got {key!r} twice")
    return column, keys


def _checked(path: Path, line: int, tags: Mapping[str, str]) -> dict[str, str]:
    """Raises InvalidInput, which names the line."""
    try:
        return checked_tags(tags)
    except InvalidInput as error:
        raise InvalidInput(f"{path}, line {line}: {error}") from error
