"""Recordings and what people say of hits, as a client asks for them by asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.records import Hit
from wordspot.indexer.verdicts import Verdict
from wordspot.services.answers import to_interval
from wordspot.services.client.async_connection import ARCHIVES, AsyncConnection
from wordspot.services.client.recordings import list_request, update_requests
from wordspot.services.client.tag_tables import recording_update
from wordspot.services.client.transport import AddedRecording
from wordspot.services.client.verdicts import batches, set_requests, verdicts_on
from wordspot.services.verdict_messages import from_verdict_message
from wordspot.v1 import archive_pb2 as pb


class AsyncRecordingCalls(AsyncConnection):
    """What a client does with recordings and verdicts."""

    async def recordings(
        self,
        archive: str = "default",
        *,
        filter: RecordingFilter | None = None,
        states: Iterable[str] = (),
    ) -> AsyncIterator[pb.Recording]:
        """Yields what `Client.recordings` yields."""
        async for page in self._pages("ListRecordings", list_request(archive, filter, states)):
            for recording in page.recordings:
                yield recording

    async def tags(self, archive: str = "default") -> AsyncIterator[pb.TagCount]:
        """Yields what `Client.tags` yields."""
        async for page in self._pages("ListTags", pb.ListTagsRequest(archive=archive)):
            for tag in page.tags:
                yield tag

    async def tag(
        self,
        recording: str,
        tags: Mapping[str, str],
        archive: str = "default",
        *,
        removed: Sequence[str] = (),
        replace: bool = False,
    ) -> pb.Recording:
        """Does what `Client.tag` does."""
        update = recording_update(recording, tags=tags, removed=removed, replace=replace)
        (updated,) = [updated async for updated in self.update_recordings([update], archive)]
        if updated.problem:
            raise InvalidInput(updated.problem)
        return updated.recording

    async def update_recordings(
        self, updates: Sequence[pb.RecordingUpdate], archive: str = "default"
    ) -> AsyncIterator[pb.UpdatedRecording]:
        """Yields what `Client.update_recordings` yields."""
        for request in update_requests(updates, archive):
            response: pb.UpdateRecordingsResponse = await self._call(ARCHIVES, "UpdateRecordings", request)
            for updated in response.updates:
                yield updated

    async def add(
        self, path: str | Path, archive: str = "default", *, tags: Mapping[str, str] | None = None
    ) -> AddedRecording:
        """Does what `Client.add` does."""
        client = await self._threaded()
        return await asyncio.to_thread(client.add, path, archive, tags=tags)

    async def delete(self, recording: str, archive: str = "default") -> None:
        """Deletes a recording from an archive; a file that was added by path stays. Raises NotFound."""
        request = pb.DeleteRecordingRequest(archive=archive, recording=recording)
        await self._call(ARCHIVES, "DeleteRecording", request)

    async def clip(
        self,
        recording: str,
        start: float,
        end: float,
        archive: str = "default",
        *,
        original_rate: bool = False,
        channel: int = 0,
        track: int = 0,
    ) -> bytes:
        """Returns what `Client.clip` returns."""
        request = pb.GetClipRequest(
            archive=archive,
            recording=recording,
            interval=to_interval(start, end),
            original_rate=original_rate,
            channel=channel,
            track=track,
        )
        return b"".join([part.chunk async for part in self._stream(ARCHIVES, "GetClip", request)])

    async def judge(
        self,
        hits: Hit | Iterable[Hit],
        query: str,
        *,
        correct: bool,
        author: str | None = None,
        archive: str = "default",
    ) -> list[Verdict]:
        """Does what `Client.judge` does."""
        return await self.set_verdicts(verdicts_on(hits, query, correct=correct, author=author), archive)

    async def set_verdicts(self, verdicts: Iterable[Verdict], archive: str = "default") -> list[Verdict]:
        """Does what `Client.set_verdicts` does."""
        stored: list[Verdict] = []
        for request in set_requests(verdicts, archive):
            response: pb.SetVerdictsResponse = await self._call(ARCHIVES, "SetVerdicts", request)
            stored += [from_verdict_message(verdict) for verdict in response.verdicts]
        return stored

    async def verdicts(
        self,
        archive: str = "default",
        *,
        query: str = "",
        recording: str = "",
        correct: bool | None = None,
        author: str = "",
    ) -> AsyncIterator[Verdict]:
        """Yields what `Client.verdicts` yields."""
        request = pb.ListVerdictsRequest(
            archive=archive, query=query, recording=recording, correct=correct, author=author
        )
        async for page in self._pages("ListVerdicts", request):
            for verdict in page.verdicts:
                yield from_verdict_message(verdict)

    async def delete_verdicts(self, ids: Iterable[str], archive: str = "default") -> None:
        """Deletes verdicts by their ids, up to 1,000 a transaction. Raises NotFound."""
        for batch in batches(list(ids)):
            await self._call(ARCHIVES, "DeleteVerdicts", pb.DeleteVerdictsRequest(archive=archive, ids=batch))
