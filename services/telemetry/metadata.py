"""Sends with each call of a channel what lets the callee go on with its request and its trace."""

from __future__ import annotations

from wordspot.services.access.bearer import MetadataInterceptor
from wordspot.services.telemetry.context import REQUEST_ID, current_request_id
from wordspot.services.telemetry.tracing import TRACEPARENT, current_traceparent


class ContextInterceptor(MetadataInterceptor):
    """Adds the id of the request and the trace, in whose serving a call is made, to its metadata."""

    def __init__(self) -> None:
        super().__init__(_context)


def _context() -> list[tuple[str, str]]:
    entries = [(REQUEST_ID, current_request_id.get()), (TRACEPARENT, current_traceparent())]
    return [(name, value) for name, value in entries if value]
