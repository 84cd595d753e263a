"""Files of many queries, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.texts import file_text


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yields the lines that are not empty, with their numbers.

    Only `\n` and `\r\n` end a line: a name may hold whatever else Unicode takes for one. Text is UTF-8
    unless a byte order mark says otherwise; bytes that are not UTF-8 stay what they are in a file's name.

    Raises:
        InvalidInput: the file cannot be read, or is no text.
    """
    yield from lines_of(file_text(path), str(path))


def lines_of(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Yields lines as `numbered_lines` does. name: of where the text comes from. Raises InvalidInput."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if "\0" in line:
            raise InvalidInput(f"{name}, line {number} must be text, got a NUL character")
        if line.strip():
            yield number, line
