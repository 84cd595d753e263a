"""Connections of HTTP/1.1 that do not wait for ever for a caller who neither sends nor reads."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CHECKS_PER_IDLE_TIME = 4
MAX_CONNECTIONS = 2_000


def watched_protocol(idle_seconds: float) -> type[H11Protocol]:
    """Returns the protocol whose connections end when it is the caller's turn for so long."""
    return type("WatchedProtocol", (_WatchedProtocol,), {"idle_seconds": idle_seconds})


class _WatchedProtocol(H11Protocol):
    """A connection that looks now and then whether its caller is idle: in the middle of a request's head or
    body, or with an answer that is not read. Between requests the keep-alive time counts."""

    idle_seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting_since: float | None = self.loop.time()
        self._received = self._waiting_since
        self._check_handle = self.loop.call_later(self._period, self._check)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._check_handle.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received = self.loop.time()
        super().data_received(data)
        if not self._awaits_head:
            self._waiting_since = None
        elif self._waiting_since is None and self.conn.trailing_data[0]:
            self._waiting_since = self._received

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_paused = self.loop.time()

    @property
    def _period(self) -> float:
        return self.idle_seconds / CHECKS_PER_IDLE_TIME

    @property
    def _awaits_head(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _check(self) -> None:
        now = self.loop.time()
        if self.flow.write_paused:
            idle = now - self._write_paused
        elif self._awaits_head:
            if self._waiting_since is None and self.conn.trailing_data[0]:
                self._waiting_since = now  # part of a head came with the request before
            idle = 0.0 if self._waiting_since is None else now - self._waiting_since
        else:
            sends = self.cycle.more_body and not self.flow.read_paused
            idle = now - self._received if sends else 0.0
        if idle > self.idle_seconds:
            self.transport.abort()
            return
        self._check_handle = self.loop.call_later(self._period, self._check)
