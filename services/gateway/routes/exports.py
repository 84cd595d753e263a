"""Hits and verdicts as files of other programs, and tiers of annotation files as queries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from wordspot.indexer.paths import name_of_text
from wordspot.services.gateway.downloads import attachment
from wordspot.services.gateway.peers import Peers, ThePeers
from wordspot.services.gateway.problems import Problem
from wordspot.services.gateway.search_schemas import ExportBody, OccurrenceBody, TiersBody, VerdictSelection
from wordspot.services.interchange.formats import (
    FORMATS,
    ZIP_TYPE,
    ExportedFile,
    ExportOptions,
    export,
    read_tiers,
    zipped,
)
from wordspot.services.interchange.records import Occurrence, TierFile
from wordspot.services.limits import MAX_PAGE_ITEMS, MAX_STORED_HITS, MAX_TIER_FILE_BYTES
from wordspot.v1 import archive_pb2

api = APIRouter(prefix="/archives/{archive}", tags=["exports"])

MAX_LOOKUPS = 2_000  # recordings of an export that are looked up for their length and tags
LOOKUPS_AT_ONCE = 16
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One file, or a zip of one for each recording.",
        "content": {kind: _BINARY for kind in {ZIP_TYPE, *(each.media_type for each in FORMATS.values())}},
    }
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "format": {"type": "string"},
                        "encoding": {"type": "string"},
                    },
                }
            }
        },
    }
}


@api.post("/export", operation_id="export", response_class=Response, responses=_FILES)
async def export_places(archive: str, body: ExportBody, peers: ThePeers) -> Response:
    """Writes hits, or verdicts that are stored, as ELAN, Praat, subtitle, label or table files."""
    if body.verdicts is not None:
        occurrences = await _of_verdicts(peers, archive, body.verdicts)
    else:
        occurrences = [_occurrence(hit) for hit in body.hits or ()]
    recordings = await _recordings(peers, archive, {occurrence.recording for occurrence in occurrences})
    options = ExportOptions(
        seconds={each.id: each.duration_seconds for each in recordings.values()},
        with_scores=body.with_scores,
        bom=body.bom,
        per_recording=body.per_recording,
    )
    completed = [_completed(occurrence, recordings) for occurrence in occurrences]
    files = await asyncio.to_thread(export, completed, body.format, options)
    if len(files) == 1:
        return _download(files[0], FORMATS[body.format].media_type)
    data = await asyncio.to_thread(zipped, files)
    return _download(ExportedFile(f"{archive}-{body.format}.zip", data), ZIP_TYPE)


@api.post("/import/tiers", operation_id="import_tiers", response_model=TiersBody, openapi_extra=_FORM)
async def import_tiers(archive: str, request: Request, peers: ThePeers) -> Any:
    """Reads the tiers of an annotation file, whose annotations can then be searched for."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Problem(415, f"Content-Type must be multipart/form-data, got {kind!r}", field="Content-Type")
    async with request.form(max_files=1, max_fields=2, max_part_size=MAX_TIER_FILE_BYTES) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Problem(422, "the form must have one file `file`, got none", field="file")
        options = {name: str(form.get(name, "")) for name in ("format", "encoding")}
        data, name = await file.read(), file.filename or ""
    read = await asyncio.to_thread(read_tiers, data, name, options["format"], options["encoding"])
    return {
        "tiers": [
            {
                "name": tier.name,
                "annotations": [
                    {"start": each.start, "end": each.end, "text": each.text} for each in tier.annotations
                ],
            }
            for tier in read.tiers
        ],
        "media": [link.url for link in read.media],
        "recording": await _annotated(peers, archive, read, name),
    }


def _occurrence(body: OccurrenceBody) -> Occurrence:
    fields = body.model_dump(exclude={"correct", "path"})
    return Occurrence(**fields, path=name_of_text(body.path), verdict=body.correct)


async def _of_verdicts(peers: Peers, archive: str, selection: VerdictSelection) -> list[Occurrence]:
    """Raises Problem where there are too many."""
    found: list[Occurrence] = []
    request = archive_pb2.ListVerdictsRequest(
        archive=archive, page_size=MAX_PAGE_ITEMS, **selection.model_dump(exclude_none=True)
    )
    while True:
        page: archive_pb2.ListVerdictsResponse = await peers.archives.ListVerdicts(request)
        found.extend(map(_of_verdict, page.verdicts))
        if len(found) > MAX_STORED_HITS:
            raise Problem(
                413,
                f"an export must have at most {MAX_STORED_HITS:,} places, got {page.total_size:,}",
                field="verdicts",
                limit=MAX_STORED_HITS,
            )
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def _of_verdict(verdict: archive_pb2.Verdict) -> Occurrence:
    return Occurrence(
        query=verdict.query,
        recording=verdict.recording,
        path=name_of_text(verdict.path),
        start=verdict.interval.start_seconds,
        end=verdict.interval.end_seconds,
        score=verdict.score,
        p_correct=verdict.p_correct,
        channel=verdict.channel,
        verdict=verdict.correct,
        author=verdict.author,
    )


async def _recordings(
    peers: Peers, archive: str, identities: Iterable[str]
) -> dict[str, archive_pb2.Recording]:
    """Returns recordings by id. Raises Problem for too many."""
    wanted = sorted(identities)
    if len(wanted) > MAX_LOOKUPS:
        raise Problem(
            413,
            f"an export must have at most {MAX_LOOKUPS:,} recordings, got {len(wanted):,}",
            field="hits",
            limit=MAX_LOOKUPS,
        )
    found: dict[str, archive_pb2.Recording] = {}
    for first in range(0, len(wanted), LOOKUPS_AT_ONCE):
        answers: Sequence[archive_pb2.GetRecordingResponse] = await asyncio.gather(
            *(
                peers.archives.GetRecording(
                    archive_pb2.GetRecordingRequest(archive=archive, recording=identity)
                )
                for identity in wanted[first : first + LOOKUPS_AT_ONCE]
            )
        )
        found |= {answer.recording.id: answer.recording for answer in answers}
    return found


def _completed(occurrence: Occurrence, recordings: dict[str, archive_pb2.Recording]) -> Occurrence:
    """Returns the occurrence with path and tags of its recording."""
    recording = recordings[occurrence.recording]
    fields = vars(occurrence) | {
        "path": occurrence.path or name_of_text(recording.path),
        "tags": dict(recording.tags),
    }
    return Occurrence(**fields)


async def _annotated(peers: Peers, archive: str, file: TierFile, name: str) -> str | None:
    """Returns the id of the recording that an annotation file is of, by the names in it or by its own."""
    names = [PurePosixPath(unquote(urlsplit(link.url).path or link.url)).name for link in file.media]
    stem = PurePosixPath(name).stem
    for pattern in (*filter(None, names), *([f"{_literal(stem)}.*"] if stem else [])):
        glob = pattern if pattern.endswith(".*") else _literal(pattern)
        page: archive_pb2.ListRecordingsResponse = await peers.archives.ListRecordings(
            archive_pb2.ListRecordingsRequest(
                archive=archive, page_size=2, filter=archive_pb2.RecordingFilter(paths=[glob])
            )
        )
        if len(page.recordings) == 1:
            return page.recordings[0].id
    return None


def _literal(text: str) -> str:
    """Returns a glob that matches this text alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _download(file: ExportedFile, media_type: str) -> Response:
    headers = {"Content-Disposition": attachment(file.name)}
    return Response(file.data, media_type=media_type, headers=headers)
