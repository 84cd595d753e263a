"""Sends a client's token with each of its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

AUTHORIZATION, BEARER = "authorization", "bearer"

Continuation = Callable[[grpc.ClientCallDetails, Any], Any]


class BearerInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in the stubs only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Adds `authorization: Bearer TOKEN` to the metadata of calls.

    Args:
        token: that is sent.
    """

    def __init__(self, token: str) -> None:
        self._entry = (AUTHORIZATION, f"Bearer {token}")

    def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns the call with its token."""
        return continuation(self._with_token(client_call_details), request)

    intercept_unary_stream = intercept_unary_unary

    def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        """Returns the call with its token."""
        return continuation(self._with_token(client_call_details), request_iterator)

    intercept_stream_stream = intercept_stream_unary

    def _with_token(self, details: grpc.ClientCallDetails) -> Any:
        return _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), self._entry],
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


class _Details(NamedTuple):
    """The attributes of a ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None
