"""Permissions in a home: what is stored is this user's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = 0o077  # permissions of the group and of everybody else


def make_folder(path: Path) -> None:
    """Makes a folder that only this user may enter, and those above it, unless there is one."""
    path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def open_private(path: Path, mode: str) -> BinaryIO:
    """Opens a file in a binary mode of `open`; a new one only this user may read."""
    return cast(BinaryIO, open(path, mode, opener=_private))


def create(path: Path) -> None:
    """Creates an empty file that only this user may read, unless there is one."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))


def exposure(root: Path) -> str:
    """Returns who besides this user may enter a folder, in words; empty if nobody may."""
    state = root.stat()
    mode = stat.S_IMODE(state.st_mode)
    if state.st_uid not in (os.geteuid(), 0):
        return f"it belongs to another user, {state.st_uid}"
    if mode & 0o007:
        return f"every user of this machine may enter it, its mode is {mode:04o}"
    if mode & _OTHERS:
        return f"its group may enter it, its mode is {mode:04o}"
    return ""


def tighten(root: Path) -> None:
    """Takes from others what permissions they have on this user's folder and on what lies in it.

    A folder that they may not enter is left as it is, and so is another user's.
    """
    if not _is_open_to_others(root):
        return
    root.chmod(FOLDER_MODE)
    for path in _below(root):
        with suppress(OSError):  # gone meanwhile
            if _is_open_to_others(path):
                path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~_OTHERS)


def _below(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def _is_open_to_others(path: Path) -> bool:
    state = path.lstat()
    return state.st_uid == os.geteuid() and not stat.S_ISLNK(state.st_mode) and bool(state.st_mode & _OTHERS)


def _private(path: Any, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
