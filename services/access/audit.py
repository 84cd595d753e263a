"""An audit log: who called what, when, and how it ended, one JSON object a line."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wordspot.services.errors import ServiceError

FILE_MODE = 0o600


class AuditLog:
    """Appends entries to a file, each with one write, which other processes may append to as well.

    Rotated files are noticed: an entry goes to the file that has the path when it is written.

    Args:
        path: of the file, which is made if it is missing.

    Raises:
        ServiceError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = self._opened()

    def write(self, **entry: Any) -> None:
        """Appends an entry. Raises ServiceError: what cannot be recorded is not to be answered."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, **entry}, ensure_ascii=True) + "\n"
        with self._lock:
            if self._is_rotated():
                os.close(self._descriptor)
                self._descriptor = self._opened()
            try:
                os.write(self._descriptor, line.encode())
            except OSError as error:
                raise ServiceError(f"the audit log cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            os.close(self._descriptor)

    def _is_rotated(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return True
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise ServiceError(f"the audit log {self._path} cannot be written: {error.strerror}") from error
