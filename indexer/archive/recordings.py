"""The recordings of archives: listing them, hearing them, deleting them."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.audio_files import (
    closing_blocks,
    decodable_blocks,
    read_clip,
    read_original_clip,
    read_regions,
)
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.originals import Original, Originals
from wordspot.indexer.archive.peaks import PeakStore
from wordspot.indexer.archive.selection import check_selected, selected
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.succession import mark_deleted
from wordspot.indexer.archive.summaries import FilePiece, Page, PeakSummary, RecordingState, RecordingSummary
from wordspot.indexer.archive.tables import Recording
from wordspot.indexer.archive.uploads import StoredAudio
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.faults import reach
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS, MAX_CLIP_SECONDS, MAX_PEAK_BUCKETS
from wordspot.indexer.records import SAMPLE_RATE, Region, Samples
from wordspot.indexer.sound.peaks import PEAKS_PER_SECOND, PeakMeter, Peaks, peaks_of, reduced
from wordspot.indexer.streams import Stream

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder
    from wordspot.indexer.sound.original import OriginalSound

PIECE_BYTES = 256 * 1024  # of a file, at a time


class Recordings:
    """Lists, reads and deletes the recordings of archives.

    Args:
        catalogue: of the home.
        originals: where their files are opened.
        audio: the uploaded files.
        served: the generations that serve searches.
        decoder: of clips and regions.
        max_seconds: longer recordings have no regions.
        peaks: where waveforms are kept.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        originals: Originals,
        audio: StoredAudio,
        served: ServedArchives,
        decoder: Decoder,
        max_seconds: float,
        peaks: PeakStore,
    ) -> None:
        self._catalogue = catalogue
        self._originals = originals
        self._audio = audio
        self._served = served
        self._decoder = decoder
        self._max_seconds = max_seconds
        self._peaks = peaks

    def get(self, archive: str, recording: str) -> RecordingSummary:
        """Returns a recording. Raises NotFound."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            return lookups.summary_of_recording(session, row, lookups.live_recording(session, row, recording))

    def page(
        self,
        archive: str,
        after: str = "",
        limit: int = DEFAULT_PAGE_ITEMS,
        recording_filter: RecordingFilter | None = None,
        states: Collection[RecordingState] = (),
    ) -> Page[RecordingSummary]:
        """Returns a page of an archive's recordings in order of adding.

        Args:
            archive: its name.
            after: the `next` of the page before.
            limit: recordings a page, 1 to MAX_PAGE_ITEMS.
            recording_filter: which they match; None for all.
            states: one of which they are in; empty for any.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if an argument is not valid.
        """
        checked = (recording_filter or RecordingFilter()).checked()
        first = lookups.parsed_page_token(after)
        lookups.checked_page_limit(limit)
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            if checked or states:
                numbers = [number for number, _ in selected(session, row, checked, states)]
                begin, total = bisect_right(numbers, first), len(numbers)
                chosen = numbers[begin : begin + limit + 1]
            else:
                chosen, total = lookups.numbers_after(session, row, first, limit + 1)
            more = chosen[limit:]
            chosen = chosen[:limit]
            rows = session.scalars(
                select(Recording).where(Recording.number.in_(chosen)).order_by(Recording.number)
            ).all()
            items = lookups.summaries_of_recordings(session, row, rows)
        return Page(items, str(chosen[-1]) if more else "", total)

    def matching(self, archive: str, recording_filter: RecordingFilter) -> frozenset[str]:
        """Returns the ids of the recordings that match a filter, of which there is at least one.

        Raises:
            NotFound: if there is no such archive, or no recording that matches; the message says which tags
                there are.
            InvalidInput: if the filter is not valid.
        """
        checked = recording_filter.checked()
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            ids = frozenset(identity for _, identity in selected(session, row, checked))
            check_selected(session, row, checked, ids)
        return ids

    def delete(self, archive: str, recording: str) -> None:
        """Deletes a recording: searches that begin afterwards exclude it. Raises NotFound."""
        with self._audio.lock:
            with self._catalogue.writing() as session:
                row = lookups.live_recording(session, lookups.archive_by_name(session, archive), recording)
                mark_deleted(session, [row.number])
            reach("recording-deleted")
            self._served.hide_recording(archive, recording)
            self._audio.remove_unreferenced(row.location)
            self._peaks.remove(row.sha256)  # another recording of the same content has them taken again

    def clip(
        self, archive: str, recording: str, start: float, end: float, *, track: int = 0, channel: int = 0
    ) -> Samples:
        """Returns the audio (samples,) of a stretch of a recording, at 16 kHz.

        Args:
            archive: its name.
            recording: its id.
            start: in seconds.
            end: in seconds, at most MAX_CLIP_SECONDS later; clipped to the end of the recording.
            track: number of the audio track, from 1; 0 as it is indexed, which is the one that a player would
                choose where there are several.
            channel: its number, from 1; 0 as it is indexed, which is the mix where there are several.

        Raises:
            NotFound: if there is no such archive or recording.
            InvalidInput: if the stretch is not valid, or there is no such track or channel.
            FailedPrecondition: if the file is missing or has changed.
        """
        if not track and not channel:
            track, channel = self._indexed_place(archive, recording)
        with self._originals.opened(self._original(archive, recording)) as file:
            return read_clip(self._decoder, file, start, end, track=track, channel=channel)

    def peaks(self, archive: str, recording: str, start: float, end: float, buckets: int) -> PeakSummary:
        """Returns the waveform of a stretch of a recording.

        A stretch that is shown finer than peaks are kept is decoded; all else is at hand once the recording
        has been indexed, else it is decoded once.

        Args:
            archive: its name.
            recording: its id.
            start: in seconds.
            end: in seconds, clipped to the end of the recording; 0 for the end.
            buckets: parts of equal length, 1 to MAX_PEAK_BUCKETS.

        Raises:
            NotFound: if there is no such archive or recording.
            InvalidInput: if the stretch is not valid.
            FailedPrecondition: if the file is needed, but missing or changed.
        """
        original = self._original(archive, recording)
        if not 1 <= buckets <= MAX_PEAK_BUCKETS:
            raise InvalidInput(f"buckets must be between 1 and {MAX_PEAK_BUCKETS:,}, got {buckets:,}")
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < (end or math.inf)):
            raise InvalidInput(f"a stretch must have 0 <= start < end, got {start} to {end} s")
        if end and end - start <= MAX_CLIP_SECONDS and (end - start) * PEAKS_PER_SECOND < buckets:
            with self._originals.opened(original) as file:
                samples = read_clip(self._decoder, file, start, end)
            return PeakSummary(start, start + len(samples) / SAMPLE_RATE, peaks_of(samples, buckets))
        peaks = self._all_peaks(original)
        seconds = len(peaks) / PEAKS_PER_SECOND
        if start >= seconds:
            raise InvalidInput(f"start must lie before the end of the recording, {seconds:g} s, got {start}")
        first = math.floor(start * PEAKS_PER_SECOND)
        last = min(math.ceil(min(end or seconds, seconds) * PEAKS_PER_SECOND), len(peaks))
        part = reduced(peaks[first:last], buckets)
        return PeakSummary(first / PEAKS_PER_SECOND, last / PEAKS_PER_SECOND, part)

    def _all_peaks(self, original: Original) -> Peaks:
        """Returns the peaks of a whole recording. Raises what `clip` raises."""
        peaks = self._peaks.load(original.sha256)
        if peaks is None:
            meter = PeakMeter()
            with self._originals.opened(original) as file:
                reading = self._decoder.read_blocks(file, max_seconds=self._max_seconds)
                with closing_blocks(reading) as blocks:
                    for block in decodable_blocks(blocks, file.name):
                        meter.add(block)
            peaks = meter.peaks()
            self._peaks.save(original.sha256, peaks)
        return peaks

    def original_clip(
        self, archive: str, recording: str, start: float, end: float, *, track: int = 0, channel: int = 0
    ) -> OriginalSound:
        """Returns the same stretch at the file's own rate, with all its channels where none is named.

        Raises what `clip` raises, and InvalidInput for more than MAX_CLIP_VALUES samples.
        """
        with self._originals.opened(self._original(archive, recording)) as file:
            return read_original_clip(self._decoder, file, start, end, track=track, channel=channel)

    def content(
        self, archive: str, recording: str, offset: int, length: int
    ) -> Generator[FilePiece, None, None]:
        """Yields the bytes of a recording's file as it was added, at least one piece.

        Args:
            archive: its name.
            recording: its id.
            offset: of the first byte.
            length: so many bytes at most; 0 for all up to the end.

        Raises:
            NotFound: if there is no such archive or recording.
            InvalidInput: if the offset does not lie in the file, or the length is negative.
            FailedPrecondition: if the file is missing or has changed, also at the end.
        """
        original = self._original(archive, recording)
        size = original.size
        if not 0 <= offset < size:
            raise InvalidInput(f"offset must be between 0 and {size - 1:,}, got {offset:,}")
        if length < 0:
            raise InvalidInput(f"length must be at least 0, got {length:,}")
        end = min(offset + length, size) if length else size
        with self._originals.opened(original) as file:
            while offset < end:
                data = os.pread(file.descriptor, min(PIECE_BYTES, end - offset), offset)
                if not data:
                    break  # it was cut short meanwhile, which is told at the end of the context
                yield FilePiece(data, size)
                offset += len(data)

    def region_audio(
        self, archive: str, recording: str, regions: Sequence[Region], stream: Stream | None = None
    ) -> Iterator[Samples]:
        """Yields the audio (samples,) of regions of a stream, at 16 kHz, as it was indexed.

        Regions must be in order of time and disjoint. Raises what `clip` raises.
        """
        stream = stream or Stream()
        with self._originals.opened(self._original(archive, recording)) as file:
            yield from read_regions(
                self._decoder,
                file,
                regions,
                max_seconds=self._max_seconds,
                track=stream.track,
                channel=stream.channel,
            )

    def _indexed_place(self, archive: str, recording: str) -> tuple[int, int]:
        """Returns track and channel of what is searched of a recording; zeros where that is more than one, or
        nothing. Raises NotFound."""
        streams = self.get(archive, recording).streams
        return (streams[0].track, streams[0].channel) if len(streams) == 1 else (0, 0)

    def _original(self, archive: str, recording: str) -> Original:
        """Returns the recording's file. Raises NotFound."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            return Original.of(lookups.live_recording(session, row, recording))
