"""Waiting for what another thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.001
PATIENCE_S = 60.0


def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds. Raises AssertionError if it never does."""
    ended = threading.Event()
    for _ in range(int(PATIENCE_S / POLL_S)):
        if condition():
            return
        ended.wait(POLL_S)
    raise AssertionError("it did not happen")
