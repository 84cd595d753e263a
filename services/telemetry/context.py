"""What a call belongs to: the request that it serves."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID = "x-request-id"

current_request_id: ContextVar[str] = ContextVar("id of the request", default="")
"""The id of the request that this thread serves; "" where there is none."""
