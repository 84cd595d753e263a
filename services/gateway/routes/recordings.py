"""Recordings: listed, added by path, deleted, heard."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from wordspot.indexer.paths import readable_path
from wordspot.services.answers import to_interval
from wordspot.services.gateway.downloads import attachment
from wordspot.services.gateway.messages import message_of, plain
from wordspot.services.gateway.peers import Peers, ThePeers
from wordspot.services.gateway.problems import Problem
from wordspot.services.gateway.ranges import asked_span
from wordspot.services.gateway.schemas import (
    AddBody,
    AddedBody,
    ListingQuery,
    PeaksBody,
    Recording,
    RecordingPage,
    TagsBody,
    UpdateAnswers,
    Updates,
)
from wordspot.services.gateway.sound import VirtualWav, clip, file_bytes, original_wav, wav_bytes
from wordspot.services.limits import DEFAULT_PEAK_BUCKETS, MAX_CLIP_SECONDS, MAX_PEAK_BUCKETS, MAX_STREAMS
from wordspot.v1 import archive_pb2

api = APIRouter(prefix="/archives/{archive}/recordings", tags=["recordings"])

WAV_TYPE = "audio/wav"
FILE_TYPE = "application/octet-stream"
_WAV: dict[int | str, dict[str, Any]] = {
    200: {"content": {WAV_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}
_WAV_RANGE: dict[int | str, dict[str, Any]] = _WAV | {
    206: _WAV[200] | {"description": "The range that was asked for."},
    304: {"description": "The caller's copy is right."},
}
_FILE: dict[str, Any] = {"content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_FILE_RANGE: dict[int | str, dict[str, Any]] = {
    200: _FILE,
    206: _FILE | {"description": "The range that was asked for."},
    304: _WAV_RANGE[304],
}
_HEAD: dict[int | str, dict[str, Any]] = {206: {}, 304: {}}
Rate = Literal["searched", "original"]
PADDING = Query(
    ge=0, le=MAX_CLIP_SECONDS / 2, description="Seconds more on either side.", allow_inf_nan=False
)
PLACE = Query(ge=0, le=MAX_STREAMS, description="From 1; 0: as the recording is indexed.")
MOMENT = Query(ge=0, description="In seconds.", allow_inf_nan=False)


@api.get("", response_model=RecordingPage, operation_id="list_recordings")
async def list_recordings(
    archive: str,
    peers: ThePeers,
    listing: Annotated[ListingQuery, Query()],
) -> Any:
    """Lists recordings in the order of adding, all or those that match."""
    page = await peers.archives.ListRecordings(
        archive_pb2.ListRecordingsRequest(
            archive=archive,
            page_size=listing.page_size,
            page_token=listing.page_token,
            filter=listing.filter(),
            states=[f"RECORDING_STATE_{state.upper()}" for state in listing.state],
        )
    )
    body = plain(page)
    return {
        "recordings": body["recordings"],
        "next_page_token": body["next_page_token"],
        "total": body["total_size"],
    }


@api.patch("", response_model=UpdateAnswers, operation_id="update_recordings")
async def update_recordings(archive: str, body: Updates, peers: ThePeers) -> Any:
    """Sets and removes tags of many recordings; one that cannot be changed has a problem."""
    request = message_of(archive_pb2.UpdateRecordingsRequest, body, archive=archive)
    return plain(await peers.archives.UpdateRecordings(request))


@api.post(
    "",
    response_model=AddedBody,
    operation_id="add_recording",
    responses={201: {"model": AddedBody, "description": "Added."}},
)
async def add_recording(archive: str, body: AddBody, peers: ThePeers, response: Response) -> Any:
    """Adds a file that the server can read, below one of its roots."""
    answer = await peers.archives.AddRecording(
        archive_pb2.AddRecordingRequest(
            archive=archive, path=body.path, request_id=body.request_id, tags=body.tags
        )
    )
    response.status_code = 200 if answer.already_present else 201
    return plain(answer)


@api.get("/{recording}", response_model=Recording, operation_id="get_recording")
async def get_recording(archive: str, recording: str, peers: ThePeers) -> Any:
    """Returns a recording."""
    return plain(await _recording(peers, archive, recording))


@api.patch("/{recording}", response_model=Recording, operation_id="update_recording")
async def update_recording(archive: str, recording: str, body: TagsBody, peers: ThePeers) -> Any:
    """Sets the tags that are texts and removes those that are null; others stay."""
    update = archive_pb2.RecordingUpdate(
        recording=recording,
        tags={key: value for key, value in body.tags.items() if value is not None},
        removed_tags=[key for key, value in body.tags.items() if value is None],
    )
    await _recording(peers, archive, recording)
    answer = await peers.archives.UpdateRecordings(
        archive_pb2.UpdateRecordingsRequest(archive=archive, updates=[update])
    )
    if answer.updates[0].problem:
        raise Problem(400, answer.updates[0].problem, kind="invalid-input", field="tags")
    return plain(answer.updates[0].recording)


@api.delete("/{recording}", status_code=204, operation_id="delete_recording")
async def delete_recording(archive: str, recording: str, peers: ThePeers) -> None:
    """Deletes a recording from the archive; a file that was added by path stays."""
    await peers.archives.DeleteRecording(
        archive_pb2.DeleteRecordingRequest(archive=archive, recording=recording)
    )


@api.get("/{recording}/clip", operation_id="get_clip", response_class=StreamingResponse, responses=_WAV)
async def get_clip(
    archive: str,
    recording: str,
    peers: ThePeers,
    start: Annotated[float, MOMENT],
    end: Annotated[float, MOMENT],
    padding: Annotated[float, PADDING] = 0.0,
    channel: Annotated[int, PLACE] = 0,
    track: Annotated[int, PLACE] = 0,
    rate: Rate = "searched",
) -> Response:
    """Returns a stretch of a recording as a 16-bit WAV file: as it is searched, or as the file has it."""
    if end <= start:
        raise Problem(422, f"end must be greater than start, got {start:g} to {end:g}", field="end")
    data = await clip(
        peers,
        archive,
        recording,
        max(start - padding, 0.0),
        end + padding,
        (channel, track),
        original=rate == "original",
    )
    return Response(data, media_type=WAV_TYPE)


@api.get("/{recording}/peaks", operation_id="get_peaks", response_model=PeaksBody)
async def get_peaks(
    archive: str,
    recording: str,
    peers: ThePeers,
    start: Annotated[float, MOMENT] = 0.0,
    end: Annotated[float, Query(ge=0, description="In seconds; 0: the end.", allow_inf_nan=False)] = 0.0,
    buckets: Annotated[int, Query(ge=1, le=MAX_PEAK_BUCKETS)] = DEFAULT_PEAK_BUCKETS,
) -> Response:
    """Returns the waveform of a stretch, or of the whole recording, in so many parts."""
    if end and end <= start:
        raise Problem(422, f"end must be greater than start, got {start:g} to {end:g}", field="end")
    answer: archive_pb2.GetPeaksResponse = await peers.archives.GetPeaks(
        archive_pb2.GetPeaksRequest(
            archive=archive, recording=recording, interval=to_interval(start, end), buckets=buckets
        )
    )
    values = array("b", answer.peaks)
    body = {
        "start": answer.interval.start_seconds,
        "end": answer.interval.end_seconds,
        "buckets": answer.buckets,
        "min": list(values[::2]),
        "max": list(values[1::2]),
    }
    return JSONResponse(body)


@api.get(
    "/{recording}/audio", operation_id="get_audio", response_class=StreamingResponse, responses=_WAV_RANGE
)
async def get_audio(
    archive: str,
    recording: str,
    request: Request,
    peers: ThePeers,
    channel: Annotated[int, PLACE] = 0,
    track: Annotated[int, PLACE] = 0,
    rate: Rate = "searched",
) -> Response:
    """Returns the whole recording as a 16-bit WAV file, or the range that is asked for.

    It is as it is searched, one channel at 16 kHz, or has the rate and the channels of the recording's file.
    Its second is that of the recording, as hits count it.
    """
    return await _audio(archive, recording, request, peers, (channel, track), rate)


@api.head("/{recording}/audio", operation_id="head_audio", response_class=Response, responses=_HEAD)
async def head_audio(
    archive: str,
    recording: str,
    request: Request,
    peers: ThePeers,
    channel: Annotated[int, PLACE] = 0,
    track: Annotated[int, PLACE] = 0,
    rate: Rate = "searched",
) -> Response:
    """Tells size and type of the recording's sound."""
    return await _audio(archive, recording, request, peers, (channel, track), rate)


