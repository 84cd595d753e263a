"""A file on its way into the archive."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from wordspot.indexer import files
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.faults import reach
from wordspot.indexer.summaries import RecordingSummary

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class Upload:
    """Receives chunks; nothing of it is kept unless `finish` returns.

    accept: takes the complete, checked, synced file and returns what `finish` does.
    Raises Exhausted on a full disk.
    """

    def __init__(
        self,
        directory: Path,
        filename: str,
        sha256: str,
        size: int,
        accept: Callable[[Path], tuple[RecordingSummary, bool]],
    ) -> None:
        self._path = directory / f"{uuid.uuid4().hex}{safe_suffix(filename)}"
        self._sha256 = sha256
        self._size = size
        self._accept = accept
        self._received = 0
        self._digest = hashlib.sha256()
        with files.storing("receiving an upload"):
            self._file = self._path.open("xb")
        try:
            with files.storing("receiving an upload"):
                reach("upload-begun")
        except BaseException:
            self.abort()
            raise

    def write(self, chunk: bytes) -> None:
        """Raises InvalidInput as soon as there is more than was announced."""
        self._received += len(chunk)
        if self._received > self._size:
            raise InvalidInput(f"more than the announced {self._size} bytes arrived")
        self._digest.update(chunk)
        with files.storing("receiving an upload"):
            self._file.write(chunk)

    def finish(self) -> tuple[RecordingSummary, bool]:
        """The recording, and whether the archive already held its content.

        Raises InvalidInput if size, SHA-256 or content are not what was announced.
        """
        try:
            if self._received != self._size:
                raise InvalidInput(f"{self._received} bytes arrived of the announced {self._size}")
            found = self._digest.hexdigest()
            if found != self._sha256:
                raise InvalidInput(f"the content has SHA-256 {found}; {self._sha256} was announced")
            with files.storing("receiving an upload"):
                files.sync_file(self._file)
                self._file.close()
                reach("upload-written")
            return self._accept(self._path)
        finally:
            self.abort()

    def abort(self) -> None:
        """Forgets what arrived. Does nothing after `finish`."""
        try:
            self._file.close()
        except OSError:
            # Closing writes what is buffered, to a disk that may be full.
            pass
        finally:
            files.remove(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def safe_suffix(filename: str) -> str:
    """The ending of a client's file name if it is harmless, else nothing."""
    suffix = Path(filename).suffix
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else ""
