"""Uploads: files that clients send in chunks."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

from sqlalchemy import func, select

from wordspot.indexer.archive import files, permissions
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.summaries import RecordingSummary
from wordspot.indexer.archive.tables import Recording
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.faults import reach

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class Upload:
    """Receives the chunks of one file, which are removed unless `finish` returns."""

    def __init__(
        self,
        directory: Path,
        filename: str,
        sha256: str,
        size: int,
        accept: Callable[[Path], tuple[RecordingSummary, bool]],
    ) -> None:
        """Begins an upload.

        Args:
            directory: of uploads in progress.
            filename: of the client; its suffix is kept.
            sha256: announced, hexadecimal.
            size: announced, in bytes.
            accept: takes the complete, checked and synced file and returns what `finish` returns.

        Raises:
            Exhausted: on a full disk, as all methods.
        """
        self._path = directory / f"{uuid.uuid4().hex}{safe_suffix(filename)}"
        self._sha256 = sha256
        self._size = size
        self._accept = accept
        self._received = 0
        self._digest = hashlib.sha256()
        with files.reporting_disk_errors("receiving an upload"):
            self._file = permissions.open_private(self._path, "xb")
        try:
            with files.reporting_disk_errors("receiving an upload"):
                reach("upload-begun")
        except BaseException:
            self.abort()
            raise

    def write(self, chunk: bytes) -> None:
        """Appends a chunk. Raises InvalidInput as soon as the file is larger than announced."""
        self._received += len(chunk)
        if self._received > self._size:
            raise InvalidInput(f"the upload must have the announced {self._size} bytes, got more")
        self._digest.update(chunk)
        with files.reporting_disk_errors("receiving an upload"):
            self._file.write(chunk)

    def finish(self) -> tuple[RecordingSummary, bool]:
        """Completes the upload.

        Returns:
            The recording, and whether its content was in the archive before.

        Raises:
            InvalidInput: if size or SHA-256 differ from those announced, or the content is not audio.
        """
        try:
            if self._received != self._size:
                raise InvalidInput(
                    f"the upload must have the announced {self._size} bytes, got {self._received}"
                )
            sha256 = self._digest.hexdigest()
            if sha256 != self._sha256:
                raise InvalidInput(f"the upload must have the announced SHA-256 {self._sha256}, got {sha256}")
            with files.reporting_disk_errors("receiving an upload"):
                files.sync_file(self._file)
                self._file.close()
                reach("upload-written")
            return self._accept(self._path)
        finally:
            self.abort()

    def abort(self) -> None:
        """Removes what was received. Does nothing after `finish`."""
        try:
            self._file.close()
        except OSError:
            # Closing writes what is buffered, to a disk that may be full.
            pass
        finally:
            files.remove(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.abort()


class StoredAudio:
    """The files that clients have uploaded.

    Attributes:
        lock: held while these files and the recordings that refer to them change together.
    """

    def __init__(self, catalogue: Catalogue, home: Home) -> None:
        self._catalogue, self._home = catalogue, home
        self.lock = threading.Lock()

    def remove_unreferenced(self, location: str) -> None:
        """Removes an uploaded file that no recording refers to; files added by path are never removed."""
        if Path(location).is_absolute():
            return
        with self._catalogue.reading() as session:
            references = session.scalar(
                select(func.count()).where(Recording.location == location, Recording.deleted_at.is_(None))
            )
        if not references:
            files.remove(self._home.locate(location))


def safe_suffix(filename: str) -> str:
    """Returns the suffix of a client's file name if it is harmless, else an empty string."""
    suffix = Path(filename).suffix
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else ""
