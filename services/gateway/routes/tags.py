"""Tags of recordings, and verdicts on hits."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from wordspot.services.gateway.messages import message_of, plain
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.schemas import (
    PageSize,
    PageToken,
    TagPage,
    VerdictAnswers,
    VerdictPage,
    Verdicts,
)
from wordspot.services.limits import MAX_VERDICTS_PER_CALL
from wordspot.v1 import archive_pb2

api = APIRouter(prefix="/archives/{archive}", tags=["tags and verdicts"])


@api.get("/tags", response_model=TagPage, operation_id="list_tags")
async def list_tags(
    archive: str,
    peers: ThePeers,
    page_size: Annotated[PageSize, Query()] = 0,
    page_token: Annotated[PageToken, Query()] = "",
) -> Any:
    """Lists which tags recordings have, with how many have each."""
    return plain(
        await peers.archives.ListTags(
            archive_pb2.ListTagsRequest(archive=archive, page_size=page_size, page_token=page_token)
        )
    )


@api.get("/verdicts", response_model=VerdictPage, operation_id="list_verdicts")
async def list_verdicts(
    archive: str,
    peers: ThePeers,
    page_size: Annotated[PageSize, Query()] = 0,
    page_token: Annotated[PageToken, Query()] = "",
    query: str = "",
    recording: str = "",
    correct: bool | None = None,
    author: str = "",
) -> Any:
    """Lists verdicts in order of their first being set: all, or of one query, recording or author."""
    request = archive_pb2.ListVerdictsRequest(
        archive=archive,
        page_size=page_size,
        page_token=page_token,
        query=query,
        recording=recording,
        correct=correct,
        author=author,
    )
    return plain(await peers.archives.ListVerdicts(request))


@api.post("/verdicts", response_model=VerdictAnswers, operation_id="set_verdicts")
async def set_verdicts(archive: str, body: Verdicts, peers: ThePeers) -> Any:
    """Stores what somebody says of hits; one of the same place and query is replaced."""
    request = message_of(archive_pb2.SetVerdictsRequest, body, archive=archive)
    return plain(await peers.archives.SetVerdicts(request))


@api.delete("/verdicts", status_code=204, operation_id="delete_verdicts")
async def delete_verdicts(
    archive: str,
    peers: ThePeers,
    id: Annotated[list[str], Query(min_length=1, max_length=MAX_VERDICTS_PER_CALL)],
) -> None:
    """Deletes verdicts by their ids, all or none."""
    await peers.archives.DeleteVerdicts(archive_pb2.DeleteVerdictsRequest(archive=archive, ids=id))


@api.delete("/verdicts/{verdict}", status_code=204, operation_id="delete_verdict")
async def delete_verdict(archive: str, verdict: str, peers: ThePeers) -> None:
    """Deletes a verdict."""
    await peers.archives.DeleteVerdicts(archive_pb2.DeleteVerdictsRequest(archive=archive, ids=[verdict]))
