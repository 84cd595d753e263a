"""Admission control: how much work one server takes on at once.

Work beyond what the cores can do waits in order of arrival, and only while it can be expected to begin in
time; beyond that a call is turned away at once with a delay after which to try again. So the number of
answers a second does not fall as callers become more, and nobody waits for an answer that comes too late.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wordspot.services.errors import Overloaded

SMOOTHING = 0.1  # weight of the newest duration in the moving average
MIN_RETRY_S, MAX_RETRY_S = 0.1, 10.0


class WorkSlots:
    """Slots for work that keeps a core busy, handed out first come, first served.

    Args:
        slots: pieces of work under way at once.
        patience_s: seconds that a piece of work may be expected to wait; where the queue is longer, it is
            turned away.
    """

    def __init__(self, slots: int, patience_s: float) -> None:
        self._slots = slots
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._free = slots
        self._queue: deque[threading.Event] = deque()
        self._mean_s = 0.0  # moving average of how long a slot is held

    @property
    def waiting(self) -> int:
        """Pieces of work in the queue."""
        return len(self._queue)

    def ensure_room(self, remaining_s: float | None = None) -> None:
        """Raises Overloaded where a slot cannot be expected in time. remaining_s: as `slot` takes it."""
        with self._lock:
            self._check_wait(self._patience(remaining_s))

    def has_room(self, remaining_s: float | None = None) -> bool:
        """Returns whether a slot can be expected in time. remaining_s: as `slot` takes it."""
        try:
            self.ensure_room(remaining_s)
        except Overloaded:
            return False
        return True

    @contextmanager
    def slot(self, remaining_s: float | None = None, *, admitted: bool = False) -> Iterator[None]:
        """Holds a slot, after waiting for one.

        Args:
            remaining_s: seconds until the caller's deadline, None for none.
            admitted: whether the call had a slot before, so that only its deadline limits the wait.

        Raises:
            Overloaded: no slot is expected, or came, in time.
        """
        self.acquire(remaining_s, admitted=admitted)
        begin = time.monotonic()
        try:
            yield
        finally:
            self.release(time.monotonic() - begin)

    def acquire(self, remaining_s: float | None = None, *, admitted: bool = False) -> None:
        """Takes a slot that `release` returns; arguments and errors are those of `slot`."""
        self._acquire(remaining_s if admitted else self._patience(remaining_s))

    @contextmanager
    def lease(
        self, remaining_s: Callable[[], float | None], *, admitted: bool = False
    ) -> Iterator[SlotLease]:
        """Holds a slot that the call returns while it waits for its caller.

        remaining_s: returns what `slot` takes. Otherwise as `slot`, errors included.
        """
        lease = SlotLease(self, remaining_s)
        lease.acquire(admitted=admitted)
        try:
            yield lease
        finally:
            lease.release()

    def _patience(self, remaining_s: float | None) -> float:
        return self._patience_s if remaining_s is None else min(self._patience_s, remaining_s)

    def _check_wait(self, patience_s: float | None) -> None:
        """Raises Overloaded. The caller holds the lock."""
        if self._free and not self._queue:
            return
        if patience_s is not None and (expected_s := self._expected_s()) > patience_s:
            raise self._overloaded(expected_s)

    def _acquire(self, patience_s: float | None) -> None:
        with self._lock:
            self._check_wait(patience_s)
            if self._free and not self._queue:
                self._free -= 1
                return
            turn = threading.Event()
            self._queue.append(turn)
        if turn.wait(patience_s):
            return
        with self._lock:
            if turn.is_set():  # between the end of the wait and here
                return
            self._queue.remove(turn)
            raise self._overloaded(self._expected_s())

    def release(self, held_s: float) -> None:
        """Returns a slot. held_s: seconds for which it was held."""
        with self._lock:
            self._mean_s += (SMOOTHING if self._mean_s else 1.0) * (held_s - self._mean_s)
            if self._queue:
                self._queue.popleft().set()
            else:
                self._free += 1

    def _expected_s(self) -> float:
        """Returns the seconds until a newcomer's turn."""
        return (len(self._queue) + 1) * self._mean_s / self._slots

    def _overloaded(self, expected_s: float) -> Overloaded:
        return Overloaded(
            f"{self._slots} calls are being served and {len(self._queue)} wait, as many as can be served in "
            f"{self._patience_s:g} s",
            retry_seconds=min(max(expected_s, MIN_RETRY_S), MAX_RETRY_S),
        )


class SlotLease:
    """A slot that one call holds while it works. Used by one thread at a time."""

    def __init__(self, slots: WorkSlots, remaining_s: Callable[[], float | None]) -> None:
        self._slots, self._remaining_s = slots, remaining_s
        self._since: float | None = None  # of time.monotonic; None while it holds none

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Returns the slot for the time of the context, then waits for one. Raises Overloaded."""
        self.release()
        yield
        self.acquire(admitted=True)

    def acquire(self, *, admitted: bool) -> None:
        """Waits for a slot. Raises Overloaded."""
        self._slots.acquire(self._remaining_s(), admitted=admitted)
        self._since = time.monotonic()

    def release(self) -> None:
        """Returns the slot, if it holds one."""
        since, self._since = self._since, None
        if since is not None:
            self._slots.release(time.monotonic() - since)


class CallLimit:
    """Calls that a server has under way at once. Those beyond are turned away, with a delay.

    Args:
        allowed: the calls.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        self._active = 0

    @property
    def full(self) -> bool:
        """Whether a further call would be turned away."""
        return self._active >= self._allowed

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts a call while the context lasts. Raises Overloaded."""
        with self._lock:
            if self._active >= self._allowed:
                raise Overloaded(f"{self._active} calls are under way, as many as the server takes at once")
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
