"""Uploads that can be continued: the protocol tus 1.0, and PUT with Content-Range."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor

from wordspot.services.gateway.peers import Peers, ThePeers, caller_metadata
from wordspot.services.gateway.problems import Problem
from wordspot.services.gateway.schemas import Recording, UploadBody
from wordspot.services.gateway.spool import Spooled, new_id
from wordspot.services.gateway.uploads import Checksum, Uploads
from wordspot.services.limits import MAX_PATH_BYTES, MAX_UPLOAD_BYTES
from wordspot.v1 import archive_pb2

api = APIRouter(prefix="/archives/{archive}/uploads", tags=["uploads"])

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha256", "sha1", "md5")
PIECE_TYPE = "application/offset+octet-stream"
_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PIECE = {
    "requestBody": {
        "required": True,
        "content": {PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE = {
    "requestBody": {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_HEADERS = {"Upload-Offset": {"schema": {"type": "integer"}}, "Tus-Resumable": {"schema": {"type": "string"}}}
_DONE: dict[int | str, dict[str, Any]] = {
    200: {"model": Recording, "description": "Complete; the archive held the content already."},
    201: {"model": Recording, "description": "Complete and in the archive."},
    409: {"description": "The upload goes on elsewhere: at Upload-Offset.", "headers": _HEADERS},
    423: {"description": "Another request is writing to it."},
    460: {"description": "The checksum differs."},
}


class _FileNameConvertor(Convertor[str]):
    """Any characters, also ends of lines, which Starlette's own convertor of paths does not take."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("filename", _FileNameConvertor())


