"""What surrounds the application: whom it answers, how much it reads, with which headers it answers.

A page of another origin must neither read answers nor cause anything: the names in Host are checked against
DNS rebinding, Origin and Sec-Fetch-Site against forms and scripts of others, and no answer allows them more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wordspot.services.gateway.peers import caller_metadata
from wordspot.services.gateway.problems import Problem
from wordspot.services.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_REQUESTS

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_READING = ("GET", "HEAD")


class RequestGuard:
    """Middleware around the whole application.

    Args:
        app: the application.
        names: that Host may have, besides addresses, `localhost` and the machine's own name.
        body_limit: bytes that a request to a path may have; None where the operation counts itself.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], body_limit: Callable[[str], int | None]) -> None:
        self._app = app
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
        self._body_limit = body_limit
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
                answered.setdefault("Cache-Control", "no-store")
                answered["X-Request-Id"] = request_id
            await send(message)

        self._under_way += 1
        try:
            await self._admit(scope, receive, send_guarded, headers, request_id)
        finally:
            self._under_way -= 1

    async def _admit(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, request_id: str
    ) -> None:
        """Has the application answer the request if it may be answered."""
        caller_metadata.set(_metadata(headers, request_id))
        limit = self._body_limit(scope["path"])
        try:
            self._check_host(headers)
            _check_origin(scope["method"], headers)
            _check_length(headers, limit)
            self._check_load(headers)
        except Problem as problem:
            await problem.send(scope, receive, send)
            return
        await _Exchange(receive, limit, has_body(headers)).run(self._app, scope, send)

    def _check_load(self, headers: Headers) -> None:
        """Raises Problem for too many headers, or too many requests."""
        count, size = len(headers), sum(len(name) + len(value) for name, value in headers.raw)
        if count > MAX_HEADERS or size > MAX_HEAD_BYTES:
            raise Problem(
                431,
                f"a request must have at most {MAX_HEADERS} headers of {MAX_HEAD_BYTES:,} bytes in all, got "
                f"{count} of {size:,}",
                limit=MAX_HEADERS if count > MAX_HEADERS else MAX_HEAD_BYTES,
            )
        if self._under_way > MAX_REQUESTS:
            raise Problem(
                429,
                f"{self._under_way:,} requests are under way, {MAX_REQUESTS:,} may be",
                kind="overloaded",
                limit=MAX_REQUESTS,
                retry_after=1.0,
            )

    def _check_host(self, headers: Headers) -> None:
        """Raises Problem for a name that is not this machine's."""
        host = _host_name(headers.get("host", ""))
        if host in self._names or host.endswith(".localhost"):
            return
        with suppress(ValueError):
            ipaddress.ip_address(host.strip("[]"))
            return
        raise Problem(
            421,
            f"Host must be an address, localhost or a name that the server was given, got {host!r}",
            kind="host-not-allowed",
            field="Host",
        )


def _metadata(headers: Headers, request_id: str) -> tuple[tuple[str, str], ...]:
    """Returns what the services learn of the caller: the token, and the id of the request."""
    authorization = headers.get("authorization", "")
    usable = authorization.isascii() and authorization.isprintable() and authorization
    return (("x-request-id", request_id), *([("authorization", authorization)] if usable else []))


def has_body(headers: Headers) -> bool:
    """Returns whether a request brings a body."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _host_name(host: str) -> str:
    """Returns what Host says without the port, in lower case."""
    return re.sub(r":\d*$", "", host).lower().rstrip(".")


def _check_origin(method: str, headers: Headers) -> None:
    """Raises Problem for what a page of another origin asks."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
    foreign = site in ("cross-site", "same-site") and not (
        method in _READING and headers.get("sec-fetch-mode") == "navigate"
    )
    if origin is not None and not foreign:
        foreign = urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign:
        raise Problem(
            403,
            f"pages of other origins may not use this server, got Origin {origin!r}",
            kind="origin-not-allowed",
            field="Origin",
        )


def _check_length(headers: Headers, limit: int | None) -> None:
    """Raises Problem for a body that is said to be too long."""
    length = headers.get("content-length", "0")
    if limit is not None and length.isdecimal() and int(length) > limit:
        raise _too_large(int(length), limit)


def _too_large(size: int, limit: int) -> Problem:
    return Problem(
        413, f"the body must have at most {limit:,} bytes, got {size:,}", field="body", limit=limit
    )


class _Exchange:
    """One request and its answer: counts what is read; the application stops when its caller leaves."""

    def __init__(self, receive: Receive, limit: int | None, has_body: bool) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0
        self._read = not has_body
        self._gone = asyncio.Event()
        self._answered = False
        self._listener: asyncio.Task[None] | None = None
        self._told = has_body

    async def run(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        """Runs the application on the request."""
        task = asyncio.current_task()
        assert task is not None

        async def send_noted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._answered = True

        self._task = task
        if self._read:
            self._listen()
        try:
            await app(scope, self._next, send_noted)
        except asyncio.CancelledError:
            if not self._gone.is_set():
                raise
            task.uncancel()
        finally:
            if self._listener is not None:
                self._listener.cancel()

    async def _next(self) -> Message:
        """Returns the next message of the request."""
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._read:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._read = True
            self._gone.set()
            return message
        self._size += len(message.get("body", b""))
        if self._limit is not None and self._size > self._limit:
            raise _too_large(self._size, self._limit)
        if not message.get("more_body", False):
            self._read = True
            self._listen()
        return message

    def _listen(self) -> None:
        self._listener = asyncio.get_running_loop().create_task(self._wait_for_end())

    async def _wait_for_end(self) -> None:
        """Cancels the application when the caller leaves before the answer is complete."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self._answered:
            self._task.cancel()
