"""Tables of tags by path: CSV files, as spreadsheets and databases write them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import path_text
from wordspot.indexer.tags import checked_key, checked_tags
from wordspot.services.client.tables import read_table
from wordspot.v1 import archive_pb2

PATH_COLUMNS = ("path", "file", "filename", "file name", "recording")

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
    table: dict[str, dict[str, str]] = {}
    for line, row in read_table(path, PATH_COLUMNS):
        column = next(name for name in row if name in PATH_COLUMNS)
        if not (name := row[column].strip()):
            raise InvalidInput(f"{path}, line {line} must have a {column}, got an empty cell")
        cells = {key.replace(" ", "_"): cell for key, cell in row.items() if key and key != column}
        for key in cells:
            _checked(path, line, {key: "1900"})
        tags = {key: cell for key, cell in cells.items() if cell.strip()}
        table.setdefault(name, {}).update(_checked(path, line, tags))
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


def _checked(path: Path, line: int, tags: Mapping[str, str]) -> dict[str, str]:
    """Raises InvalidInput, which names the line."""
    try:
        return checked_tags(tags)
    except InvalidInput as error:
        raise InvalidInput(f"{path}, line {line}: {error}") from error