def _of_request(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.uploads
    return uploads


TheUploads = Annotated[Uploads, Depends(_of_request)]


@api.options("", status_code=204, operation_id="describe_uploads", response_class=Response)
async def describe(archive: str) -> Response:
    """Says what of tus is understood."""
    return Response(
        status_code=204,
        headers={
            "Tus-Resumable": VERSION,
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


@api.post(
    "",
    status_code=201,
    operation_id="create_upload",
    response_class=Response,
    responses={**_DONE, 201: {"description": "Begun; Location is where to send it.", "headers": _HEADERS}},
)
async def create(archive: str, request: Request, peers: ThePeers, uploads: TheUploads) -> Response:
    """Begins an upload of Upload-Length bytes. Upload-Metadata: filename, and if wanted sha256 and tags."""
    _check_version(request)
    length = _number(request, "Upload-Length")
    metadata = _metadata(request.headers.get("upload-metadata", ""))
    upload = Spooled(
        new_id(),
        archive,
        _filename(metadata.get("filename") or metadata.get("name", "")),
        length,
        _sha256(metadata.get("sha256", "")),
        _tags(metadata.get("tags", "")),
    )
    await peers.archives.GetArchive(archive_pb2.GetArchiveRequest(name=archive))
    uploads.spool.create(upload)
    headers = {"Location": f"uploads/{upload.id}"}
    if request.headers.get("content-type") == PIECE_TYPE:
        answer = await _receive(request, peers, uploads, upload, 0)
        answer.headers.update(headers)
        answer.status_code = 201
        return answer
    return Response(status_code=201, headers=headers | _state(uploads, upload))


@api.head(
    "/{upload}", operation_id="head_upload", response_class=Response, responses={200: {"headers": _HEADERS}}
)
async def head(archive: str, upload: str, request: Request, uploads: TheUploads) -> Response:
    """Tells how far an upload has come: Upload-Offset."""
    _check_version(request)
    return Response(headers=_state(uploads, _load(uploads, archive, upload)))


@api.get("/{upload}", operation_id="get_upload", response_model=UploadBody)
async def get(archive: str, upload: str, uploads: TheUploads) -> Any:
    """Tells how far an upload has come and what became of it."""
    found = _load(uploads, archive, upload)
    return {
        "id": found.id,
        "filename": found.filename,
        "offset": uploads.spool.offset(found),
        "length": found.length,
        "recording": found.recording,
        "already_present": found.already_present,
    }


@api.patch(
    "/{upload}",
    status_code=204,
    operation_id="continue_upload",
    response_class=Response,
    responses=_DONE,
    openapi_extra=_PIECE,
)
async def go_on(
    archive: str, upload: str, request: Request, peers: ThePeers, uploads: TheUploads
) -> Response:
    """Appends the body at Upload-Offset; the last piece is answered with the recording."""
    _check_version(request)
    if (kind := request.headers.get("content-type", "")) != PIECE_TYPE:
        raise Problem(415, f"Content-Type must be {PIECE_TYPE}, got {kind!r}", field="Content-Type")
    offset = _number(request, "Upload-Offset")
    return await _receive(request, peers, uploads, _load(uploads, archive, upload), offset)


@api.delete("/{upload}", status_code=204, operation_id="delete_upload", response_class=Response)
async def delete(archive: str, upload: str, request: Request, uploads: TheUploads) -> Response:
    """Ends an upload and removes what has arrived; a recording that is complete stays."""
    _check_version(request)
    found = _load(uploads, archive, upload)
    with uploads.alone(found):
        uploads.spool.remove(found)
    return Response(status_code=204, headers={"Tus-Resumable": VERSION})


@api.put(
    "/{name:filename}",
    operation_id="put_upload",
    response_class=JSONResponse,
    responses={**_DONE, 202: {"model": UploadBody, "description": "More is to come, at `offset`."}},
    openapi_extra=_FILE,
)
async def put(archive: str, name: str, request: Request, peers: ThePeers, uploads: TheUploads) -> Response:
    """Uploads a file, whole or by ranges.

    `Content-Range: bytes START-END/LENGTH` sends a range, each where the one before ended; `bytes */LENGTH`
    without a body asks how far the upload has come. Without it the body is the whole file.
    """
    length = request.headers.get("content-length", "")
    given = request.headers.get("content-range")
    if given is None and not (length.isascii() and length.isdecimal()):
        raise Problem(
            411, "a whole file needs Content-Length; parts of it Content-Range", field="Content-Length"
        )
    match = _RANGE.fullmatch(f"bytes 0-{int(length) - 1}/{length}" if given is None else given)
    if match is None:
        raise Problem(
            400,
            f"Content-Range must be bytes START-END/LENGTH or bytes */LENGTH, got {given!r}",
            field="Content-Range",
        )
    first, last, total = (None if digits is None else int(digits) for digits in match.groups())
    await peers.archives.GetArchive(archive_pb2.GetArchiveRequest(name=archive))
    upload = _named(uploads, archive, name, total or 0, restarts=first == 0)
    if first is None or last is None:
        return _progress(uploads, upload, 202)
    if not first <= last < upload.length:
        raise Problem(400, f"Content-Range must lie in the file, got {given!r}", field="Content-Range")
    answer = await _receive(request, peers, uploads, upload, first, expected=last - first + 1)
    return _progress(uploads, upload, 202) if answer.status_code == 204 else answer


async def _receive(
    request: Request,
    peers: Peers,
    uploads: Uploads,
    upload: Spooled,
    offset: int,
    *,
    expected: int | None = None,
) -> Response:
    """Returns 204 where more is to come, else the recording. Raises Problem."""
    with uploads.alone(upload):
        end = uploads.spool.offset(upload)
        if offset != end:
            raise Problem(
                409,
                f"the upload goes on at byte {end:,}, got {offset:,}",
                kind="wrong-offset",
                field="Upload-Offset",
                headers=_state(uploads, upload),
            )
        if end < upload.length:
            pieces = request.stream()
            end = await uploads.receive(upload, offset, pieces, _checksum(request), expected=expected)
        if end < upload.length:
            return Response(status_code=204, headers=_state(uploads, upload))
        done = await uploads.finish(peers, upload)
    status = 200 if done.already_present else 201
    return JSONResponse(done.recording, status, _state(uploads, done))


def _named(uploads: Uploads, archive: str, name: str, length: int, *, restarts: bool) -> Spooled:
    """Returns the upload of a file that is known by its name; begins one where there is none."""
    filename = _filename(name)
    caller = dict(caller_metadata.get()).get("authorization", "")  # no other sees what this one began
    identity = hashlib.sha256(f"{caller}/{archive}/{name}".encode()).hexdigest()[:32]
    try:
        upload = uploads.spool.load(identity)
    except Problem:
        upload = None
    if upload is not None:
        if not restarts and upload.recording is None and upload.length == length:
            return upload
        with uploads.alone(upload):
            uploads.spool.remove(upload)
    upload = Spooled(identity, archive, filename, length)
    uploads.spool.create(upload)
    return upload


def _load(uploads: Uploads, archive: str, identity: str) -> Spooled:
    """Raises Problem."""
    upload = uploads.spool.load(identity)
    if upload.archive != archive:
        raise Problem(404, f"no upload {identity!r} in archive {archive!r}")
    return upload


def _progress(uploads: Uploads, upload: Spooled, status: int) -> JSONResponse:
    offset = uploads.spool.offset(upload)
    body = UploadBody(
        id=upload.id,
        filename=upload.filename,
        offset=offset,
        length=upload.length,
        recording=None,
        already_present=False,
    )
    return JSONResponse(body.model_dump(), status, _state(uploads, upload))


def _state(uploads: Uploads, upload: Spooled) -> dict[str, str]:
    """Returns the headers that tell how far an upload has come."""
    name = base64.b64encode(upload.filename.encode()).decode()
    return {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(uploads.spool.offset(upload)),
        "Upload-Length": str(upload.length),
        "Upload-Metadata": f"filename {name}",
        "Upload-Expires": formatdate(uploads.spool.expires(upload), usegmt=True),
    }


def _check_version(request: Request) -> None:
    """Raises Problem."""
    version = request.headers.get("tus-resumable", VERSION)
    if version != VERSION:
        raise Problem(
            412,
            f"Tus-Resumable must be {VERSION}, got {version!r}",
            field="Tus-Resumable",
            headers={"Tus-Version": VERSION},
        )


def _number(request: Request, name: str) -> int:
    """Returns the number in a header. Raises Problem."""
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise Problem(400, f"{name} must be a number of bytes, got {text!r}", field=name)
    return int(text)


def _checksum(request: Request) -> Checksum | None:
    """Raises Problem."""
    given = request.headers.get("upload-checksum")
    if given is None:
        return None
    algorithm, _, digest = given.partition(" ")
    try:
        if algorithm not in ALGORITHMS:
            raise ValueError
        return Checksum(algorithm, base64.b64decode(digest, validate=True))
    except (ValueError, binascii.Error):
        allowed = ", ".join(ALGORITHMS)
        raise Problem(
            400,
            f"Upload-Checksum must be one of {allowed}, and base64, got {given!r}",
            field="Upload-Checksum",
        ) from None


def _metadata(text: str) -> dict[str, str]:
    """Raises Problem."""
    metadata = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            metadata[key] = base64.b64decode(value, validate=True).decode()
        except ValueError:
            raise Problem(
                400, f"Upload-Metadata must hold base64 of UTF-8, got {pair!r}", field="Upload-Metadata"
            ) from None
    return metadata


def _filename(name: str) -> str:
    """Raises Problem."""
    if not name or len(name.encode()) > MAX_PATH_BYTES or "\0" in name:
        raise Problem(
            400,
            f"the name of the file must have 1 to {MAX_PATH_BYTES:,} bytes, got {quote(name[:100])!r}",
            field="filename",
            limit=MAX_PATH_BYTES,
        )
    return name


def _sha256(text: str) -> str:
    """Raises Problem."""
    if text and not _SHA256.fullmatch(text):
        raise Problem(400, f"sha256 must have 64 hexadecimal digits, got {text[:100]!r}", field="sha256")
    return text.lower()


def _tags(text: str) -> Mapping[str, str]:
    """Raises Problem."""
    try:
        tags = json.loads(text or "{}")
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            raise ValueError
    except (ValueError, RecursionError):
        raise Problem(400, f"tags must be a JSON object of texts, got {text[:100]!r}", field="tags") from None
    return tags
