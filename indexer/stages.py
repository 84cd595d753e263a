"""Stages of a search, of which whoever watches it is told: for figures and traces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

stage_observer: ContextVar[Callable[[str], AbstractContextManager[object]] | None] = ContextVar(
    "observer of stages", default=None
)
"""Gives, by the name of a stage, a context for the time that it takes in this thread; None for none."""


def stage(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator of a function that is a stage of that name."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def observed(*args: P.args, **kwargs: P.kwargs) -> R:
            observer = stage_observer.get()
            if observer is None:
                return function(*args, **kwargs)
            with observer(name):
                return function(*args, **kwargs)

        return observed

    return decorate
