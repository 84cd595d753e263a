"""The recordings of archives, as a client lists, adds, hears and deletes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.answers import to_interval
from wordspot.services.client.connection import Connection
from wordspot.services.client.transport import AddedRecording
from wordspot.services.errors import translated
from wordspot.v1 import archive_pb2


class RecordingCalls(Connection):
    """What a client does with recordings."""

    def recordings(self, archive: str = "default") -> Iterator[archive_pb2.Recording]:
        """Yields the recordings of an archive, in order of adding. Raises NotFound."""
        request = archive_pb2.ListRecordingsRequest(archive=archive)
        for page in self._pages(self._archives.ListRecordings, request):
            yield from page.recordings

    def add(self, path: str | Path, archive: str = "default") -> AddedRecording:
        """Puts a file into the archive: by path without a server, by upload with one.

        Returns:
            The recording, and whether the archive held its content already.

        Raises:
            InvalidInput: the file cannot be read as audio.
        """
        ((_, added),) = self._transport.add_files([Path(path).absolute()], archive)
        if isinstance(added, InvalidInput):
            raise added
        return added

    def delete(self, recording: str, archive: str = "default") -> None:
        """Deletes a recording from an archive; a file that was added by path stays. Raises NotFound."""
        with translated(self.address):
            self._archives.DeleteRecording(
                archive_pb2.DeleteRecordingRequest(archive=archive, recording=recording)
            )

    def clip(self, recording: str, start: float, end: float, archive: str = "default") -> bytes:
        """Returns the seconds [start, end) of a recording as a 16-bit WAV file.

        Raises NotFound, InvalidInput.
        """
        request = archive_pb2.GetClipRequest(
            archive=archive, recording=recording, interval=to_interval(start, end)
        )
        with translated(self.address):
            return b"".join(response.chunk for response in self._archives.GetClip(request))