@api.get(
    "/{recording}/original",
    operation_id="get_original",
    response_class=StreamingResponse,
    responses=_FILE_RANGE,
)
async def get_original(archive: str, recording: str, request: Request, peers: ThePeers) -> Response:
    """Returns the recording's file as it was added, to be saved, or the range that is asked for."""
    return await _original(archive, recording, request, peers)


@api.head("/{recording}/original", operation_id="head_original", response_class=Response, responses=_HEAD)
async def head_original(archive: str, recording: str, request: Request, peers: ThePeers) -> Response:
    """Tells size and name of the recording's file."""
    return await _original(archive, recording, request, peers)


async def _audio(
    archive: str, recording: str, request: Request, peers: Peers, place: tuple[int, int], rate: Rate
) -> Response:
    found = await _recording(peers, archive, recording)
    if not found.duration_seconds:
        raise Problem(412, f"the length of {found.path!r} is known once it is indexed", kind="not-indexed")
    shown = "".join(f"-{number}" for number in place if any(place))
    headers = _cached(f"{found.sha256[:32]}-{rate}{shown}")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    wav = VirtualWav.of(found) if rate == "searched" else await original_wav(peers, found, place)
    span = asked_span(request.headers, wav.size, headers["ETag"])
    headers |= span.headers
    if request.method == "HEAD":
        return Response(status_code=span.status, headers=headers, media_type=WAV_TYPE)
    return await _streamed(
        wav_bytes(peers, found, wav, span.start, span.stop, place), span.status, headers, WAV_TYPE
    )


