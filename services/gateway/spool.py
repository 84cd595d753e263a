"""Uploads that are not complete: a file of what has arrived, and a record beside it.

An upload is known by its id. The size of its file is how far it has come, also after a crash.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from wordspot.indexer.archive.files import reporting_disk_errors
from wordspot.indexer.archive.permissions import make_folder, open_private
from wordspot.services.gateway.problems import Problem
from wordspot.services.limits import (
    MAX_OPEN_UPLOADS,
    MAX_SPOOL_BYTES,
    MAX_UPLOAD_BYTES,
    MIN_SPOOL_FREE_BYTES,
    UPLOAD_EXPIRY_S,
)

_ID = re.compile(r"[0-9a-f]{32}")
_ACTIVITY = "receiving an upload"


def new_id() -> str:
    """Returns the id of a new upload."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Spooled:
    """An upload.

    id: of this upload.
    archive: that gets the recording.
    filename: for people.
    length: of the whole file, in bytes.
    sha256: that the file must have, hexadecimal; empty where the client did not say.
    tags: of the recording.
    recording: what became of it, as JSON; None until it is complete.
    already_present: whether the archive held the content already.
    request_id: of the call that hands it to the archive, however often that is made.
    """

    id: str
    archive: str
    filename: str
    length: int
    sha256: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    recording: Mapping[str, Any] | None = None
    already_present: bool = False
    request_id: str = field(default_factory=new_id)


class Spool:
    """The uploads in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, upload: Spooled) -> None:
        """Begins an upload. Raises Problem, Exhausted."""
        if not 1 <= upload.length <= MAX_UPLOAD_BYTES:
            raise Problem(
                413 if upload.length else 400,
                f"a file must have 1 to {MAX_UPLOAD_BYTES:,} bytes, got {upload.length:,}",
                kind="upload-too-large",
                field="Upload-Length",
                limit=MAX_UPLOAD_BYTES,
            )
        with reporting_disk_errors(_ACTIVITY):
            make_folder(self._folder)
            self.sweep()
            self._check_room(upload.length)
            self._write(upload)
            open_private(self._data(upload.id), "xb").close()

    def load(self, identity: str) -> Spooled:
        """Returns an upload. Raises Problem: 404."""
        with suppress(OSError, ValueError, TypeError):
            if _ID.fullmatch(identity):
                return Spooled(**json.loads(self._card(identity).read_bytes()))
        raise Problem(404, f"no upload {identity!r}: it never began, is done for long or has expired")

    def offset(self, upload: Spooled) -> int:
        """Returns how many bytes have arrived."""
        if upload.recording is not None:
            return upload.length
        with suppress(FileNotFoundError):
            return self._data(upload.id).stat().st_size
        return 0

    def expires(self, upload: Spooled) -> float:
        """Returns when the upload is removed unless more of it arrives, in seconds since the epoch."""
        with suppress(OSError):
            return self._card(upload.id).stat().st_mtime + UPLOAD_EXPIRY_S
        return time.time()

    def open_at(self, upload: Spooled, offset: int) -> BinaryIO:
        """Returns the file, to be continued at an offset; what lies behind is dropped. Raises Exhausted."""
        with reporting_disk_errors(_ACTIVITY):
            os.utime(self._card(upload.id))
            file = self._data(upload.id).open("r+b")
            file.truncate(offset)
            file.seek(offset)
        return file

    def open_complete(self, upload: Spooled) -> BufferedReader:
        """Returns the file, to be read."""
        return self._data(upload.id).open("rb")

    def complete(self, upload: Spooled, recording: Mapping[str, Any], already_present: bool) -> Spooled:
        """Notes what became of an upload, whose file is removed, and returns it."""
        upload = replace(upload, recording=recording, already_present=already_present)
        with reporting_disk_errors(_ACTIVITY):
            self._write(upload)
        self._data(upload.id).unlink(missing_ok=True)
        return upload

    def remove(self, upload: Spooled) -> None:
        """Removes an upload."""
        for path in (self._card(upload.id), self._data(upload.id)):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes the uploads that have expired, and files without a record."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with suppress(OSError):
                    card = path.with_suffix(".json")
                    touched = (card if card.exists() else path).stat().st_mtime
                    if touched + UPLOAD_EXPIRY_S < time.time():
                        path.unlink()

    def _check_room(self, length: int) -> None:
        """Raises Problem."""
        lengths = [upload.length for upload in self._open_uploads()]
        if len(lengths) >= MAX_OPEN_UPLOADS:
            raise Problem(
                429,
                f"{len(lengths):,} uploads are under way, as many as there may be",
                kind="overloaded",
                limit=MAX_OPEN_UPLOADS,
                retry_after=60.0,
            )
        if sum(lengths) + length > MAX_SPOOL_BYTES:
            raise Problem(
                507,
                f"uploads under way may have {MAX_SPOOL_BYTES:,} bytes together, got "
                f"{sum(lengths) + length:,}",
                kind="exhausted",
                limit=MAX_SPOOL_BYTES,
            )
        free = shutil.disk_usage(self._folder).free - MIN_SPOOL_FREE_BYTES
        if length > free:
            raise Problem(
                507, f"the disk has room for {max(free, 0):,} bytes, got {length:,}", kind="exhausted"
            )

    def _open_uploads(self) -> Iterator[Spooled]:
        for path in self._folder.glob("*.json"):
            with suppress(Problem):
                upload = self.load(path.stem)
                if upload.recording is None:
                    yield upload

    def _write(self, upload: Spooled) -> None:
        temporary = self._folder / f"{upload.id}.new"
        with open_private(temporary, "wb") as file:
            file.write(json.dumps(asdict(upload)).encode())
        temporary.replace(self._card(upload.id))

    def _card(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"

    def _data(self, identity: str) -> Path:
        return self._folder / f"{identity}.part"
