"""Names of files that every file system takes and that no terminal, shell or archive stumbles over."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from wordspot.indexer.paths import readable
from wordspot.services.limits import MAX_FILE_NAME_BYTES

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(rf'[{_CONTROLS}/\\:*?"<>|]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # to Windows, with any ending
UNNAMED = "recording"


def safe_stem(path: str) -> str:
    r"""Returns the name of a file without folder and ending.

    A byte that is not UTF-8 becomes `%FF`; control characters, marks of direction and what some file system
    does not allow become `_`.
    """
    stem = PurePosixPath(path).stem
    escaped = "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in stem)
    safe = _UNSAFE.sub("_", unicodedata.normalize("NFC", readable(escaped))).strip().rstrip(" .")
    if _RESERVED.match(safe) or safe.startswith((".", "-")):
        safe = f"_{safe}"
    return safe or UNNAMED


def shortened(text: str, max_bytes: int) -> str:
    """Returns as many characters from the start as fit into so many bytes of UTF-8."""
    return text.encode()[: max(max_bytes, 0)].decode(errors="ignore")


class FileNames:
    """Gives names that differ, also where a file system does not tell capitals or ways to write an accent."""

    def __init__(self, max_bytes: int = MAX_FILE_NAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._taken: set[str] = set()

    def take(self, stem: str, suffix: str) -> str:
        """Returns stem and suffix, shortened and with a number where needed."""
        number = 1
        while True:
            end = f"_{number}{suffix}" if number > 1 else suffix
            name = shortened(stem, self._max_bytes - len(end.encode())) + end
            key = unicodedata.normalize("NFKC", name).casefold()
            if key not in self._taken:
                self._taken.add(key)
                return name
            number += 1
