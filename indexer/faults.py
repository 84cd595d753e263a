"""Named points at which a test can kill the process or fill its disk.

Storage code calls `reach` between any two durable steps. Unarmed, that is one look into an empty
dictionary.
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
    "archive-deleted",
    "compaction-sealed",
    "compaction-committed",
    "compaction-cleaned",
)

_armed: dict[str, Action] = {}


def reach(name: str) -> None:
    """Does nothing unless armed: then SIGKILL to this process, or OSError with ENOSPC."""
    action = _armed.get(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def arm(name: str, action: Action = "kill") -> None:
    """Raises ValueError for an unknown point or action."""
    if name not in FAULT_POINTS:
        raise ValueError(f"unknown fault point {name!r}; known are {', '.join(FAULT_POINTS)}")
    if action not in get_args(Action):
        raise ValueError(f"unknown action {action!r}; allowed are {', '.join(get_args(Action))}")
    _armed[name] = action


def disarm() -> None:
    """Forgets every armed point."""
    _armed.clear()
