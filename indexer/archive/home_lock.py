"""The lock of a home: one process at a time may write to it. Readers need none."""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import stat
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wordspot.indexer.archive.permissions import FILE_MODE
from wordspot.indexer.errors import FailedPrecondition

NAME = "lock"
LOCKING_ADVICE = "set WORDSPOT_HOME to a folder on a local disk"
MAX_COMMAND_CHARACTERS = 200
_READERS_LOOK_S = 0.25  # a reader that looks whether there is a writer holds the lock for a moment
_POLL_INTERVAL_S = 0.02
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """The process that has a home open for writing.

    Attributes:
        pid: its number; empty if it is unknown.
        since: when it opened the home, local time.
        command: its command line.
    """

    pid: str
    since: str = ""
    command: str = ""

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since else ""
        command = f" ({self.command})" if self.command else ""
        return f"process {self.pid or 'unknown'}{since}{command}"


class HomeLock:
    """The lock, held until `release`."""

    def __init__(self, root: Path, wait_seconds: float = 0.0) -> None:
        """Locks a home.

        Args:
            root: the directory.
            wait_seconds: how long to wait for another process that holds it.

        Raises:
            FailedPrecondition: if another process holds it, or the file is not this user's.
            OSError: if the file cannot be opened.
        """
        self._descriptor = _opened(root)
        try:
            self._acquire(root, wait_seconds)
            os.fchmod(self._descriptor, FILE_MODE)
            _write_holder(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Unlocks the home; does nothing the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self, root: Path, wait_seconds: float) -> None:
        start, told = time.monotonic(), False
        while not self._is_acquired(root):
            holder = _read_holder(self._descriptor)
            waited = time.monotonic() - start
            if waited >= max(wait_seconds, _READERS_LOOK_S):
                raise FailedPrecondition(
                    f"{root} is in use by {holder}; one process at a time may write to it. Ask it by "
                    "--address if it is a server, or wait for its end with --wait SECONDS"
                )
            if waited >= _READERS_LOOK_S and not told:
                _log.warning("waiting up to %g s: %s is in use by %s", wait_seconds, root, holder)
                told = True
            time.sleep(_POLL_INTERVAL_S)

    def _is_acquired(self, root: Path) -> bool:
        """Raises FailedPrecondition where files cannot be locked."""
        try:
            return _locks(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise FailedPrecondition(
                f"the home must be a folder in which files can be locked, got {root}: {error.strerror}; "
                f"{LOCKING_ADVICE}"
            ) from error


def holder_of(root: Path) -> Holder | None:
    """Returns the process that has a home open for writing; None if there is none."""
    try:
        descriptor = _opened(root, os.O_RDONLY)
    except (OSError, FailedPrecondition):
        return None
    try:
        return None if _locks(descriptor, fcntl.LOCK_SH) else _read_holder(descriptor)
    except OSError:  # where files cannot be locked
        return None
    finally:
        os.close(descriptor)


def _opened(root: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Returns a descriptor of the lock's file. Raises OSError, FailedPrecondition."""
    path = root / NAME
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
    state = os.fstat(descriptor)
    # Whoever owns the home may own the lock: an administrator may open it, and a container another's.
    if stat.S_ISREG(state.st_mode) and state.st_uid in (os.geteuid(), root.stat().st_uid):
        return descriptor
    os.close(descriptor)
    raise FailedPrecondition(f"{path} must be a file of this user, got one of user {state.st_uid}: remove it")


def _locks(descriptor: int, kind: int) -> bool:
    """Returns whether the file is locked now by this process. Raises OSError."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(descriptor: int) -> None:
    program, *arguments = sys.argv or [""]
    command = shlex.join([Path(program).name, *arguments])[:MAX_COMMAND_CHARACTERS]
    text = f"{os.getpid()}\n{datetime.now().isoformat(' ', 'seconds')}\n{' '.join(command.split())}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode("utf-8", "backslashreplace"), 0)


def _read_holder(descriptor: int) -> Holder:
    lines = os.pread(descriptor, 4_096, 0).decode("utf-8", "replace").splitlines()
    return Holder(*(lines + [""] * 3)[:3])
