"""The recordings of archives, as a client lists, adds, hears and deletes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.tags import checked_tags
from wordspot.services.answers import to_interval
from wordspot.services.client.connection import Connection
from wordspot.services.client.tag_tables import recording_update
from wordspot.services.client.transport import AddedRecording
from wordspot.services.errors import translated
from wordspot.services.limits import MAX_UPDATES_PER_CALL
from wordspot.services.recording_filters import filter_message
from wordspot.v1 import archive_pb2

_STATE = "RECORDING_STATE_"


class RecordingCalls(Connection):
    """What a client does with recordings."""

    def recordings(
        self,
        archive: str = "default",
        *,
        filter: RecordingFilter | None = None,
        states: Iterable[str] = (),
    ) -> Iterator[archive_pb2.Recording]:
        """Yields the recordings of an archive, in order of adding.

        Args:
            archive: its name.
            filter: which they match; None for all.
            states: "added", "indexed", "failed", "missing": in one of which they are; empty for any.

        Raises:
            NotFound: there is no such archive.
            InvalidInput: the filter or a state is not valid.
        """
        request = list_request(archive, filter, states)
        for page in self._pages(self._archives.ListRecordings, request):
            yield from page.recordings

    def tags(self, archive: str = "default") -> Iterator[archive_pb2.TagCount]:
        """Yields each tag that recordings of an archive have, and how many, in order of key and value.

        Raises NotFound.
        """
        for page in self._pages(self._archives.ListTags, archive_pb2.ListTagsRequest(archive=archive)):
            yield from page.tags

    def tag(
        self,
        recording: str,
        tags: Mapping[str, str],
        archive: str = "default",
        *,
        removed: Sequence[str] = (),
        replace: bool = False,
    ) -> archive_pb2.Recording:
        """Gives a recording tags, and returns it as it is afterwards.

        Args:
            recording: its id, its path, or the end of its path where no other path ends so.
            tags: value by key: `[a-z][a-z0-9_-]{0,63}`; `date` is YYYY, YYYY-MM or YYYY-MM-DD.
            archive: its name.
            removed: keys of tags that it has no longer.
            replace: whether it loses every tag that is not given.

        Raises:
            NotFound: there is no such archive.
            InvalidInput: there is no such recording or more than one, or a tag is not valid.
        """
        update = recording_update(recording, tags=tags, removed=removed, replace=replace)
        (updated,) = self.update_recordings([update], archive)
        if updated.problem:
            raise InvalidInput(updated.problem)
        return updated.recording

    def update_recordings(
        self, updates: Sequence[archive_pb2.RecordingUpdate], archive: str = "default"
    ) -> Iterator[archive_pb2.UpdatedRecording]:
        """Yields what became of each change of a recording's tags, 1,000 a transaction. Raises NotFound."""
        for request in update_requests(updates, archive):
            with translated(self.address):
                response: archive_pb2.UpdateRecordingsResponse = self._archives.UpdateRecordings(request)
            yield from response.updates

    def add(
        self, path: str | Path, archive: str = "default", *, tags: Mapping[str, str] | None = None
    ) -> AddedRecording:
        """Puts a file into the archive: by path without a server, by upload with one.

        tags: that the recording gets, besides those that it has.

        Returns:
            The recording, and whether the archive held its content already.

        Raises:
            InvalidInput: the file cannot be read as audio.
        """
        ((_, added),) = self._transport.add_files([Path(path).absolute()], archive, checked_tags(tags or {}))
        if isinstance(added, InvalidInput):
            raise added
        return added.recording, added.already_present

    def delete(self, recording: str, archive: str = "default") -> None:
        """Deletes a recording from an archive; a file that was added by path stays. Raises NotFound."""
        with translated(self.address):
            self._archives.DeleteRecording(
                archive_pb2.DeleteRecordingRequest(archive=archive, recording=recording)
            )

    def clip(
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
        """Returns the seconds [start, end) of a recording as a 16-bit WAV file.

        Args:
            recording: its id.
            start: in seconds.
            end: in seconds, at most 60 later.
            archive: its name.
            original_rate: all channels at the rate of the recording's file, instead of one at 16 kHz.
            channel: that of a hit, from 1; 0 as the recording is indexed, which is the mix where there are
                several, and all of them at the original rate.
            track: of audio, that of a hit, from 1; 0 as the recording is indexed.

        Raises NotFound, InvalidInput.
        """
        request = archive_pb2.GetClipRequest(
            archive=archive,
            recording=recording,
            interval=to_interval(start, end),
            original_rate=original_rate,
            channel=channel,
            track=track,
        )
        with translated(self.address):
            return b"".join(response.chunk for response in self._archives.GetClip(request))


def list_request(
    archive: str, filter: RecordingFilter | None, states: Iterable[str]
) -> archive_pb2.ListRecordingsRequest:
    """Returns the message of the arguments of `RecordingCalls.recordings`. Raises InvalidInput."""
    return archive_pb2.ListRecordingsRequest(
        archive=archive, filter=filter_message(filter), states=map(_state, states)
    )


def update_requests(
    updates: Sequence[archive_pb2.RecordingUpdate], archive: str
) -> Iterator[archive_pb2.UpdateRecordingsRequest]:
    """Yields the messages of changes, MAX_UPDATES_PER_CALL each."""
    for first in range(0, len(updates), MAX_UPDATES_PER_CALL):
        yield archive_pb2.UpdateRecordingsRequest(
            archive=archive, updates=updates[first : first + MAX_UPDATES_PER_CALL]
        )


def _state(name: str) -> str:
    """Returns the name of a state in the contract. Raises InvalidInput."""
    names = [full.removeprefix(_STATE) for full in archive_pb2.RecordingState.keys()[1:]]
    if name.upper() not in names:
        raise InvalidInput(f"a state must be one of {', '.join(names).lower()}, got {name!r}")
    return _STATE + name.upper()
