"""A note beside a home that says where its page is, for who wants to open it once more."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from wordspot.indexer.archive.permissions import make_folder, open_private

NOTE = "page"  # name of the file
ANSWER_TIMEOUT_S = 2.0


def note(path: Path, url: str) -> None:
    """Writes where this process serves a page; does nothing where that cannot be written."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        make_folder(path.parent)
        with open_private(temporary, "wb") as file:
            file.write(json.dumps({"url": url, "process": os.getpid()}).encode())
        temporary.replace(path)


def forget(path: Path) -> None:
    """Removes the note of this process."""
    with suppress(OSError, ValueError, KeyError):
        if json.loads(path.read_bytes())["process"] == os.getpid():
            path.unlink()


def served_page(path: Path) -> str | None:
    """Returns the address of a page that is noted and answers; else None."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        url = str(json.loads(path.read_bytes())["url"])
        opener = build_opener(ProxyHandler({}))  # it is on this machine
        with opener.open(f"{url}/health", timeout=ANSWER_TIMEOUT_S) as answer:
            if answer.status == 200:
                return url
    return None
