"""The services in the client's own process, on a home directory, without a server.

`wordspot-client` does not have this module, nor what it imports.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc

from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.errors import ArchiveError, InvalidInput, NotFound
from wordspot.indexer.paths import path_text
from wordspot.services import settings
from wordspot.services.client.transport import Transport, load_encoder
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings, serving_models
from wordspot.services.errors import translated
from wordspot.services.limits import AUTO, MAX_FILES_PER_CALL
from wordspot.services.settings import ModelHostSettings, SearcherSettings
from wordspot.v1 import archive_pb2, embedding_pb2, embedding_pb2_grpc


class EmbeddedTransport(Transport):
    """To services in this process, on a home directory of its own: files are added by path."""

    def __init__(
        self, home: Path | None, *, wait_seconds: float | None = None, read_only: bool = False
    ) -> None:
        """Opens the home.

        Args:
            home: the directory; None means WORDSPOT_HOME or ~/.wordspot.
            wait_seconds: how long to wait for another process that has it open for writing; None for what the
                environment says.
            read_only: only read it, beside another process, if it can be read as it is.

        Raises:
            FailedPrecondition: if another process has it open for writing.
        """
        home = home or settings.home(os.environ)
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
        self, files: Sequence[Path], archive: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[Path, archive_pb2.AddedFile | InvalidInput]]:
        """Adds files by path, many in a call; yields each with what became of it."""
        for first in range(0, len(files), MAX_FILES_PER_CALL):
            yield from self._add_by_path(files[first : first + MAX_FILES_PER_CALL], archive, tags)

    def _add_by_path(
        self, paths: Sequence[Path], archive: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[Path, archive_pb2.AddedFile | InvalidInput]]:
        request = archive_pb2.AddRecordingsRequest(
            archive=archive,
            files=[
                archive_pb2.FileToAdd(path=path_text(path), request_id=uuid.uuid4().hex, tags=tags)
                for path in paths
            ],
        )
        unanswered = iter(paths)
        with translated(self.address):
            for response in self.archives.AddRecordings(request):
                for file in response.files:
                    problem = InvalidInput(file.problem) if file.problem else None
                    yield next(unanswered), problem or file

    def check_encoder(self, encoder: str | None) -> None:
        """Loads an encoder that lacks something, which fails at once unless it can be downloaded."""
        from wordspot.models import registry
        from wordspot.models.encoders.choice import needs

        if encoder is None or encoder == AUTO:
            return
        if encoder not in (names := registry.able("embed", self._home)):
            raise NotFound(f"no encoder {encoder!r}; there are {', '.join(sorted([AUTO, *names]))}")
        cards = registry.available(self._home)
        if encoder in cards and needs(cards[encoder]):
            with translated(self.address):
                load_encoder(self.channel, encoder)

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


def is_readable(home: Path, environment: Mapping[str, str]) -> bool:
    """Returns whether a home has a catalogue of this version, which can be read without writing."""
    url = SearcherSettings.read(environment, home=home).database_url
    try:
        Catalogue(url or Home(home, read_only=True).database_url, read_only=True).close()
    except ArchiveError:  # who opens it for writing says why, or makes it so
        return False
    return True


@contextmanager
def model_service(home: Path | None) -> Iterator[str]:
    """Runs a model service in this process; yields its address.

    home: whose own models it has, too; None means WORDSPOT_HOME or ~/.wordspot. It may be open elsewhere.
    """
    options = ModelHostSettings.read(os.environ, home=home or settings.home(os.environ))
    with serving_models(options) as address:
        yield address
