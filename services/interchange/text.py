"""Text from and for files of other programs."""

from __future__ import annotations

import codecs
import re

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import readable

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NONCHARACTERS = re.compile("[\ufffe\uffff]")  # which XML does not allow


def decoded(data: bytes, name: str, encoding: str = "") -> str:
    r"""Returns the text of a file, with `\n` at the ends of lines.

    Args:
        data: its bytes.
        name: of the file, for messages.
        encoding: its encoding; empty for what its byte order mark says, or UTF-8.

    Raises:
        InvalidInput: it is no text of that encoding.
    """
    mark, found = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    used = encoding or found
    try:
        text = data[0 if encoding else len(mark) :].decode(used)
    except LookupError:
        raise InvalidInput(f"the encoding must be one such as utf-8 or cp1252, got {used!r}") from None
    except UnicodeDecodeError as error:
        got = f"got the byte 0x{data[error.start + len(mark) * (not encoding)]:02x} at {error.start}"
        hint = "" if encoding or mark else "; name another with --encoding, or save it as UTF-8"
        raise InvalidInput(f"{name} must be text in {used.upper()}, {got}{hint}") from None
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise InvalidInput(f"{name} must be text, got a NUL character at {text.index(chr(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def one_line(text: str) -> str:
    r"""Returns text that every format can hold: in one line, without control characters, `\xff` for a byte
    that is not UTF-8."""
    return " ".join(_NONCHARACTERS.sub("", _CONTROLS.sub(" ", readable(text))).split())


def unique(name: str, taken: set[str]) -> str:
    """Returns the name, with a number behind it where it is taken, and takes it."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    taken.add(candidate)
    return candidate
