"""Files for a browser to save."""

from __future__ import annotations

from urllib.parse import quote


def attachment(name: str) -> str:
    """Returns the header that has a browser save a file under a name, RFC 6266."""
    ascii_name = "".join(
        character if " " <= character <= "~" and character not in '"\\%' else "_" for character in name
    )
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
