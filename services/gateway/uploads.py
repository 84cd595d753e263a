"""Receives uploads piece by piece, and hands complete files to the archive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO

import grpc

from wordspot.indexer.archive.files import reporting_disk_errors
from wordspot.services.gateway.messages import plain
from wordspot.services.gateway.peers import Peers
from wordspot.services.gateway.problems import Problem, of_call
from wordspot.services.gateway.spool import Spool, Spooled
from wordspot.services.limits import MAX_CHUNK_BYTES
from wordspot.v1 import archive_pb2

BUFFER_BYTES = 1 << 20  # that are written to the disk together
CHECKSUM_MISMATCH = 460  # the status that tus gives it
_FINAL = (400, 404, 413, 415, 422)  # statuses of a file that will not do, however often it is sent


@dataclass(frozen=True)
class Checksum:
    """Of one piece. algorithm: as hashlib names it. digest: that the piece must have."""

    algorithm: str
    digest: bytes


class Uploads:
    """The uploads under way: each is written to by one request at a time."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._busy: set[str] = set()

    @contextmanager
    def alone(self, upload: Spooled) -> Iterator[None]:
        """Keeps other requests from an upload while the context lasts. Raises Problem: 423."""
        if upload.id in self._busy:
            raise Problem(
                423, "another request is writing to this upload", kind="upload-locked", retry_after=1.0
            )
        self._busy.add(upload.id)
        try:
            yield
        finally:
            self._busy.discard(upload.id)

    async def receive(
        self,
        upload: Spooled,
        offset: int,
        pieces: AsyncIterator[bytes],
        checksum: Checksum | None = None,
        *,
        expected: int | None = None,
    ) -> int:
        """Appends a request's body; returns how many bytes have arrived.

        What arrives before the caller leaves stays, but not where there is a checksum.

        Args:
            upload: to continue.
            offset: of the body in the file; where the file ends now.
            pieces: of the body.
            checksum: of the body.
            expected: bytes that the body must have; None for any number.

        Raises:
            Problem: the body is too long or too short or not what its checksum says.
            Exhausted: the disk is full.
        """
        limit = upload.length if expected is None else offset + expected
        digest = None if checksum is None else hashlib.new(checksum.algorithm)
        with self.spool.open_at(upload, offset) as file:
            kept = False
            try:
                end = await _write(file, offset, pieces, limit, digest)
                if expected is not None and end != limit:
                    raise Problem(
                        400, f"the body must have {expected:,} bytes, got {end - offset:,}", field="body"
                    )
                if checksum is not None and digest is not None and digest.digest() != checksum.digest:
                    raise Problem(
                        CHECKSUM_MISMATCH,
                        f"the {checksum.algorithm} of the body must be {checksum.digest.hex()}, got "
                        f"{digest.hexdigest()}",
                        kind="checksum-mismatch",
                        field="Upload-Checksum",
                    )
                kept = True
            except Problem:
                raise
            except BaseException:  # the caller has left
                kept = checksum is None
                raise
            finally:
                if not kept:
                    file.truncate(offset)
        return end

    async def finish(self, peers: Peers, upload: Spooled) -> Spooled:
        """Hands a complete file to the archive and returns what became of it.

        Raises:
            Problem: it is not what the client announced, or the archive refuses it: the upload is removed.
            RpcError: it may be tried again.
        """
        if upload.recording is not None:
            return upload
        with self.spool.open_complete(upload) as file:
            sha256 = await asyncio.to_thread(_sha256_of, file)
            if upload.sha256 and sha256 != upload.sha256:
                self.spool.remove(upload)
                raise Problem(
                    CHECKSUM_MISMATCH,
                    f"the file must have the announced SHA-256 {upload.sha256}, got {sha256}",
                    kind="checksum-mismatch",
                    field="sha256",
                )
            header = archive_pb2.UploadHeader(
                archive=upload.archive,
                filename=upload.filename,
                sha256=sha256,
                size_bytes=upload.length,
                request_id=upload.request_id,
                tags=upload.tags,
            )
            try:
                answer = await peers.upload(_requests(header, file))
            except grpc.RpcError as error:
                problem = of_call(error)
                if problem.status in _FINAL:
                    self.spool.remove(upload)
                raise problem from None
        return self.spool.complete(upload, plain(answer.recording), answer.already_present)


def _sha256_of(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


async def _write(
    file: BinaryIO, offset: int, pieces: AsyncIterator[bytes], limit: int, digest: hashlib._Hash | None
) -> int:
    """Returns where the file ends. Raises Problem where a piece passes the limit."""
    buffer = bytearray()
    end = offset
    try:
        async for piece in pieces:
            end += len(piece)
            if end > limit:
                raise Problem(
                    413,
                    f"the body must have at most {limit - offset:,} bytes, got {end - offset:,} or more",
                    field="body",
                    limit=limit - offset,
                )
            if digest is not None:
                digest.update(piece)
            buffer += piece
            if len(buffer) >= BUFFER_BYTES:
                data, buffer = buffer, bytearray()
                await asyncio.to_thread(_append, file, data)
    finally:
        _append(file, buffer)
    return end


def _append(file: BinaryIO, data: bytearray) -> None:
    """Raises Exhausted, StorageFailed."""
    with reporting_disk_errors("receiving an upload"):
        file.write(data)
        file.flush()


def _requests(
    header: archive_pb2.UploadHeader, file: BinaryIO
) -> Iterator[archive_pb2.UploadRecordingRequest]:
    yield archive_pb2.UploadRecordingRequest(header=header)
    file.seek(0)
    while chunk := file.read(MAX_CHUNK_BYTES):
        yield archive_pb2.UploadRecordingRequest(chunk=chunk)
