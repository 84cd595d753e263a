"""Observes a server's calls: figures, traces, the request's id."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from wordspot.indexer.stages import stage_observer
from wordspot.services.errors import status_name
from wordspot.services.telemetry.context import REQUEST_ID, current_request_id
from wordspot.services.telemetry.tracing import Tracer, span_of

if TYPE_CHECKING:
    from wordspot.services.telemetry.calls import CallFigures

MAX_REQUEST_ID_CHARACTERS = 128


class Observation:
    """What is told of the calls of a server.

    figures: of calls and stages; None where nobody reads them.

    Args:
        figures: those that are kept.
        tracer: that spans go to; None for none.
    """

    def __init__(self, figures: CallFigures | None = None, tracer: Tracer | None = None) -> None:
        self.figures = figures
        self._tracer = tracer

    @contextmanager
    def observed(self, method: str, metadata: Iterable[Any] | None) -> Iterator[None]:
        """Observes a call for the time of the context.

        Args:
            method: /package.Service/Method.
            metadata: of the call.
        """
        headers = texts(metadata)
        name, begin, status = method.rpartition("/")[2], time.perf_counter(), "OK"
        current_request_id.set(_request_id(headers))
        active = nullcontext() if self.figures is None else self.figures.active()
        with active, span_of(self._tracer, method, headers):
            stage_observer.set(None if self.figures is None and self._tracer is None else self._stage)
            try:
                yield
            except BaseException as error:
                status = status_name(error)
                raise
            finally:
                stage_observer.set(None)
                if self.figures is not None:
                    self.figures.ended(name, status, time.perf_counter() - begin)

    def close(self) -> None:
        """Sends what is left of traces."""
        if self._tracer is not None:
            self._tracer.close()

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        with ExitStack() as contexts:
            if self.figures is not None:
                contexts.enter_context(self.figures.stage(name))
            if self._tracer is not None:
                contexts.enter_context(self._tracer.stage(name))
            yield


def texts(metadata: Iterable[Any] | None) -> Mapping[str, str]:
    """Returns the entries of metadata that are texts."""
    pairs: Iterable[tuple[str, Any]] = metadata or ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _request_id(headers: Mapping[str, str]) -> str:
    given = headers.get(REQUEST_ID, "")[:MAX_REQUEST_ID_CHARACTERS]
    return given if given.isprintable() and given else secrets.token_hex(8)
