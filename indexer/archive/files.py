"""Durable operations on files."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from wordspot.indexer.archive.permissions import open_private
from wordspot.indexer.errors import ArchiveError, Exhausted, StorageFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FAILED = (
    errno.EIO,
    errno.EROFS,
    errno.ENXIO,
    errno.ENODEV,
    errno.ESTALE,
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
)


def sync_file(file: IO[Any]) -> None:
    """Returns once the file's content is on the device."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Returns once the names created, renamed or removed in the directory are on the device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(source: Path, target: Path) -> None:
    """Renames a synced file or a directory of synced files within one file system."""
    source.replace(target)
    sync_directory(target.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file of this user alone atomically: after a crash it has either its old or its new content."""
    temporary = path.with_name(f"tmp-{path.name}")
    with open_private(temporary, "wb") as file:
        file.write(data)
        sync_file(file)
    replace_durably(temporary, path)


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Removes a file or a directory; what cannot be removed remains for the next start."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def reporting_full_disk(activity: str) -> Iterator[None]:
    """Raises Exhausted for a full disk or quota; other OS errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Exhausted(f"no space left on the disk while {activity}") from error
        raise


@contextmanager
def reporting_disk_errors(activity: str) -> Iterator[None]:
    """Raises Exhausted for a full disk or quota, StorageFailed for any other OS error of a file."""
    try:
        with reporting_full_disk(activity):
            yield
    except ArchiveError:
        raise
    except OSError as error:
        raise StorageFailed(f"the disk failed while {activity}: {error.strerror or error}") from error


def disk_error(error: BaseException) -> ArchiveError | None:
    """Returns what an OS error of a disk means to a caller, without a path; None for any other exception."""
    if not isinstance(error, OSError) or isinstance(error, ArchiveError):
        return None
    if error.errno in _FULL:
        return Exhausted("no space left on the disk")
    if error.errno in _FAILED:
        return StorageFailed(f"the disk failed: {error.strerror}")
    return None
