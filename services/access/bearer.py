"""Sends something with each call of a client: its token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc

AUTHORIZATION, BEARER = "authorization", "bearer"

Continuation = Callable[[grpc.ClientCallDetails, Any], Any]


class MetadataInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in the stubs only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Adds entries to the metadata of calls.

    Args:
        entries: gives them, call by call.
    """

    def __init__(self, entries: Callable[[], Sequence[tuple[str, str]]]) -> None:
        self._entries = entries

    def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Returns the call with its entries."""
        return continuation(self._extended(client_call_details), request)

    intercept_unary_stream = intercept_unary_unary

    def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        """Returns the call with its entries."""
        return continuation(self._extended(client_call_details), request_iterator)

    intercept_stream_stream = intercept_stream_unary

    def _extended(self, details: grpc.ClientCallDetails) -> Any:
        return _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), *self._entries()],
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


class BearerInterceptor(MetadataInterceptor):
    """Adds `authorization: Bearer TOKEN` to the metadata of calls.

    Args:
        token: that is sent.
    """

    def __init__(self, token: str) -> None:
        entries = [(AUTHORIZATION, f"Bearer {token}")]
        super().__init__(lambda: entries)


class _Details(NamedTuple):
    """The attributes of a ClientCallDetails."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None
