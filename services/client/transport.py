"""How a client reaches the services: over the network, or in its own process.

What differs is how files get into an archive and what is known of encoders; one class for each way.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

import grpc

from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotAllowed
from wordspot.indexer.paths import path_text
from wordspot.services.access.credentials import Credentials
from wordspot.services.channels import open_channel
from wordspot.services.client.retries import DeadlineInterceptor, Retries, RetryInterceptor
from wordspot.services.errors import Overloaded, PeerUnavailable, from_call, translated
from wordspot.services.limits import (
    ENCODER_TIMEOUT_S,
    MAX_CHUNK_BYTES,
    RETRY_TIMEOUT_S,
    UNAVAILABLE_DELAY_S,
)
from wordspot.v1 import (
    archive_pb2,
    archive_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    search_pb2_grpc,
)

FILES_PER_QUESTION = 64  # whether a server sees them

AddedRecording = tuple[archive_pb2.Recording, bool]
"""A recording, and whether the archive held its content already."""


class Transport(ABC):
    """A channel to the services of archives, closed together with what it was opened with."""

    def __init__(
        self,
        address: str,
        resources: ExitStack,
        *interceptors: grpc.UnaryUnaryClientInterceptor[Any, Any],
        credentials: Credentials | None = None,
    ) -> None:
        """Opens the channel.

        Args:
            address: host:port or unix:PATH.
            resources: closed after the channel.
            interceptors: of calls.
            credentials: as `open_channel` takes it.
        """
        self.address = address
        self._resources = resources
        channel = open_channel(address, credentials)
        resources.callback(channel.close)
        self.channel = grpc.intercept_channel(channel, *interceptors)
        self.archives = archive_pb2_grpc.ArchiveServiceStub(self.channel)
        self.searches = search_pb2_grpc.SearchServiceStub(self.channel)

    def close(self) -> None:
        """Closes the channel, and the services where they run in this process."""
        self._resources.close()

    @abstractmethod
    def add_files(
        self, files: Sequence[Path], archive: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[Path, archive_pb2.AddedFile | InvalidInput]]:
        """Puts files into an archive; yields each with what became of it.

        files: absolute paths. tags: that their recordings get, besides those that they have.
        """

    @abstractmethod
    def check_encoder(self, encoder: str | None) -> None:
        """Raises, before anything is added, what keeps an encoder from being used; None is any.

        Raises NotFound, FailedPrecondition where its weights are missing.
        """

    def prepare_encoder(self, encoder: str | None, archive: str) -> str:
        """Has the encoder loaded ahead where that saves time.

        encoder: None for the archive's own or the default. Returns why `auto` gives what it gives, where that
        is known here; else "".
        """
        return ""


class RemoteTransport(Transport):
    """To a running `wordspot serve`: files that it sees itself are added by path, others are uploaded."""

    def __init__(
        self,
        address: str,
        retry_timeout: float,
        credentials: Credentials | None = None,
        timeout: float | None = None,
    ) -> None:
        """Opens the channel.

        Args:
            address: host:port.
            retry_timeout: seconds for which a call is repeated that the server turned away.
            credentials: as `open_channel` takes them.
            timeout: seconds that a call may take; None for no limit.
        """
        self._retry_timeout = retry_timeout
        self._unseen: set[Path] = set()  # folders whose files the server does not see
        with ExitStack() as resources:
            interceptors = DeadlineInterceptor(timeout), RetryInterceptor(retry_timeout)
            super().__init__(address, resources, *interceptors, credentials=credentials)
            self._resources = resources.pop_all()

    def add_files(
        self, files: Sequence[Path], archive: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[Path, archive_pb2.AddedFile | InvalidInput]]:
        """Adds files that the server sees below its roots by path, uploads others one after another; yields
        each with what became of it."""
        for first in range(0, len(files), FILES_PER_QUESTION):
            some = files[first : first + FILES_PER_QUESTION]
            seen = self._add_seen([path for path in some if path.parent not in self._unseen], archive, tags)
            for path in some:
                try:
                    yield path, seen.get(path) or self._upload(path, archive, tags)
                except InvalidInput as error:
                    yield path, error

    def _add_seen(
        self, files: Sequence[Path], archive: str, tags: Mapping[str, str]
    ) -> dict[Path, archive_pb2.AddedFile | InvalidInput]:
        """Returns what became of the files that the server sees with the same content."""
        hashes: dict[Path, str] = {}
        for path in files:
            with suppress(OSError), path.open("rb") as file:
                hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        if not hashes:
            return {}
        request = archive_pb2.AddRecordingsRequest(
            archive=archive,
            files=[
                archive_pb2.FileToAdd(
                    path=path_text(path), request_id=uuid.uuid4().hex, tags=tags, sha256=sha256
                )
                for path, sha256 in hashes.items()
            ],
        )
        seen: dict[Path, archive_pb2.AddedFile | InvalidInput] = {}
        unanswered = iter(hashes)
        # What is not answered is uploaded, with retries of its own; the content is known then.
        with suppress(Overloaded, PeerUnavailable, NotAllowed), translated(self.address):
            for response in self.archives.AddRecordings(request):
                for path, file in zip(islice(unanswered, len(response.files)), response.files, strict=True):
                    if file.status == archive_pb2.FILE_STATUS_UNSEEN:
                        self._unseen.add(path.parent)
                    else:
                        seen[path] = InvalidInput(file.problem) if file.problem else file
        return seen

    def check_encoder(self, encoder: str | None) -> None:
        """Has the server load the encoder; says nothing where another server does that."""
        if encoder is None:
            return
        try:
            load_encoder(self.channel, encoder)
        except grpc.RpcError as error:
            if getattr(error, "code", lambda: None)() is not grpc.StatusCode.UNIMPLEMENTED:
                raise from_call(error, self.address) from error

    def _upload(self, path: Path, archive: str, tags: Mapping[str, str]) -> archive_pb2.AddedFile:
        """Raises InvalidInput, PeerUnavailable, Overloaded."""
        try:
            file = path.open("rb")  # stays readable should the file be deleted meanwhile
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        with file:
            return self._upload_file(file, _upload_header(file, path, archive, tags))

    def _upload_file(self, file: BufferedReader, header: archive_pb2.UploadHeader) -> archive_pb2.AddedFile:
        """Raises InvalidInput, PeerUnavailable, Overloaded."""
        retries = Retries(self._retry_timeout)
        while True:
            try:
                with translated(self.address):
                    response: archive_pb2.UploadRecordingResponse = self.archives.UploadRecording(
                        _upload_requests(header, file)
                    )
                return archive_pb2.AddedFile(
                    recording=response.recording, already_present=response.already_present
                )
            except (Overloaded, PeerUnavailable) as error:
                # The request id makes it harmless if an earlier attempt did arrive.
                if not retries.pause(error, UNAVAILABLE_DELAY_S):
                    raise


def load_encoder(channel: grpc.Channel, name: str) -> None:
    """Returns once an encoder is loaded. Raises grpc.RpcError."""
    stub = embedding_pb2_grpc.EmbeddingServiceStub(channel)
    stub.GetEncoder(embedding_pb2.GetEncoderRequest(name=name), timeout=ENCODER_TIMEOUT_S)


def open_transport(
    address: str | None,
    home: Path | None,
    retry_timeout: float = RETRY_TIMEOUT_S,
    *,
    timeout: float | None = None,
    wait_seconds: float | None = None,
    read_only: bool = False,
    credentials: Credentials | None = None,
) -> Transport:
    """Returns the transport to a server, or without an address to the services of this process.

    retry_timeout, timeout, credentials: of the former; in seconds, and None for what the environment says.
    home: of the latter; None means WORDSPOT_HOME or ~/.wordspot. For the others, and what is raised, see
    EmbeddedTransport.
    """
    if address is not None:
        credentials = credentials or Credentials.read(os.environ)
        return RemoteTransport(address, retry_timeout, credentials, timeout)
    in_process: Transport = _in_process().EmbeddedTransport(
        home, wait_seconds=wait_seconds, read_only=read_only
    )
    return in_process


@contextmanager
def open_model_channel(
    address: str | None,
    home: Path | None,
    retry_timeout: float = RETRY_TIMEOUT_S,
    credentials: Credentials | None = None,
) -> Iterator[tuple[str, grpc.Channel]]:
    """Yields the address of a model service and a channel to it; without an address one in this process.

    home, retry_timeout, credentials: as `open_transport` takes them; the home may be open elsewhere.
    """
    with ExitStack() as resources:
        if address is None:
            address = resources.enter_context(_in_process().model_service(home))
        else:
            credentials = credentials or Credentials.read(os.environ)
        channel = open_channel(address, credentials)
        resources.callback(channel.close)
        yield address, grpc.intercept_channel(channel, RetryInterceptor(retry_timeout))


def _in_process() -> Any:
    """Returns the module of the services in this process. Raises FailedPrecondition where it is not there."""
    name = "wordspot.services.embedded_transport"
    if importlib.util.find_spec(name) is None:
        raise FailedPrecondition(
            "address must be host:port of a server, got none: without a server the services run in this "
            "process, for which the client is not enough: pip install wordspot"
        )
    return importlib.import_module(name)


def _upload_header(
    file: BufferedReader, path: Path, archive: str, tags: Mapping[str, str]
) -> archive_pb2.UploadHeader:
    """Raises InvalidInput."""
    try:
        return archive_pb2.UploadHeader(
            archive=archive,
            filename=path_text(path),
            sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            size_bytes=file.tell(),
            request_id=uuid.uuid4().hex,
            tags=tags,
        )
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def _upload_requests(
    header: archive_pb2.UploadHeader, file: BufferedReader
) -> Iterator[archive_pb2.UploadRecordingRequest]:
    yield archive_pb2.UploadRecordingRequest(header=header)
    file.seek(0)
    while chunk := file.read(MAX_CHUNK_BYTES):
        yield archive_pb2.UploadRecordingRequest(chunk=chunk)
