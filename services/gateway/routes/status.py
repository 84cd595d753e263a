"""Whether the server answers, and what it can do."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from wordspot.services import limits
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.schemas import Health, Info
from wordspot.v1 import archive_pb2, embedding_pb2

router = APIRouter(tags=["status"])
api = APIRouter(tags=["status"])

_LIMITS: dict[str, int] = {
    "max_chunk_bytes": limits.MAX_CHUNK_BYTES,
    "max_clip_seconds": int(limits.MAX_CLIP_SECONDS),
    "max_examples": limits.MAX_EXAMPLES,
    "max_hits": limits.MAX_HITS,
    "max_page_items": limits.MAX_PAGE_ITEMS,
    "max_queries": limits.MAX_QUERIES_PER_REQUEST,
    "max_query_bytes": limits.MAX_QUERY_BYTES,
    "max_speakers": limits.MAX_SPEAKERS,
    "max_text_characters": limits.MAX_TEXT_CHARACTERS,
}


@router.get("/health", response_model=Health, operation_id="get_health")
async def health() -> Health:
    """Says that this process answers."""
    return Health(status="ok")


@router.get("/ready", response_model=Health, operation_id="get_ready", responses={503: {"model": Health}})
async def ready(peers: ThePeers, response: Response) -> Health:
    """Says whether the services behind it can be used."""
    problems = await peers.problems()
    status: Literal["ok", "unavailable"] = "unavailable" if problems else "ok"
    response.status_code = 503 if problems else 200
    return Health(status=status, problems=problems)


@api.get("/info", response_model=Info, operation_id="get_info")
async def info(peers: ThePeers) -> Info:
    """Says what the server can do and what it allows."""
    answer: embedding_pb2.ListEncodersResponse = await peers.encoders.ListEncoders(
        embedding_pb2.ListEncodersRequest()
    )
    server: archive_pb2.GetServerInfoResponse = await peers.archives.GetServerInfo(
        archive_pb2.GetServerInfoRequest()
    )
    return Info(
        version=server.version,
        encoders=sorted(encoder.name for encoder in answer.encoders),
        default_encoder=server.default_encoder,
        limits=_LIMITS,
        synthesis=bool(server.synthesis_languages),
        languages=list(server.synthesis_languages),
        read_only=server.read_only,
    )
