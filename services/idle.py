"""Ends calls whose caller neither sends nor reads, so that they do not keep others out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

MIN_IDLE_SECONDS = 2.0  # from which on a call may be ended early, to make room for another
CHECKS_PER_IDLE_TIME = 10

_LOGGER = logging.getLogger("wordspot.services")


class WatchedCall:
    """A call under way.

    waiting_since: when its caller's turn began, of time.monotonic; None while the server works.
    parked_since: likewise, when it began to wait for what happens elsewhere.
    """

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self.waiting_since: float | None = None
        self.parked_since: float | None = None

    @contextmanager
    def parked(self) -> Iterator[None]:
        """Marks a time in which nothing is done for the call, so that it may end to make room."""
        self.parked_since = time.monotonic()
        try:
            yield
        finally:
            self.parked_since = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Marks the time in which the server waits for the caller."""
        self.waiting_since = time.monotonic()
        try:
            yield
        finally:
            self.waiting_since = None

    def received(self, requests: Iterator[Any]) -> Iterator[Any]:
        """Yields the messages of the caller."""
        while True:
            with self.waiting():
                try:
                    request = next(requests)
                except StopIteration:
                    return
            yield request

    def sent(self, responses: Iterator[Any]) -> Iterator[Any]:
        """Yields the messages for the caller, who may be slow to take them."""
        for response in responses:
            with self.waiting():
                yield response

    def end(self) -> None:
        """Ends the call with CANCELLED."""
        self._context.cancel()


class IdleWatch:
    """Cancels a call once its caller has neither sent nor read anything for `idle_seconds`.

    Start it to have a thread look for such calls.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._calls: set[WatchedCall] = set()
        self._stopped = threading.Event()

    @contextmanager
    def watched(self, context: grpc.ServicerContext) -> Iterator[WatchedCall]:
        """Watches a call while the context lasts."""
        call = WatchedCall(context)
        with self._lock:
            self._calls.add(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.discard(call)

    def start(self) -> None:
        """Looks for idle calls from now on."""
        threading.Thread(target=self._run, name="idle", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()

    def make_room(self) -> None:
        """Ends the call that has waited longest for its caller, if any has for MIN_IDLE_SECONDS; if none has,
        the newest of those that wait for what happens elsewhere."""
        idle = self._idle(min(MIN_IDLE_SECONDS, self._idle_seconds))
        if idle:
            min(idle, key=lambda item: item[0])[1].end()
            return
        with self._lock:
            parked = [(call.parked_since, call) for call in self._calls]
        waits = [(since, call) for since, call in parked if since is not None]
        if waits:
            max(waits, key=lambda item: item[0])[1].end()

    def _run(self) -> None:
        while not self._stopped.wait(self._idle_seconds / CHECKS_PER_IDLE_TIME):
            idle = self._idle(self._idle_seconds)
            for _, call in idle:
                call.end()
            if idle:
                _LOGGER.info("%d calls ended that were idle for %g s", len(idle), self._idle_seconds)

    def _idle(self, seconds: float) -> list[tuple[float, WatchedCall]]:
        """Returns calls that have waited for their callers so long, each with when the wait began."""
        latest = time.monotonic() - seconds
        with self._lock:
            waits = [(call.waiting_since, call) for call in self._calls]
        return [(since, call) for since, call in waits if since is not None and since <= latest]
