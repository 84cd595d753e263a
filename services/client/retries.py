"""Repeats calls that a server turned away, after the delay that it asks for.

Only calls that are harmless to repeat: those that `service_config.json` lists, and those of ModelService,
whose answers follow from the request alone. A stream is repeated as long as no response has come.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import grpc

from wordspot.services import errors
from wordspot.services.limits import MAX_UNAVAILABLE_ATTEMPTS

MODELS = "/wordspot.v1.ModelService/"
BOUNDED = frozenset({"/wordspot.v1.ArchiveService/GetClip"})  # other streams last as long as their work

Continuation = Callable[[grpc.ClientCallDetails, Any], Any]


class Retries:
    """When a call is tried again.

    Args:
        seconds: from now on, for which it is.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._unavailable = 0

    def pause(self, error: Exception, delay_s: float | None = None) -> bool:
        """Sleeps as long as `delay` says. Returns False, without sleep, where there is no other attempt."""
        delay = self.delay(error, delay_s)
        if delay is None:
            return False
        time.sleep(delay)
        return True

    def delay(self, error: Exception, delay_s: float | None = None) -> float | None:
        """Returns the delay that a server asks for in the status behind an error, in seconds.

        Args:
            error: of a call, or what it was translated to.
            delay_s: the delay where the server asks for none; None for no other attempt then.

        Returns:
            None where the call is not to be tried again: the delay ends after the deadline, or a service was
            unavailable MAX_UNAVAILABLE_ATTEMPTS times.
        """
        call = _call_of(error)
        if call is None:
            return None
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._unavailable += 1
            if self._unavailable == MAX_UNAVAILABLE_ATTEMPTS:
                return None
        hint = errors.retry_hint_of(call)
        delay = delay_s if hint is None else hint
        return None if delay is None or time.monotonic() + delay >= self._end else delay


class RetryInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    """Repeats the calls of a channel.

    Args:
        seconds: for which a call is repeated; not beyond its own deadline.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns the call whose status is the answer."""
        attempts = _Attempts(client_call_details, self._seconds)
        while True:
            call = continuation(attempts.details(), request)
            error = call.exception()
            if error is None or not attempts.another(error):
                return call

    def intercept_unary_stream(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns an iterator over the responses; the call begins with its first step."""
        return _responses(
            _Attempts(client_call_details, self._seconds), lambda details: continuation(details, request)
        )


class DeadlineInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    """Bounds the calls of a channel that have no deadline: those that answer once, and those of BOUNDED.

    Args:
        seconds: for all attempts together; None for no bound.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns the call with its deadline."""
        return continuation(self._bounded(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns the call, with a deadline if it is among BOUNDED."""
        details = client_call_details
        return continuation(self._bounded(details) if is_bounded(details.method) else details, request)

    def _bounded(self, details: grpc.ClientCallDetails) -> Any:
        return details if details.timeout is not None else _details_with(details, self._seconds)


class _CallDetails(NamedTuple):
    """The attributes of a ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


def _details_with(details: grpc.ClientCallDetails, timeout: float | None) -> Any:
    return _CallDetails(
        details.method,
        timeout,
        details.metadata,
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


class _Attempts:
    """The attempts at one call."""

    def __init__(self, details: grpc.ClientCallDetails, seconds: float) -> None:
        self._details = details
        self._begin = time.monotonic()
        limit = seconds if details.timeout is None else min(seconds, details.timeout)
        self._retries = Retries(limit if is_repeatable(details.method) else 0)

    def details(self) -> Any:
        """Returns what to make the next attempt with: what is left of the call's timeout."""
        timeout = self._details.timeout
        left = None if timeout is None else timeout - (time.monotonic() - self._begin)
        return _details_with(self._details, left)

    def another(self, error: Any) -> bool:
        """Returns whether to make another attempt, after a pause. The channel itself repeats UNAVAILABLE."""
        return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and self._retries.pause(error)


def _responses(attempts: _Attempts, start: Callable[[Any], Any]) -> Iterator[Any]:
    """Yields the responses of the first attempt that has any. start: makes an attempt, with its details."""
    while True:
        call = start(attempts.details())
        try:
            first = next(call, None)
        except grpc.RpcError as error:
            if attempts.another(error):
                continue
            raise
        try:
            if first is not None:
                yield first
                yield from call
        finally:
            call.cancel()
        return


def is_bounded(method: str) -> bool:
    """Returns whether a call that answers with a stream ends soon. method: as /package.Service/Method."""
    return method in BOUNDED


def is_repeatable(method: str) -> bool:
    """Returns whether a call is harmless to repeat. method: as /package.Service/Method."""
    return method in repeatable_methods() or method.startswith(MODELS)


@cache
def repeatable_methods() -> frozenset[str]:
    """Returns the methods that the retry policy lists, as /package.Service/Method."""
    config = json.loads(resources.files("wordspot.services").joinpath("service_config.json").read_text())
    return frozenset(
        f"/{name['service']}/{name['method']}" for group in config["methodConfig"] for name in group["name"]
    )


def _call_of(error: Exception) -> Any:
    """Returns the failed call, None where there is none. error: of a call, or what it was translated to."""
    failure = error if isinstance(error, grpc.RpcError) else error.__cause__
    return failure if isinstance(failure, grpc.RpcError) else None
