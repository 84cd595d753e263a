"""Fault points: named points at which a test can kill the process or fill its disk.

Storage code calls `reach` between any two durable steps. Unless a point is armed, that is one lookup in an
empty dictionary.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import Literal, get_args

Action = Literal["kill", "enospc"]

FAULT_POINTS = (
    "add-inspected",
    "add-committed",
    "upload-begun",
    "upload-written",
    "upload-renamed",
    "upload-committed",
    "index-started",
    "recording-written",
    "segment-written",
    "segment-synced",
    "segment-renamed",
    "batch-committed",
    "cache-written",
    "cache-renamed",
    "generation-ready",
    "generation-swapped",
    "recording-deleted",
    "refresh-committed",
    "archive-deleted",
    "compaction-sealed",
    "compaction-committed",
    "compaction-cleaned",
)

_armed: dict[str, Action] = {}


def reach(name: str) -> None:
    """Does nothing unless the point is armed: then kills this process, or raises OSError with ENOSPC."""
    action = _armed.get(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def arm(name: str, action: Action = "kill") -> None:
    """Arms a point. Raises ValueError for an unknown point or action."""
    if name not in FAULT_POINTS:
        raise ValueError(f"fault point must be one of {', '.join(FAULT_POINTS)}, got {name!r}")
    if action not in get_args(Action):
        raise ValueError(f"action must be one of {', '.join(get_args(Action))}, got {action!r}")
    _armed[name] = action


def disarm() -> None:
    """Disarms every point."""
    _armed.clear()
