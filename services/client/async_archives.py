"""The client by asyncio, with the methods of `Client`.

    async with AsyncClient("localhost:50051") as wordspot:
        await wordspot.index(["recordings/"])
        for hit in await wordspot.search("query.wav", all_hits=True):
            print(hit.path, hit.start, hit.end, hit.p_correct)

What yields is an asynchronous iterator: `async for recording in wordspot.recordings()`. Calls run in the
event loop; indexing and adding, which read files, run in a thread.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from wordspot.indexer.errors import AlreadyExists, ArchiveError
from wordspot.services.client.archives import folder_text
from wordspot.services.client.async_connection import ARCHIVES
from wordspot.services.client.async_recordings import AsyncRecordingCalls
from wordspot.services.client.async_searching import AsyncSearchCalls
from wordspot.services.client.indexing import checked_end, progress_of
from wordspot.services.client.records import IndexProgress, IndexReport
from wordspot.services.client.tag_tables import TagsByPath
from wordspot.services.errors import CallEnded
from wordspot.services.limits import WATCH_AGAIN_S
from wordspot.v1 import archive_pb2 as pb

Progress = Callable[[IndexProgress], None]


def _nothing(progress: IndexProgress) -> None:
    return


class AsyncClient(AsyncRecordingCalls, AsyncSearchCalls):
    """Archives and search, of a server or of this process, by asyncio.

    Arguments, methods and errors are those of `Client`; it belongs to the event loop in which it is first
    used. A task that is cancelled cancels its call, and indexing that it waits for.
    """

    # Archives

    async def archives(self) -> AsyncIterator[pb.Archive]:
        """Yields the archives, in order of their names."""
        async for page in self._pages("ListArchives", pb.ListArchivesRequest()):
            for archive in page.archives:
                yield archive

    async def archive(self, name: str = "default") -> pb.Archive:
        """Returns an archive. Raises NotFound."""
        response: pb.GetArchiveResponse = await self._call(
            ARCHIVES, "GetArchive", pb.GetArchiveRequest(name=name)
        )
        return response.archive

    async def ensure_archive(self, name: str = "default") -> bool:
        """Creates the archive unless there is one of that name; returns whether there was none."""
        with suppress(AlreadyExists):
            await self._call(ARCHIVES, "CreateArchive", pb.CreateArchiveRequest(name=name))
            return True
        return False

    async def delete_archive(self, name: str) -> None:
        """Deletes an archive; files that were added by path stay. Raises NotFound."""
        await self._call(ARCHIVES, "DeleteArchive", pb.DeleteArchiveRequest(name=name))

    async def compact(self, name: str = "default") -> pb.CompactArchiveResponse:
        """Merges segments and frees the space of deleted recordings. Raises NotFound."""
        response: pb.CompactArchiveResponse = await self._call(
            ARCHIVES, "CompactArchive", pb.CompactArchiveRequest(name=name)
        )
        return response

    async def verify(self, name: str = "default") -> AsyncIterator[pb.VerifyArchiveResponse]:
        """Yields what `Client.verify` yields."""
        async for result in self._stream(ARCHIVES, "VerifyArchive", pb.VerifyArchiveRequest(name=name)):
            yield result

    async def refresh(
        self,
        name: str = "default",
        folders: Iterable[str | Path] = (),
        progress: Progress = _nothing,
    ) -> AsyncIterator[pb.FileChange]:
        """Yields what `Client.refresh` yields."""
        request = pb.RefreshArchiveRequest(name=name, folders=map(folder_text, folders))
        async for response in self._stream(ARCHIVES, "RefreshArchive", request):
            progress(IndexProgress("looking", response.files_done, response.files_total))
            for change in response.changes:
                yield change

    async def prune(self, name: str = "default", folders: Iterable[str | Path] = ()) -> list[pb.Recording]:
        """Does what `Client.prune` does."""
        request = pb.PruneArchiveRequest(name=name, folders=map(folder_text, folders))
        stream = self._stream(ARCHIVES, "PruneArchive", request)
        return [recording async for response in stream for recording in response.recordings]

    async def repair(self, name: str = "default", progress: Progress = _nothing) -> pb.Operation:
        """Does what `Client.repair` does."""
        response: pb.RepairArchiveResponse = await self._call(
            ARCHIVES, "RepairArchive", pb.RepairArchiveRequest(name=name)
        )
        return await self.follow(response.operation, progress)

    # Indexing

    async def index(
        self,
        paths: Iterable[str | Path],
        archive: str = "default",
        encoder: str | None = None,
        progress: Progress = _nothing,
        *,
        follow_links: bool = False,
        tags: Mapping[str, str] | None = None,
        tags_by_path: TagsByPath | None = None,
        drop_missing: bool = False,
        prune: bool = False,
        channels: str = "",
        tracks: str = "",
    ) -> IndexReport:
        """Does what `Client.index` does; `progress` is called in the event loop."""
        client, loop, wanted = await self._threaded(), asyncio.get_running_loop(), threading.Event()
        wanted.set()

        def tell(step: IndexProgress) -> None:
            if not wanted.is_set():
                raise KeyboardInterrupt  # what ends indexing in order
            loop.call_soon_threadsafe(progress, step)

        try:
            return await asyncio.to_thread(
                client.index,
                paths,
                archive,
                encoder,
                tell,
                follow_links=follow_links,
                tags=tags,
                tags_by_path=tags_by_path,
                drop_missing=drop_missing,
                prune=prune,
                channels=channels,
                tracks=tracks,
            )
        except asyncio.CancelledError:
            wanted.clear()
            await asyncio.shield(self._cancel_running(archive))
            raise

    async def _cancel_running(self, archive: str) -> None:
        """Cancels the operation that an archive has under way; it has one at most."""
        with suppress(ArchiveError):
            async for operation in self.operations(archive):
                if operation.state == pb.OPERATION_STATE_RUNNING:
                    await self.cancel(operation.id)

    # Operations

    async def operations(self, archive: str = "default") -> AsyncIterator[pb.Operation]:
        """Yields the operations of an archive, in order of starting. Raises NotFound."""
        async for page in self._pages("ListOperations", pb.ListOperationsRequest(archive=archive)):
            for operation in page.operations:
                yield operation

    async def watch(self, operation: str) -> AsyncIterator[pb.Operation]:
        """Yields the operation now and at every change, until it has ended. Raises NotFound."""
        request = pb.WatchOperationRequest(id=operation)
        async for response in self._stream(ARCHIVES, "WatchOperation", request):
            yield response.operation

    async def start_index(
        self,
        archive: str = "default",
        encoder: str | None = None,
        *,
        drop_missing: bool = False,
        channels: str = "",
        tracks: str = "",
    ) -> pb.Operation:
        """Does what `Client.start_index` does."""
        request = pb.IndexArchiveRequest(
            archive=archive,
            encoder=encoder or "",
            request_id=uuid.uuid4().hex,
            drop_missing=drop_missing,
            channels=channels,
            tracks=tracks,
        )
        response: pb.IndexArchiveResponse = await self._call(ARCHIVES, "IndexArchive", request)
        return response.operation

    async def cancel(self, operation: str) -> pb.Operation:
        """Cancels an operation and returns it. Raises NotFound, FailedPrecondition."""
        response: pb.CancelOperationResponse = await self._call(
            ARCHIVES, "CancelOperation", pb.CancelOperationRequest(id=operation)
        )
        return response.operation

    async def interrupted(self, archive: str = "default") -> pb.Operation | None:
        """Does what `Client.interrupted` does."""
        last = None
        async for operation in self.operations(archive):
            last = operation
        ended = last is not None and last.state == pb.OPERATION_STATE_INTERRUPTED
        return last if ended else None

    async def follow(self, operation: pb.Operation, progress: Progress = _nothing) -> pb.Operation:
        """Returns an operation as it is at its end. Raises IndexingEnded unless it succeeds.

        A task that is cancelled meanwhile cancels the operation.
        """
        try:
            while True:
                with suppress(CallEnded):
                    async for latest in self.watch(operation.id):
                        operation = latest
                        progress(progress_of(operation))
                    break
                await asyncio.sleep(WATCH_AGAIN_S)
        except asyncio.CancelledError:
            await asyncio.shield(self.cancel(operation.id))
            raise
        return checked_end(operation)

    async def resume(self, operation: str) -> pb.Operation:
        """Does what `Client.resume` does."""
        response: pb.ResumeOperationResponse = await self._call(
            ARCHIVES, "ResumeOperation", pb.ResumeOperationRequest(id=operation)
        )
        return response.operation
