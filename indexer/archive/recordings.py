"""The recordings of archives: listing them, hearing them, deleting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.audio_files import read_clip, read_regions
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.originals import Original, Originals
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.summaries import Page, RecordingSummary
from wordspot.indexer.archive.tables import Recording, Request, now
from wordspot.indexer.archive.uploads import StoredAudio
from wordspot.indexer.faults import reach
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS
from wordspot.indexer.records import Region, Samples

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder


class Recordings:
    """Lists, reads and deletes the recordings of archives.

    Args:
        catalogue: of the home.
        originals: where their files are opened.
        audio: the uploaded files.
        served: the generations that serve searches.
        decoder: of clips and regions.
        max_seconds: longer recordings have no regions.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        originals: Originals,
        audio: StoredAudio,
        served: ServedArchives,
        decoder: Decoder,
        max_seconds: float,
    ) -> None:
        self._catalogue = catalogue
        self._originals = originals
        self._audio = audio
        self._served = served
        self._decoder = decoder
        self._max_seconds = max_seconds

    def get(self, archive: str, recording: str) -> RecordingSummary:
        """Returns a recording. Raises NotFound."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            return lookups.summary_of_recording(session, row, lookups.live_recording(session, row, recording))

    def page(self, archive: str, after: str = "", limit: int = DEFAULT_PAGE_ITEMS) -> Page[RecordingSummary]:
        """Returns a page of an archive's recordings in order of adding.

        Args:
            archive: its name.
            after: the `next` of the page before.
            limit: recordings a page, 1 to MAX_PAGE_ITEMS.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if `after` or `limit` is not valid.
        """
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            rows = session.scalars(
                select(Recording)
                .where(
                    Recording.archive_id == row.id,
                    Recording.deleted_at.is_(None),
                    Recording.number > lookups.parsed_page_token(after),
                )
                .order_by(Recording.number)
                .limit(lookups.checked_page_limit(limit) + 1)
            ).all()
            items = lookups.summaries_of_recordings(session, row, rows[:limit])
        return Page(items, str(rows[limit - 1].number) if len(rows) > limit else "")

    def delete(self, archive: str, recording: str) -> None:
        """Deletes a recording: searches that begin afterwards exclude it. Raises NotFound."""
        with self._audio.lock:
            with self._catalogue.writing() as session:
                row = lookups.live_recording(session, lookups.archive_by_name(session, archive), recording)
                row.deleted_at = now()
                session.execute(delete(Request).where(Request.recording_number == row.number))
            reach("recording-deleted")
            self._served.hide_recording(archive, recording)
            self._audio.remove_unreferenced(row.location)

    def clip(self, archive: str, recording: str, start: float, end: float) -> Samples:
        """Returns the audio (samples,) of a stretch of a recording, at 16 kHz.

        Args:
            archive: its name.
            recording: its id.
            start: in seconds.
            end: in seconds, at most MAX_CLIP_SECONDS later; clipped to the end of the recording.

        Raises:
            NotFound: if there is no such archive or recording.
            InvalidInput: if the stretch is not valid.
            FailedPrecondition: if the file is missing or has changed.
        """
        with self._originals.opened(self._original(archive, recording)) as file:
            return read_clip(self._decoder, file, start, end)

    def region_audio(self, archive: str, recording: str, regions: Sequence[Region]) -> Iterator[Samples]:
        """Yields the audio (samples,) of regions, at 16 kHz, as it was indexed.

        Regions must be in order of time and disjoint. Raises what `clip` raises.
        """
        with self._originals.opened(self._original(archive, recording)) as file:
            yield from read_regions(self._decoder, file, regions, max_seconds=self._max_seconds)

    def _original(self, archive: str, recording: str) -> Original:
        """Returns the recording's file. Raises NotFound."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            return Original.of(lookups.live_recording(session, row, recording))
