"""Files of many queries, one a line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from wordspot.indexer.errors import InvalidInput

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yields the lines that are not empty, with their numbers.

    Only `\n` and `\r\n` end a line: a name may hold whatever else Unicode takes for one. Text is UTF-8
    unless a byte order mark says otherwise; bytes that are not UTF-8 stay what they are in a file's name.

    Raises:
        InvalidInput: the file cannot be read, or is no text.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):
        line = line.removesuffix("\r")
        if "\0" in line:
            raise InvalidInput(f"{path}, line {number} must be text, got a NUL character")
        if line.strip():
            yield number, line


def _text(path: Path) -> str:
    """Returns the text of a file without its byte order mark. Raises InvalidInput."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    marked = (pair for pair in _ENCODINGS if data.startswith(pair[0]))
    mark, encoding = next(marked, (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} must be text in {encoding}, as its first bytes say: {error}") from error
