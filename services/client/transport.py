"""How a client reaches the services: over the network, or in its own process.

What differs is how files get into an archive and what is known of encoders; one class for each way.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import grpc

from wordspot.indexer.errors import ArchiveError, InvalidInput, NotFound
from wordspot.indexer.paths import path_text
from wordspot.services import settings
from wordspot.services.client.retries import Retries, RetryInterceptor
from wordspot.services.errors import Overloaded, PeerUnavailable, translated
from wordspot.services.limits import (
    AUTO,
    MAX_CHUNK_BYTES,
    MAX_FILES_PER_CALL,
    RETRY_TIMEOUT_S,
    UNAVAILABLE_DELAY_S,
)
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import (
    archive_pb2,
    archive_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    search_pb2_grpc,
)

AddedRecording = tuple[archive_pb2.Recording, bool]
"""A recording, and whether the archive held its content already."""


class Transport(ABC):
    """A channel to the services of archives, closed together with what it was opened with."""

    def __init__(
        self, address: str, resources: ExitStack, *interceptors: grpc.UnaryUnaryClientInterceptor[Any, Any]
    ) -> None:
        """address: host:port or unix:PATH. resources: closed after the channel. interceptors: of calls."""
        self.address = address
        self._resources = resources
        channel = resources.enter_context(open_channel(address))
        self.channel = grpc.intercept_channel(channel, *interceptors)
        self.archives = archive_pb2_grpc.ArchiveServiceStub(self.channel)
        self.searches = search_pb2_grpc.SearchServiceStub(self.channel)

    def close(self) -> None:
        """Closes the channel, and the services where they run in this process."""
        self._resources.close()

    @abstractmethod
    def add_files(
        self, files: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, AddedRecording | InvalidInput]]:
        """Puts files into an archive; yields each with what became of it.

        files: absolute paths.
        """

    def check_encoder(self, encoder: str | None) -> None:
        """Raises NotFound, before anything is added, for an encoder that is known not to exist."""
        return

    def prepare_encoder(self, encoder: str | None, archive: str) -> str:
        """Has the encoder loaded ahead where that saves time.

        encoder: None for the archive's own or the default. Returns why `auto` gives what it gives, where that
        is known here; else "".
        """
        return ""


class RemoteTransport(Transport):
    """To a running `wordspot serve`: files are uploaded."""

    def __init__(self, address: str, retry_timeout: float) -> None:
        """retry_timeout: seconds for which a call is repeated that the server turned away."""
        self._retry_timeout = retry_timeout
        with ExitStack() as resources:
            super().__init__(address, resources, RetryInterceptor(retry_timeout))
            self._resources = resources.pop_all()

    def add_files(
        self, files: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, AddedRecording | InvalidInput]]:
        """Uploads files one after another; yields each with what became of it."""
        for path in files:
            try:
                yield path, self._upload(path, archive)
            except InvalidInput as error:
                yield path, error

    def _upload(self, path: Path, archive: str) -> AddedRecording:
        """Raises InvalidInput, PeerUnavailable, Overloaded."""
        try:
            file = path.open("rb")  # stays readable should the file be deleted meanwhile
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        with file:
            return self._upload_file(file, _upload_header(file, path, archive))

    def _upload_file(self, file: BufferedReader, header: archive_pb2.UploadHeader) -> AddedRecording:
        """Raises InvalidInput, PeerUnavailable, Overloaded."""
        retries = Retries(self._retry_timeout)
        while True:
            try:
                with translated(self.address):
                    response: archive_pb2.UploadRecordingResponse = self.archives.UploadRecording(
                        _upload_requests(header, file)
                    )
                return response.recording, response.already_present
            except (Overloaded, PeerUnavailable) as error:
                # The request id makes it harmless if an earlier attempt did arrive.
                if not retries.pause(error, UNAVAILABLE_DELAY_S):
                    raise


class EmbeddedTransport(Transport):
    """To services in this process, on a home directory of its own: files are added by path."""

    def __init__(self, home: Path, *, wait_seconds: float | None = None, read_only: bool = False) -> None:
        """Opens the home.

        Args:
            home: the directory.
            wait_seconds: how long to wait for another process that has it open for writing; None for what the
                environment says.
            read_only: only read it, beside another process, if it can be read as it is.

        Raises:
            FailedPrecondition: if another process has it open for writing.
        """
        from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings

        options = EmbeddedSettings.of_home(
            home,
            os.environ,
            wait_seconds=wait_seconds,
            read_only=read_only and is_readable(home, os.environ),
        )
        self._home = home
        self._default_encoder = options.searcher.default_encoder
        self._preload: grpc.Future[embedding_pb2.GetEncoderResponse] | None = None
        with ExitStack() as resources:
            server = resources.enter_context(EmbeddedServer(options))
            super().__init__(server.address, resources)
            self._resources = resources.pop_all()

    def add_files(
        self, files: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, AddedRecording | InvalidInput]]:
        """Adds files by path, many in a call; yields each with what became of it."""
        for first in range(0, len(files), MAX_FILES_PER_CALL):
            yield from self._add_by_path(files[first : first + MAX_FILES_PER_CALL], archive)

    def _add_by_path(
        self, paths: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, AddedRecording | InvalidInput]]:
        request = archive_pb2.AddRecordingsRequest(
            archive=archive,
            files=[
                archive_pb2.FileToAdd(path=path_text(path), request_id=uuid.uuid4().hex) for path in paths
            ],
        )
        unanswered = iter(paths)
        with translated(self.address):
            for response in self.archives.AddRecordings(request):
                for file in response.files:
                    problem = InvalidInput(file.problem) if file.problem else None
                    yield next(unanswered), problem or (file.recording, file.already_present)

    def check_encoder(self, encoder: str | None) -> None:
        """Raises NotFound for an encoder that neither ships nor lies below the home."""
        from wordspot.models import registry

        if encoder in (None, AUTO) or encoder in (names := registry.able("embed", self._home)):
            return
        raise NotFound(f"no encoder {encoder!r}; there are {', '.join(sorted([AUTO, *names]))}")

    def prepare_encoder(self, encoder: str | None, archive: str) -> str:
        """Starts to load the encoder. Returns why `auto` gives what it gives, "" for another."""
        name = encoder or self._archive_encoder(archive) or self._default_encoder
        # An attribute holds the call: gRPC cancels one that nothing refers to. Whatever goes wrong is raised
        # again when the encoder is used.
        stub = embedding_pb2_grpc.EmbeddingServiceStub(self.channel)
        self._preload = stub.GetEncoder.future(embedding_pb2.GetEncoderRequest(name=name))
        if name != AUTO:
            return ""
        from wordspot.models.encoders.choice import best_encoder

        return best_encoder().reason

    def _archive_encoder(self, archive: str) -> str:
        """Returns "" for an archive that is not indexed yet."""
        with translated(self.address):
            response: archive_pb2.GetArchiveResponse = self.archives.GetArchive(
                archive_pb2.GetArchiveRequest(name=archive)
            )
        return response.archive.encoder


def open_transport(
    address: str | None,
    home: Path | None,
    retry_timeout: float = RETRY_TIMEOUT_S,
    *,
    wait_seconds: float | None = None,
    read_only: bool = False,
) -> Transport:
    """Returns the transport to a server, or without an address to the services of this process.

    retry_timeout: of the former, in seconds. home: of the latter; None means WORDSPOT_HOME or ~/.wordspot.
    For the others, and what is raised, see EmbeddedTransport.
    """
    if address is not None:
        return RemoteTransport(address, retry_timeout)
    home = home or settings.home(os.environ)
    return EmbeddedTransport(home, wait_seconds=wait_seconds, read_only=read_only)


def is_readable(home: Path, environment: Mapping[str, str]) -> bool:
    """Returns whether a home has a catalogue of this version, which can be read without writing."""
    from wordspot.indexer.archive.catalogue import Catalogue
    from wordspot.indexer.archive.home import Home

    url = settings.SearcherSettings.read(environment, home=home).database_url
    try:
        Catalogue(url or Home(home, read_only=True).database_url, read_only=True).close()
    except ArchiveError:  # who opens it for writing says why, or makes it so
        return False
    return True


@contextmanager
def open_model_channel(
    address: str | None, home: Path | None, retry_timeout: float = RETRY_TIMEOUT_S
) -> Iterator[tuple[str, grpc.Channel]]:
    """Yields the address of a model service and a channel to it; without an address one in this process.

    home, retry_timeout: as `open_transport` takes them; the home may be open elsewhere.
    """
    with ExitStack() as resources:
        if address is None:
            from wordspot.services.embedded import serving_models

            options = ModelHostSettings.read(os.environ, home=home or settings.home(os.environ))
            address = resources.enter_context(serving_models(options))
        channel = resources.enter_context(open_channel(address))
        yield address, grpc.intercept_channel(channel, RetryInterceptor(retry_timeout))


def _upload_header(file: BufferedReader, path: Path, archive: str) -> archive_pb2.UploadHeader:
    """Raises InvalidInput."""
    try:
        return archive_pb2.UploadHeader(
            archive=archive,
            filename=path_text(path),
            sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            size_bytes=file.tell(),
            request_id=uuid.uuid4().hex,
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
