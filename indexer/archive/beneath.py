"""Opening files beneath a folder so that no link, no `..` and no exchange on the way leads out of it.

The kernel resolves the path in one call where it has openat2(2); elsewhere each folder on the way is opened
from the one before it. Neither follows a link: who wants links followed resolves them first, and opens where
they led.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from wordspot.indexer.sound.opened import READING

_SYS_OPENAT2 = 437  # on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
# The system call is missing, or forbidden by a sandbox that does not know it.
_UNSUPPORTED = (errno.ENOSYS, errno.EPERM)
_MAX_INTERRUPTED_ATTEMPTS = 16  # the kernel answers EAGAIN while something on the way is renamed
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: Path, path: Path) -> int:
    """Returns a descriptor of the file, open for reading; no part of its path may be a link.

    Args:
        root: an absolute path.
        path: an absolute path below the root.

    Raises:
        OSError: if it cannot be opened; ELOOP or ENOTDIR where there is a link, EXDEV if it is not below the
            root.
    """
    if ".." in path.parts or not path.is_relative_to(root):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
    top = os.open("/", _FOLDER)
    try:
        if len(root.parts) == 1:  # it is the root
            return _opened(top, path.relative_to(root), READING | os.O_NOFOLLOW)
        folder = _opened(top, root.relative_to("/"), _FOLDER)
        try:
            return _opened(folder, path.relative_to(root), READING | os.O_NOFOLLOW)
        finally:
            os.close(folder)
    finally:
        os.close(top)


def _opened(folder: int, path: PurePath, flags: int) -> int:
    """Returns a descriptor of what lies at a relative path below an open folder. Raises OSError."""
    for _ in range(_MAX_INTERRUPTED_ATTEMPTS):
        try:
            return _openat2(folder, path, flags)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return _chained(folder, path, flags)
            if error.errno != errno.EAGAIN:
                raise
    return _chained(folder, path, flags)


def _openat2(folder: int, path: PurePath, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    result: int = _syscall()(
        ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(folder), os.fsencode(path), ctypes.byref(how), size
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return result


@cache
def _syscall() -> Any:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


def _chained(folder: int, path: PurePath, flags: int) -> int:
    """Opens one part of the path after the other."""
    *folders, name = path.parts or (".",)
    current = os.dup(folder)
    try:
        for part in folders:
            following = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = following
        return os.open(name, flags, dir_fd=current)
    finally:
        os.close(current)
