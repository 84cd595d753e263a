"""Cooperative cancellation: whoever runs a model may ask it to stop, and its long loops check between steps.

with cancellation_check(raise_if_nobody_waits):
    model.sample(1_024, rng)    # calls check_cancelled() at each step
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

CancellationCheck = Callable[[], None]
"""Raises Cancelled once the work of the context is wanted no more."""


class Cancelled(Exception):
    """Nobody waits for the result of this work."""


def _never_cancelled() -> None:
    return


_check: ContextVar[CancellationCheck] = ContextVar("cancellation_check", default=_never_cancelled)


@contextmanager
def cancellation_check(check: CancellationCheck) -> Iterator[None]:
    """Makes `check` the cancellation check of the context."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def current_check() -> CancellationCheck:
    """Returns the cancellation check of the context, for threads that work on its behalf."""
    return _check.get()


def check_cancelled() -> None:
    """Calls the cancellation check of the context. Raises Cancelled."""
    _check.get()()
