"""A client's connection by asyncio: calls with deadlines, and repeated where a server turned them away."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import grpc

from wordspot.services.access.credentials import Credentials
from wordspot.services.channels import call_metadata, open_async_channel
from wordspot.services.client.archives import Client
from wordspot.services.client.retries import Retries, is_bounded, is_repeatable
from wordspot.services.errors import from_call
from wordspot.services.limits import MAX_PAGE_ITEMS, RETRY_TIMEOUT_S
from wordspot.v1 import archive_pb2_grpc, search_pb2_grpc

ARCHIVES, SEARCHES = "ArchiveService", "SearchService"
_STUBS: dict[str, Any] = {
    ARCHIVES: archive_pb2_grpc.ArchiveServiceStub,
    SEARCHES: search_pb2_grpc.SearchServiceStub,
}


class AsyncConnection:
    """Open from its first call, or from `async with`, until it is closed. For the arguments see `Client`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        home: Path | None = None,
        timeout: float | None = None,
        retry_timeout: float = RETRY_TIMEOUT_S,
        wait_seconds: float | None = None,
        read_only: bool = False,
        credentials: Credentials | None = None,
    ) -> None:
        self.address = address or ""
        self._timeout, self._retry_timeout = timeout, retry_timeout
        self._remote = address is not None
        if self._remote and credentials is None:
            credentials = Credentials.read(os.environ)
        self._credentials = credentials
        self._metadata = call_metadata(credentials)
        self._make_blocking: Callable[[], Client] = partial(
            Client,
            address,
            home=home,
            timeout=timeout,
            retry_timeout=retry_timeout,
            wait_seconds=wait_seconds,
            read_only=read_only,
            credentials=credentials,
        )
        self._blocking: Client | None = None
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[str, Any] = {}
        self._opening: asyncio.Lock | None = None

    async def close(self) -> None:
        """Ends the connection, and the services where they run in this process."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)
        blocking, self._blocking = self._blocking, None
        if blocking is not None:
            await asyncio.to_thread(blocking.close)

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def _open(self) -> None:
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._channel is None:
                await self._connect()

    async def _connect(self) -> None:
        if not self._remote:
            self._blocking = await asyncio.to_thread(self._make_blocking)
            self.address = self._blocking.address
        channel = open_async_channel(self.address, self._credentials)
        self._stubs = {service: stub(channel) for service, stub in _STUBS.items()}
        self._channel = channel

    async def _threaded(self) -> Client:
        """Returns the client for what reads files and takes long, to be called in a thread."""
        await self._open()
        if self._blocking is None:
            self._blocking = self._make_blocking()
        return self._blocking

    async def _call(self, service: str, method: str, request: Any) -> Any:
        """Returns the response to a call, repeated where that is harmless and the server asks for it."""
        await self._open()
        call = getattr(self._stubs[service], method)
        attempts = _Attempts(service, method, self._timeout, self._retry_timeout)
        while True:
            try:
                return await call(request, timeout=attempts.left(), metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                await attempts.pause(error, self.address)

    async def _stream(self, service: str, method: str, request: Any) -> AsyncIterator[Any]:
        """Yields the responses of a call, which is repeated as long as there was none."""
        await self._open()
        begin = getattr(self._stubs[service], method)
        bounded = is_bounded(_path(service, method))
        attempts = _Attempts(service, method, self._timeout if bounded else None, self._retry_timeout)
        while True:
            call = begin(request, timeout=attempts.left(), metadata=self._metadata)
            try:
                async for response in call:
                    attempts.end()
                    yield response
                return
            except grpc.aio.AioRpcError as error:
                await attempts.pause(error, self.address)
            finally:
                call.cancel()

    async def _pages(self, method: str, request: Any) -> AsyncIterator[Any]:
        request.page_size = MAX_PAGE_ITEMS
        while True:
            page = await self._call(ARCHIVES, method, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return


class _Attempts:
    """The attempts at one call."""

    def __init__(self, service: str, method: str, timeout: float | None, retry_timeout: float) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        limit = retry_timeout if timeout is None else min(retry_timeout, timeout)
        self._retries = Retries(limit if is_repeatable(_path(service, method)) else 0)

    def left(self) -> float | None:
        """Returns the seconds until the deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0)

    def end(self) -> None:
        """Allows no other attempt: a response came."""
        self._retries = Retries(0)

    async def pause(self, error: grpc.aio.AioRpcError, address: str) -> None:
        """Sleeps until the next attempt. Raises what the error stands for where there is none."""
        turned_away = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        delay = self._retries.delay(error) if turned_away else None
        if delay is None:
            raise from_call(error, address) from error
        await asyncio.sleep(delay)


def _path(service: str, method: str) -> str:
    return f"/wordspot.v1.{service}/{method}"
