"""Paths as text: reversible, and valid UTF-8 whatever the bytes of a name are.

Messages and databases hold UTF-8 only. A byte that is not UTF-8 becomes a character of a private use area, as
in the encoding OPTU-8 of MirBSD; the bytes of such a character itself are treated in the same way, so that no
two paths have one text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from wordspot.indexer.errors import InvalidInput

_FIRST = 0xEF80 - 0x80  # the character of a byte is that many further
_PRIVATE = re.compile("[\uef80-\uefff]")
_UNDECODABLE = re.compile("[\udc80-\udcff]")
_PRIVATE_AS_BYTES = re.compile("[\uef80-\uefff]+")
_SURROGATES = 0xDC00  # the same for Python's own escapes


def path_text(path: str | Path) -> str:
    """Returns the text of a path. Raises InvalidInput for one that no file could have."""
    text = _PRIVATE.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), str(path))
    text = _UNDECODABLE.sub(lambda match: chr(ord(match[0]) - _SURROGATES + _FIRST), text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"a path must be made of bytes, got {str(path)!r}") from None
    return text


def text_path(text: str) -> Path:
    """Returns the path of a text."""
    return Path(name_of_text(text))


def name_of_text(text: str) -> str:
    """Returns the path of a text as Python has the names of files, which may hold surrogates."""
    restored = _PRIVATE_AS_BYTES.sub(
        lambda match: bytes(ord(character) - _FIRST for character in match[0]).decode(
            "utf-8", "surrogateescape"
        ),
        text,
    )
    return os.fsdecode(os.fsencode(restored))


def readable_path(text: str) -> str:
    """Returns the path of a text as a message shows it."""
    return readable(name_of_text(text))


def readable(text: str) -> str:
    r"""Returns a message with `\xff` for bytes that are not UTF-8, in names of files that it holds."""
    return (
        _UNDECODABLE.sub(lambda match: f"\\x{ord(match[0]) - _SURROGATES:02x}", text)
        .encode("utf-8", "backslashreplace")
        .decode()
    )
