"""The services that the gateway calls, by channels of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import grpc
from fastapi import Depends, Request
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wordspot.services.access.credentials import Credentials
from wordspot.services.access.tls import channel_credentials
from wordspot.services.channels import channel_options, open_channel
from wordspot.v1 import (
    archive_pb2,
    archive_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    models_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

HEALTH_TIMEOUT_S = 2.0
caller_metadata: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("caller", default=())
"""What calls for the request at hand tell the services of its caller."""
MAX_STREAMS = 128  # to which messages are sent, at a time; more wait


@dataclass(frozen=True)
class Addresses:
    """Where the services are, host:port or unix:PATH.

    searcher: of archives and search. modelhost: of models and encoders.
    """

    searcher: str
    modelhost: str


class Peers:
    """Stubs of the services; to be made, used and closed in one event loop. Calls carry `caller_metadata`.

    Args:
        addresses: of the services.
        credentials: how they are reached.
    """

    def __init__(self, addresses: Addresses, credentials: Credentials) -> None:
        self.addresses = addresses
        self._channels = {
            address: _channel(address, credentials) for address in {addresses.searcher, addresses.modelhost}
        }
        searcher, modelhost = (
            self._channels[addresses.searcher],
            self._channels[addresses.modelhost],
        )
        self.archives: Any = _Calls(archive_pb2_grpc.ArchiveServiceStub(searcher))
        self.encoders: Any = _Calls(embedding_pb2_grpc.EmbeddingServiceStub(modelhost))
        self.models: Any = _Calls(models_pb2_grpc.ModelServiceStub(modelhost))
        # In threads: asyncio's calls lose the status of a stream that ends while messages are sent to it.
        self._streams = open_channel(addresses.searcher, credentials)
        self._threads = ThreadPoolExecutor(MAX_STREAMS, thread_name_prefix="stream")
        self._search = search_pb2_grpc.SearchServiceStub(self._streams).Search
        self._embedding_stream = open_channel(addresses.modelhost, credentials)
        self._embed = embedding_pb2_grpc.EmbeddingServiceStub(self._embedding_stream).Embed
        self._upload = archive_pb2_grpc.ArchiveServiceStub(self._streams).UploadRecording

    async def search(
        self, requests: Iterable[search_pb2.SearchRequest]
    ) -> AsyncIterator[search_pb2.SearchResponse]:
        """Yields what Search answers. requests: read in another thread."""
        call: Any = self._search(iter(requests), metadata=caller_metadata.get())
        try:
            while (response := await self._in_thread(lambda: next(call, None))) is not None:
                yield response
        finally:
            call.cancel()

    async def embed(
        self, requests: Iterable[embedding_pb2.EmbedRequest]
    ) -> AsyncIterator[embedding_pb2.EmbedResponse]:
        """Yields what Embed answers. requests: read in another thread."""
        call: Any = self._embed(iter(requests), metadata=caller_metadata.get())
        try:
            while (response := await self._in_thread(lambda: next(call, None))) is not None:
                yield response
        finally:
            call.cancel()

    async def upload(
        self, requests: Iterable[archive_pb2.UploadRecordingRequest]
    ) -> archive_pb2.UploadRecordingResponse:
        """Returns what UploadRecording answers. requests: read in another thread."""
        call: Any = self._upload.future(iter(requests), metadata=caller_metadata.get())
        try:
            response: archive_pb2.UploadRecordingResponse = await self._in_thread(call.result)
        finally:
            call.cancel()
        return response

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def problems(self) -> dict[str, str]:
        """Returns why services cannot be used, by address; empty if all can."""
        problems = {}
        for address, channel in self._channels.items():
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S)
            except grpc.RpcError as error:
                call: Any = error
                problems[address] = f"no service answers ({call.code().name})"
                continue
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                problems[address] = "cannot be used now"
        return problems

    async def close(self) -> None:
        """Closes the channels; calls under way are cancelled."""
        for channel in self._channels.values():
            await channel.close(None)
        self._streams.close()
        self._embedding_stream.close()
        self._threads.shutdown(wait=False)


class _Calls:
    """A stub whose calls carry what is known of the caller."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)
        return lambda request, **options: method(request, metadata=caller_metadata.get(), **options)


def _channel(address: str, credentials: Credentials) -> grpc.aio.Channel:
    """Returns a channel as `open_channel` does. Raises ServiceError."""
    secured = None if address.startswith("unix:") else channel_credentials(credentials)
    if secured is None:
        return grpc.aio.insecure_channel(address, options=channel_options())
    return grpc.aio.secure_channel(address, secured, options=channel_options())


def _of_request(request: Request) -> Peers:
    peers: Peers = request.app.state.peers
    return peers


ThePeers = Annotated[Peers, Depends(_of_request)]
"""The services, as an argument of an operation."""
