"""Text files of people, in whatever encoding their programs wrote them."""

from __future__ import annotations

import codecs
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


def file_text(path: Path) -> str:
    """Returns the text of a file without its byte order mark, which says how it is encoded.

    Without a mark it is UTF-8; bytes that are not stay what they are in a file's name. Raises InvalidInput.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    return decoded(data, str(path))


def decoded(data: bytes, name: str) -> str:
    """Returns text as `file_text` does. name: of where the bytes come from. Raises InvalidInput."""
    marked = (pair for pair in _ENCODINGS if data.startswith(pair[0]))
    mark, encoding = next(marked, (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} must be text in {encoding}, as its first bytes say: {error}") from error
