"""Locks of archives: one change of an archive's segments at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wordspot.indexer.errors import FailedPrecondition


class ArchiveLocks:
    """Locks by archive, each held for a named activity. Acquiring a held lock fails at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._activities: dict[str, str] = {}

    def acquire(self, archive: str, activity: str) -> None:
        """Locks the archive. Raises FailedPrecondition if it is locked."""
        with self._lock:
            if archive in self._activities:
                raise FailedPrecondition(
                    f"archive {archive!r} is busy with {self._activities[archive]}; {activity} has to wait "
                    "for its end"
                )
            self._activities[archive] = activity

    def release(self, archive: str) -> None:
        """Unlocks the archive."""
        with self._lock:
            del self._activities[archive]

    @contextmanager
    def holding(self, archive: str, activity: str) -> Iterator[None]:
        """Locks the archive inside the context. Raises FailedPrecondition if it is locked."""
        self.acquire(archive, activity)
        try:
            yield
        finally:
            self.release(archive)
