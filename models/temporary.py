"""Temporary folders that do not outlive their process for long, however it ends.

Each holds a file that its process keeps locked. The kernel lets go of the lock when the process ends, also
when it is killed: a folder whose lock can be had is nobody's, and whoever makes the next one removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "wordspot-"
OWNER = ".owner"  # the locked file
MAX_UNOWNED_S = 3_600  # a process that was killed before it could lock left an empty folder


@contextmanager
def temporary_folder(parent: Path | None = None, *, prefix: str = PREFIX) -> Iterator[Path]:
    """Yields a new folder that only this user may enter, and removes it in the end.

    First removes the folders of this prefix in the same parent whose processes are dead.

    Args:
        parent: where to make it; None for the folder of temporary files.
        prefix: of its name.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(parent, prefix)
    folder, lock = _owned(parent, prefix)
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)
        os.close(lock)


def sweep(parent: Path, prefix: str = PREFIX) -> None:
    """Removes the folders of dead processes; leaves alone what is another user's or was not made here."""
    with suppress(OSError):
        for folder in parent.glob(f"{prefix}*"):
            with suppress(OSError):
                _sweep(folder)


def _owned(parent: Path, prefix: str) -> tuple[Path, int]:
    """Returns a new folder, and the descriptor whose lock says that it is in use."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):  # raised where files cannot be locked: nobody sweeps there
            # Another process may have swept the folder between these lines; then a next one is made.
            if not _locks(lock) or not (folder / OWNER).exists():
                os.close(lock)
                continue
        return folder, lock


def _sweep(folder: Path) -> None:
    """Raises OSError where it cannot be done."""
    status = folder.lstat()
    if status.st_uid != os.geteuid() or folder.is_symlink() or not folder.is_dir():
        return
    try:
        lock = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - status.st_mtime > MAX_UNOWNED_S:
            folder.rmdir()  # refuses what is not empty
        return
    try:
        if _locks(lock):
            _remove(folder)
    finally:
        os.close(lock)


def _locks(descriptor: int) -> bool:
    """Returns whether the file is locked now by this process. Raises OSError where files cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path) -> None:
    """Removes a folder, its lock last: a removal that was cut off can be taken up again. Raises OSError."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != OWNER:
            path.unlink(missing_ok=True)
    (folder / OWNER).unlink(missing_ok=True)
    folder.rmdir()
