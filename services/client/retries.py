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
        """Sleeps for the delay that a server asks for in the status behind an error.

        Args:
            error: of a call, or what it was translated to.
            delay_s: the delay where the server asks for none; None for no other attempt then.

        Returns:
            False, without sleep, where the call is not to be tried again: the delay ends after the deadline,
            or a service was unavailable MAX_UNAVAILABLE_ATTEMPTS times.
        """
        call = _call_of(error)
        if call is None:
            return False
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._unavailable += 1
            if self._unavailable == MAX_UNAVAILABLE_ATTEMPTS:
                return False
        hint = errors.retry_hint_of(call)
        delay = delay_s if hint is None else hint
        if delay is None or time.monotonic() + delay >= self._end:
            return False
        time.sleep(delay)
        return True


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


class _CallDetails(NamedTuple):
    """The attributes of a ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Attempts:
    """The attempts at one call."""

    def __init__(self, details: grpc.ClientCallDetails, seconds: float) -> None:
        self._details = details
        self._begin = time.monotonic()
        repeatable = details.method in repeatable_methods() or details.method.startswith(MODELS)
        limit = seconds if details.timeout is None else min(seconds, details.timeout)
        self._retries = Retries(limit if repeatable else 0)

    def details(self) -> Any:
        """Returns what to make the next attempt with: what is left of the call's timeout."""
        details = self._details
        passed = time.monotonic() - self._begin
        return _CallDetails(
            details.method,
            None if details.timeout is None else details.timeout - passed,
            details.metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

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
