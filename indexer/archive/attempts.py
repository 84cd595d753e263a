"""Which recordings were being indexed when a process died, so that none of them makes it die for ever.

A recording is noted before it is read, and the note is removed once its vectors are written. Notes that a new
process finds are of suspects: they are indexed after all others, alone, and MAX_ATTEMPTS times at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wordspot.indexer.archive import permissions

MAX_ATTEMPTS = 5


class Attempts:
    """Notes in a folder, one file a recording. Safe to use from several threads.

    A disk that is full or fails costs the notes only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def counts(self) -> dict[str, int]:
        """Returns how often each recording was begun without an end, by id."""
        try:
            return {path.name: self._count(path) for path in self._folder.iterdir()}
        except OSError:
            return {}

    def begin(self, recording: str) -> None:
        """Notes that indexing a recording begins."""
        path = self._folder / recording
        with suppress(OSError):
            try:
                with permissions.open_private(path, "xb") as file:
                    file.write(b"1")
            except FileExistsError:
                count = self._count(path)
                with permissions.open_private(path, "r+b") as file:
                    file.write(b"%d" % (count + 1))

    def end(self, recordings: Iterable[str]) -> None:
        """Removes the notes of recordings, whether or not there are any."""
        for recording in recordings:
            with suppress(OSError):
                (self._folder / recording).unlink()

    def _count(self, path: Path) -> int:
        try:
            return int(path.read_bytes() or b"0")
        except (OSError, ValueError):
            return 0
