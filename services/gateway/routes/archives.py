"""Archives: made, listed, deleted, merged, verified, repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import grpc
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from wordspot.services.gateway.messages import plain
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.schemas import Archive, ArchivePage, Compaction, Operation, PageSize, PageToken
from wordspot.services.gateway.sse import Event, event_response
from wordspot.v1 import archive_pb2

api = APIRouter(prefix="/archives", tags=["archives"])


@api.get("", response_model=ArchivePage, operation_id="list_archives")
async def list_archives(
    peers: ThePeers,
    page_size: Annotated[PageSize, Query()] = 0,
    page_token: Annotated[PageToken, Query()] = "",
) -> Any:
    """Lists archives in the order of their names."""
    return plain(
        await peers.archives.ListArchives(
            archive_pb2.ListArchivesRequest(page_size=page_size, page_token=page_token)
        )
    )


@api.put(
    "/{archive}",
    response_model=Archive,
    operation_id="ensure_archive",
    responses={201: {"model": Archive, "description": "Made."}},
)
async def ensure_archive(archive: str, peers: ThePeers, response: Response) -> Any:
    """Makes an archive unless there is one of that name."""
    try:
        made = await peers.archives.CreateArchive(archive_pb2.CreateArchiveRequest(name=archive))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise
        return await get_archive(archive, peers)
    response.status_code = 201
    return plain(made.archive)


@api.get("/{archive}", response_model=Archive, operation_id="get_archive")
async def get_archive(archive: str, peers: ThePeers) -> Any:
    """Returns an archive."""
    answer = await peers.archives.GetArchive(archive_pb2.GetArchiveRequest(name=archive))
    return plain(answer.archive)


@api.delete("/{archive}", status_code=204, operation_id="delete_archive")
async def delete_archive(archive: str, peers: ThePeers) -> None:
    """Deletes an archive; files that were added by path stay."""
    await peers.archives.DeleteArchive(archive_pb2.DeleteArchiveRequest(name=archive))


@api.post("/{archive}/compact", response_model=Compaction, operation_id="compact_archive")
async def compact(archive: str, peers: ThePeers) -> Any:
    """Merges segments and frees the space of deleted recordings."""
    return plain(await peers.archives.CompactArchive(archive_pb2.CompactArchiveRequest(name=archive)))


@api.post("/{archive}/verify", operation_id="verify_archive", response_class=StreamingResponse)
async def verify(archive: str, peers: ThePeers, request: Request) -> StreamingResponse:
    """Compares every stored byte with its checksum. Events `verified`: what VerifyArchive answers."""

    async def events() -> AsyncIterator[Event]:
        call = peers.archives.VerifyArchive(archive_pb2.VerifyArchiveRequest(name=archive))
        async for answer in call:
            yield "verified", plain(answer)

    return await event_response(request, events())


@api.post("/{archive}/refresh", operation_id="refresh_archive", response_class=StreamingResponse)
async def refresh(archive: str, peers: ThePeers, request: Request) -> StreamingResponse:
    """Looks whether files that were added by path have changed, moved or gone: events `refreshed`."""

    async def events() -> AsyncIterator[Event]:
        call = peers.archives.RefreshArchive(archive_pb2.RefreshArchiveRequest(name=archive))
        async for answer in call:
            yield "refreshed", plain(answer)

    return await event_response(request, events())


@api.post("/{archive}/prune", operation_id="prune_archive", response_class=StreamingResponse)
async def prune(archive: str, peers: ThePeers, request: Request) -> StreamingResponse:
    """Deletes recordings whose files are missing: events `pruned`."""

    async def events() -> AsyncIterator[Event]:
        call = peers.archives.PruneArchive(archive_pb2.PruneArchiveRequest(name=archive))
        async for answer in call:
            yield "pruned", plain(answer)

    return await event_response(request, events())


@api.post("/{archive}/repair", response_model=Operation, status_code=202, operation_id="repair_archive")
async def repair(archive: str, peers: ThePeers) -> Any:
    """Starts to index anew, from their files, what damaged segments held."""
    answer = await peers.archives.RepairArchive(archive_pb2.RepairArchiveRequest(name=archive))
    return plain(answer.operation)
