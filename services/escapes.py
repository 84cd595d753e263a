"""Text that a terminal shows as it is: characters that would steer the terminal are escaped.

Names of files may hold any of them: escape sequences, which move the cursor or set the title, ends of lines,
marks that turn the direction of writing, and bytes that are not UTF-8.
"""

from __future__ import annotations

import logging
import re

_CONTROLS = "\x00-\x1f\x7f-\x9f"
_SEPARATORS = "\u2028\u2029"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SURROGATES = "\ud800-\udfff"
_UNSAFE = f"{_CONTROLS}{_SEPARATORS}{_DIRECTIONS}{_SURROGATES}"
_IN_LINE = re.compile(f"[{_UNSAFE}]")
_IN_TEXT = re.compile(f"(?![\n\t])[{_UNSAFE}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FIRST_ESCAPED_BYTE = 0xDC00  # of a byte that is not UTF-8, as Python has it in names of files


def escaped(text: str) -> str:
    r"""Returns the text in one line: `\x1b` for an escape, `\n` for an end of line, `\xff` for a byte that is
    not UTF-8."""
    return _IN_LINE.sub(_escape, text)


def escaped_text(text: str) -> str:
    """Returns the text escaped in the same way but for its ends of lines and tabs."""
    return _IN_TEXT.sub(_escape, text)


def escaped_json(text: str) -> str:
    """Returns JSON of the same value without such characters, which can only be inside of its strings."""
    return _IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class EscapingFormatter(logging.Formatter):
    """Formats records of a log for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text of a record, with its traceback."""
        return escaped_text(super().format(record))


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0x80 <= number - _FIRST_ESCAPED_BYTE <= 0xFF:
        return f"\\x{number - _FIRST_ESCAPED_BYTE:02x}"
    return _SHORT.get(match[0]) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
