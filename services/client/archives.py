"""Archives and search for programs in Python, with a server or without one.

    with Client() as wordspot:
        wordspot.index(["recordings/"])
        for hit in wordspot.search("query.wav", all_hits=True):
            print(hit.path, hit.start, hit.end, hit.score, hit.p_correct, hit.detected)

Errors of the service are raised as the exceptions they were: the classes of wordspot.indexer.errors and
wordspot.services.errors.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from wordspot.indexer.errors import AlreadyExists
from wordspot.indexer.paths import path_text
from wordspot.indexer.tags import checked_tags
from wordspot.services.client.files import absolute
from wordspot.services.client.indexing import Indexing, followed
from wordspot.services.client.recordings import RecordingCalls
from wordspot.services.client.records import IndexProgress, IndexReport
from wordspot.services.client.searching import SearchCalls
from wordspot.services.client.tag_tables import TagsByPath
from wordspot.services.client.verdicts import VerdictCalls
from wordspot.services.errors import translated
from wordspot.v1 import archive_pb2


class Client(RecordingCalls, VerdictCalls, SearchCalls):
    """Archives and search, of a server or of this process.

    Args:
        address: host:port of `wordspot serve`; None works on the home directory without a server.
        home: the home directory without a server; None means WORDSPOT_HOME or ~/.wordspot.
        timeout: seconds that a server may take for a call that answers once, for a clip, and for each query
            of a search, before DeadlinePassed is raised; None for no limit. Uploads and operations last as
            long as they need.
        retry_timeout: seconds for which a call that an overloaded server turns away is repeated, after the
            delays that it asks for; 0 raises Overloaded at once. Only what is harmless to repeat is.
        wait_seconds: how long to wait for another process that has the home directory open for writing; None
            means WORDSPOT_WAIT_SECONDS, or not at all.
        read_only: only search and list what is in the home directory, also while another process has it open
            for writing. What changes things raises FailedPrecondition.
        credentials: how to reach a server, and who calls; None for what the environment says.

    Raises:
        FailedPrecondition: another process has the home directory open for writing.
    """

    # Archives

    def archives(self) -> Iterator[archive_pb2.Archive]:
        """Yields the archives, in order of their names."""
        for page in self._pages(self._archives.ListArchives, archive_pb2.ListArchivesRequest()):
            yield from page.archives

    def archive(self, name: str = "default") -> archive_pb2.Archive:
        """Returns an archive. Raises NotFound."""
        with translated(self.address):
            response: archive_pb2.GetArchiveResponse = self._archives.GetArchive(
                archive_pb2.GetArchiveRequest(name=name)
            )
        return response.archive

    def ensure_archive(self, name: str = "default") -> bool:
        """Creates the archive unless there is one of that name; returns whether there was none."""
        with suppress(AlreadyExists), translated(self.address):
            self._archives.CreateArchive(archive_pb2.CreateArchiveRequest(name=name))
            return True
        return False

    def delete_archive(self, name: str) -> None:
        """Deletes an archive; files that were added by path stay. Raises NotFound."""
        with translated(self.address):
            self._archives.DeleteArchive(archive_pb2.DeleteArchiveRequest(name=name))

    def compact(self, name: str = "default") -> archive_pb2.CompactArchiveResponse:
        """Merges segments and frees the space of deleted recordings. Raises NotFound."""
        with translated(self.address):
            response: archive_pb2.CompactArchiveResponse = self._archives.CompactArchive(
                archive_pb2.CompactArchiveRequest(name=name)
            )
        return response

    def verify(self, name: str = "default") -> Iterator[archive_pb2.VerifyArchiveResponse]:
        """Yields the result of comparing each segment, and each uploaded file, with its checksum.

        Damaged segments are in quarantine afterwards: `repair` indexes their recordings anew.
        Raises NotFound.
        """
        with translated(self.address):
            yield from self._archives.VerifyArchive(archive_pb2.VerifyArchiveRequest(name=name))

    def refresh(
        self,
        name: str = "default",
        folders: Iterable[str | Path] = (),
        progress: Callable[[IndexProgress], None] = lambda progress: None,
    ) -> Iterator[archive_pb2.FileChange]:
        """Looks at every file that was added by path, and yields what has changed.

        A file with another content is added; `start_index` makes it searchable, until then the old content
        is. A recording whose file is gone is missing, and still searched; one whose file was renamed has the
        new path.

        Args:
            name: of the archive.
            folders: only files in these; all where there are none.
            progress: called at every step.

        Raises:
            NotFound: there is no such archive.
        """
        request = archive_pb2.RefreshArchiveRequest(name=name, folders=map(folder_text, folders))
        with translated(self.address):
            for response in self._archives.RefreshArchive(request):
                progress(IndexProgress("looking", response.files_done, response.files_total))
                yield from response.changes

    def prune(self, name: str = "default", folders: Iterable[str | Path] = ()) -> list[archive_pb2.Recording]:
        """Deletes the recordings whose files are missing and returns them.

        folders: only of files in these; all where there are none. Raises NotFound.
        """
        request = archive_pb2.PruneArchiveRequest(name=name, folders=map(folder_text, folders))
        with translated(self.address):
            return [
                recording
                for response in self._archives.PruneArchive(request)
                for recording in response.recordings
            ]

    def repair(
        self, name: str = "default", progress: Callable[[IndexProgress], None] = lambda progress: None
    ) -> archive_pb2.Operation:
        """Indexes anew, from their files, the recordings of segments in quarantine.

        A recording whose file is missing or has changed has a problem afterwards.

        Args:
            name: of the archive.
            progress: called at every step.

        Raises:
            NotFound: there is no such archive or encoder.
            FailedPrecondition: the archive is busy, or its encoder is another one now.
            IndexingEnded: the operation failed or was cancelled.
        """
        with translated(self.address):
            response: archive_pb2.RepairArchiveResponse = self._archives.RepairArchive(
                archive_pb2.RepairArchiveRequest(name=name)
            )
        return followed(self, response.operation, progress)

    # Indexing

    def index(
        self,
        paths: Iterable[str | Path],
        archive: str = "default",
        encoder: str | None = None,
        progress: Callable[[IndexProgress], None] = lambda progress: None,
        *,
        follow_links: bool = False,
        tags: Mapping[str, str] | None = None,
        tags_by_path: TagsByPath | None = None,
        drop_missing: bool = False,
        prune: bool = False,
        channels: str = "",
        tracks: str = "",
    ) -> IndexReport:
        """Adds files and folders and makes them searchable; creates the archive where there is none.

        A file that cannot be read as audio is reported, and the rest goes on.

        Args:
            paths: of files and folders; none to index what the archive holds already.
            archive: its name.
            encoder: by name; None for the archive's own or the server's default.
            progress: called at every step.
            follow_links: whether links to folders that lie in folders are followed.
            tags: that every file's recording gets, besides those that it has.
            tags_by_path: of single recordings, by id, path or the end of their path; also of those that the
                archive holds already. `wordspot.read_tag_table` reads them from a CSV file.
            drop_missing: whether another encoder drops recordings that it cannot read again.
            prune: whether recordings are deleted whose files lay in the paths and are missing.
            channels: which are searched: "mix" for all of them mixed, "each" for each by itself, or the
                number of one, from 1; empty as the archive has it, which is the mix at first. A change
                indexes what it concerns anew.
            tracks: which audio tracks: "default" for the one that a player would choose, "all", or the
                number of one; empty as the archive has it.

        Raises:
            InvalidInput: a path is neither a file nor a folder, or a new archive would stay empty.
            NotFound: there is no such encoder; without paths, also no such archive.
            FailedPrecondition: the encoder's weights are missing, or recordings would be dropped.
            IndexingEnded: the operation failed or was cancelled.
            Interrupted: the keyboard has interrupted it.
        """
        return Indexing(self, self._transport, archive, progress).run(
            paths,
            encoder,
            follow_links=follow_links,
            tags=checked_tags(tags or {}),
            tags_by_path=tags_by_path or {},
            drop_missing=drop_missing,
            prune=prune,
            channels=channels,
            tracks=tracks,
        )

    # Operations

    def operations(self, archive: str = "default") -> Iterator[archive_pb2.Operation]:
        """Yields the operations of an archive, in order of starting. Raises NotFound."""
        request = archive_pb2.ListOperationsRequest(archive=archive)
        for page in self._pages(self._archives.ListOperations, request):
            yield from page.operations

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        """Yields the operation now and at every change, until it has ended. Raises NotFound."""
        with translated(self.address):
            for response in self._archives.WatchOperation(archive_pb2.WatchOperationRequest(id=operation)):
                yield response.operation

    def start_index(
        self,
        archive: str = "default",
        encoder: str | None = None,
        *,
        drop_missing: bool = False,
        channels: str = "",
        tracks: str = "",
    ) -> archive_pb2.Operation:
        """Starts indexing what an archive holds, and returns the operation.

        encoder: by name; None for the archive's own or the server's default. drop_missing: whether another
        one drops recordings that it cannot read again. channels, tracks: as `index` takes them.

        Raises NotFound, InvalidInput, FailedPrecondition.
        """
        request = archive_pb2.IndexArchiveRequest(
            archive=archive,
            encoder=encoder or "",
            request_id=uuid.uuid4().hex,
            drop_missing=drop_missing,
            channels=channels,
            tracks=tracks,
        )
        with translated(self.address):
            response: archive_pb2.IndexArchiveResponse = self._archives.IndexArchive(request)
        return response.operation

    def cancel(self, operation: str) -> archive_pb2.Operation:
        """Cancels an operation and returns it. Raises NotFound, FailedPrecondition."""
        with translated(self.address):
            response: archive_pb2.CancelOperationResponse = self._archives.CancelOperation(
                archive_pb2.CancelOperationRequest(id=operation)
            )
        return response.operation

    def interrupted(self, archive: str = "default") -> archive_pb2.Operation | None:
        """Returns the last operation of an archive if the end of its process has interrupted it, else None.

        Raises NotFound.
        """
        last = next(iter(deque(self.operations(archive), maxlen=1)), None)
        ended = last is not None and last.state == archive_pb2.OPERATION_STATE_INTERRUPTED
        return last if ended else None

    def follow(
        self,
        operation: archive_pb2.Operation,
        progress: Callable[[IndexProgress], None] = lambda progress: None,
    ) -> archive_pb2.Operation:
        """Returns an operation as it is at its end. Raises IndexingEnded unless it succeeds."""
        return followed(self, operation, progress)

    def resume(self, operation: str) -> archive_pb2.Operation:
        """Goes on with an operation that did not finish, and returns it.

        Raises NotFound, FailedPrecondition.
        """
        with translated(self.address):
            response: archive_pb2.ResumeOperationResponse = self._archives.ResumeOperation(
                archive_pb2.ResumeOperationRequest(id=operation)
            )
        return response.operation


def folder_text(folder: str | Path) -> str:
    """Returns the absolute path of a folder, as it is sent."""
    return path_text(absolute(folder))