async def _original(archive: str, recording: str, request: Request, peers: Peers) -> Response:
    found = await _recording(peers, archive, recording)
    headers = _cached(f"{found.sha256[:32]}-file")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    _, size = await anext(file_bytes(peers, archive, recording, 0, 1))
    span = asked_span(request.headers, size, headers["ETag"])
    name = readable_path(PurePosixPath(found.path).name)
    headers |= span.headers | {"Content-Disposition": attachment(name)}
    if request.method == "HEAD":
        return Response(status_code=span.status, headers=headers, media_type=FILE_TYPE)

    async def content() -> AsyncIterator[bytes]:
        async for data, _ in file_bytes(peers, archive, recording, span.start, span.stop):
            yield data

    return await _streamed(content(), span.status, headers, FILE_TYPE)


def _cached(tag: str) -> dict[str, str]:
    """Returns the headers of what a caller may keep, but must ask for again."""
    return {"ETag": f'"{tag}"', "Cache-Control": "private, max-age=0, must-revalidate"}


async def _streamed(
    stream: AsyncIterator[bytes], status: int, headers: dict[str, str], media_type: str
) -> Response:
    """Returns an answer whose first bytes are at hand, so that what is wrong with them is still told."""
    first = await anext(stream)

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for data in stream:
            yield data

    return StreamingResponse(body(), status, headers, media_type)


async def _recording(peers: Peers, archive: str, recording: str) -> archive_pb2.Recording:
    answer = await peers.archives.GetRecording(
        archive_pb2.GetRecordingRequest(archive=archive, recording=recording)
    )
    found: archive_pb2.Recording = answer.recording
    return found
