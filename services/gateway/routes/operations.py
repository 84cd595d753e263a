"""Indexing: started, followed, cancelled, resumed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from wordspot.services.gateway.messages import plain
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.schemas import IndexBody, Operation, OperationPage, PageSize, PageToken
from wordspot.services.gateway.sse import Event, event_response
from wordspot.v1 import archive_pb2

api = APIRouter(tags=["operations"])


@api.post(
    "/archives/{archive}/index", response_model=Operation, status_code=202, operation_id="index_archive"
)
async def index(archive: str, peers: ThePeers, body: IndexBody | None = None) -> Any:
    """Starts to index what is not indexed yet, or everything with another encoder."""
    body = body or IndexBody()
    answer = await peers.archives.IndexArchive(
        archive_pb2.IndexArchiveRequest(
            archive=archive,
            encoder=body.encoder,
            request_id=body.request_id,
            channels=body.channels,
            tracks=body.tracks,
            drop_missing=body.drop_missing,
        )
    )
    return plain(answer.operation)


@api.get("/archives/{archive}/operations", response_model=OperationPage, operation_id="list_operations")
async def list_operations(
    archive: str,
    peers: ThePeers,
    page_size: Annotated[PageSize, Query()] = 0,
    page_token: Annotated[PageToken, Query()] = "",
) -> Any:
    """Lists operations in the order of starting."""
    return plain(
        await peers.archives.ListOperations(
            archive_pb2.ListOperationsRequest(archive=archive, page_size=page_size, page_token=page_token)
        )
    )


@api.get("/operations/{operation}", response_model=Operation, operation_id="get_operation")
async def get_operation(operation: str, peers: ThePeers) -> Any:
    """Returns an operation."""
    answer = await peers.archives.GetOperation(archive_pb2.GetOperationRequest(id=operation))
    return plain(answer.operation)


@api.get("/operations/{operation}/events", operation_id="watch_operation", response_class=StreamingResponse)
async def watch(operation: str, peers: ThePeers, request: Request) -> StreamingResponse:
    """Follows an operation: events `progress` at every change and `end`, each with the operation."""

    async def events() -> AsyncIterator[Event]:
        last: dict[str, Any] = {}
        async for answer in peers.archives.WatchOperation(archive_pb2.WatchOperationRequest(id=operation)):
            last = plain(answer.operation)
            yield "progress", last
        yield "end", last

    return await event_response(request, events())


@api.post("/operations/{operation}/cancel", response_model=Operation, operation_id="cancel_operation")
async def cancel(operation: str, peers: ThePeers) -> Any:
    """Cancels an operation; what is committed stays."""
    answer = await peers.archives.CancelOperation(archive_pb2.CancelOperationRequest(id=operation))
    return plain(answer.operation)


@api.post(
    "/operations/{operation}/resume",
    response_model=Operation,
    status_code=202,
    operation_id="resume_operation",
)
async def resume(operation: str, peers: ThePeers) -> Any:
    """Goes on with an operation that was cancelled, failed or cut off."""
    answer = await peers.archives.ResumeOperation(archive_pb2.ResumeOperationRequest(id=operation))
    return plain(answer.operation)
