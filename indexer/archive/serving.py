"""Serving: the segments of one generation as a view for searches, and their index.

The index is read from the cache, extended if the archive has grown, and rebuilt if neither is possible.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import select

from wordspot.indexer.archive import cache, files, lookups, permissions
from wordspot.indexer.archive.assembly import OpenSegment, assembled
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.quarantine import (
    advising_repair,
    listed_manifest,
    quarantine,
    quarantined_segments,
)
from wordspot.indexer.archive.segments import SegmentReader, verify
from wordspot.indexer.archive.summaries import QuarantinedSegment
from wordspot.indexer.archive.tables import Generation, GenerationState, IndexedRecording, Recording, Segment
from wordspot.indexer.archive.view import ArchiveView, RecordingEntry
from wordspot.indexer.errors import DataLoss, Exhausted, FailedPrecondition, SegmentDamaged, StorageFailed
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.streams import Selection, decoded
from wordspot.indexer.vectors.buckets import BucketedIndex
from wordspot.indexer.vectors.policy import IndexPolicy
from wordspot.indexer.vectors.stored import SegmentSpans

_log = logging.getLogger(__name__)


class ServedArchives:
    """The generations that serve searches, by archive; opened at the first search or by indexing."""

    def __init__(self, catalogue: Catalogue, home: Home, policy: IndexPolicy) -> None:
        self._catalogue = catalogue
        self._home = home
        self._policy = policy
        self._lock = threading.Lock()
        self._current: dict[str, ServedGeneration] = {}
        self._prepared: dict[str, ServedGeneration] = {}

    def of(self, archive: str) -> ServedGeneration:
        """Returns the archive's generation. Raises NotFound, FailedPrecondition if it was never indexed."""
        served = self._current.get(archive)
        if served is not None:
            return served
        with self._lock:
            if archive not in self._current:
                with self._catalogue.reading() as session:
                    row = lookups.archive_by_name(session, archive)
                    generation = lookups.generation_in_state(session, row, GenerationState.SERVING)
                if generation is None:
                    raise FailedPrecondition(f"archive {archive!r} is not indexed yet")
                self._current[archive] = self._open(generation)
            return self._current[archive]

    def view(self, archive: str) -> ArchiveView:
        """Returns the current view of an archive. Raises what `of` and ServedGeneration.view raise."""
        with advising_repair(archive):
            return self.of(archive).view()

    def prepare(self, archive: str, generation: Generation) -> ServedGeneration:
        """Opens a generation that does not serve yet; `promotion` makes it serve."""
        served = self._open(generation)
        with self._lock:
            self._prepared[archive] = served
        return served

    @contextmanager
    def promotion(self, archive: str) -> Iterator[None]:
        """Encloses the change of the catalogue, after which the prepared generation serves.

        The old generation gets its view before, so that its files can be removed.
        """
        with self._lock:
            if archive in self._current:
                self._current[archive].opened_view()
            yield
            self._current[archive] = self._prepared.pop(archive)

    def drop(self, archive: str) -> None:
        """Closes the generations of an archive."""
        with self._lock:
            self._current.pop(archive, None)
            self._prepared.pop(archive, None)

    def forget_view(self, archive: str) -> None:
        """Has the next search of an archive read anew which of its segments are in quarantine."""
        with self._lock:
            served = self._current.get(archive)
        if served is not None:
            served.forget_view()

    def hide_recording(self, archive: str, recording: str) -> None:
        """Hides a deleted recording from searches that begin afterwards."""
        for generation in self._of_archive(archive):
            generation.hide_recording(recording)

    def reread_recordings(self, archive: str) -> None:
        """Has searches that begin afterwards know the recordings' paths, and which files are missing."""
        for generation in self._of_archive(archive):
            generation.reread_recordings()

    def _of_archive(self, archive: str) -> list[ServedGeneration]:
        with self._lock:
            return [group[archive] for group in (self._current, self._prepared) if archive in group]

    def _open(self, generation: Generation) -> ServedGeneration:
        return ServedGeneration(
            self._catalogue,
            generation.id,
            generation.encoder_info,
            selection=generation.selection,
            segments=self._home.segments,
            cache=self._home.cache_of(generation.id),
            policy=self._policy,
        )


class ServedGeneration:
    """Holds the current view of a generation. Safe to use from several threads.

    `view` does not block once there is a view; `refresh` creates the next one from what is committed.

    Attributes:
        generation: its row in the catalogue.
        encoder: that embedded it.
        selection: of channels and tracks.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        generation: int,
        encoder: EncoderInfo,
        *,
        selection: Selection,
        segments: Path,
        cache: Path,
        policy: IndexPolicy,
    ) -> None:
        self.generation = generation
        self.encoder, self.selection = encoder, selection
        self._catalogue = catalogue
        self._segments = segments
        self._cache = cache
        self._policy = policy
        self._refresh_lock = threading.RLock()
        self._parts: dict[str, OpenSegment] = {}
        self._index: BucketedIndex | None = None
        self._indexed: list[str] = []
        self._saved: list[str] = []
        self._view_lock = threading.Lock()
        self._deleted: set[str] = set()
        self._view: ArchiveView | None = None
        self._quarantined: tuple[QuarantinedSegment, ...] = ()
        self._quarantine_changes = 0
        self._new_damage: list[str] = []  # that no search has reported

    def view(self) -> ArchiveView:
        """Returns the current view; the first call creates it.

        Raises:
            DataLoss: if opening it has shown that a segment is damaged; later views leave that one out.
        """
        self.opened_view()
        self._check_changed_files()
        view = self.opened_view()
        with self._view_lock:
            problems, self._new_damage = self._new_damage, []
        if problems:
            raise SegmentDamaged("; ".join(problems))
        return view

    def opened_view(self) -> ArchiveView:
        """Returns the current view, whether or not there is new damage; the first call creates it."""
        while (view := self._view) is None:
            with self._refresh_lock:
                if self._view is None:
                    self.refresh()
        return view

    def refresh(self, hiding: Collection[str] = ()) -> None:
        """Opens newly committed segments, adds them to the index and publishes a new view without those that
        are damaged.

        hiding: ids of deleted recordings, which the new view is the first to lack.
        """
        with self._refresh_lock:
            with self._view_lock:
                self._deleted.update(hiding)
            published = False
            while not published:
                changes = self._quarantine_changes
                self._open_segments()
                try:
                    index = self._current_index()
                except DataLoss as error:
                    # Building the index has read a damaged block, whose segment is in quarantine now.
                    self._note_damage(str(error))
                    self._index = None
                    continue
                view = assembled(self.encoder, list(self._parts.values()), index, self._quarantined)
                with self._view_lock:
                    published = self._quarantine_changes == changes
                    if published:
                        self._view = view.without(self._deleted)

    def quarantine(self, segment: str, problem: str) -> None:
        """Excludes a damaged segment from this and later views."""
        self._put_in_quarantine(segment, problem)
        self.forget_view()

    def forget_view(self) -> None:
        """Has the next view made anew."""
        with self._view_lock:
            self._quarantine_changes += 1
            self._view = None

    def hide_recording(self, recording: str) -> None:
        """Hides a deleted recording from this and later views."""
        with self._view_lock:
            self._deleted.add(recording)
            if self._view is not None:
                self._view = self._view.without({recording})

    def reread_recordings(self) -> None:
        """Has this and later views know the recordings' paths, and which files are missing."""
        with self._refresh_lock:
            if self._view is None:
                self._parts = {}
                return
            entries = self._entries(list(self._parts))
            if any(len(entries[name]) != len(part.entries) for name, part in self._parts.items()):
                self._parts = {}  # a writer has replaced segments meanwhile
                self.forget_view()
                return
            for name, part in self._parts.items():
                self._parts[name] = dataclasses.replace(part, entries=tuple(entries[name]))
            listed = [entry for part in self._parts.values() for entry in part.entries]
            with self._view_lock:
                if self._view is not None:
                    self._view = self._view.with_entries(listed)

    @contextmanager
    def refresh_blocked(self) -> Iterator[None]:
        """Blocks refreshes by other threads inside the context, in which segments are replaced."""
        with self._refresh_lock:
            yield

    def save(self) -> None:
        """Writes the index to the cache, unless it is exact or cached already. A disk that is full or fails
        is only logged."""
        with self._refresh_lock:
            if self._index is None or self._index.exact or self._saved == self._indexed:
                return
            try:
                with files.reporting_disk_errors("caching an index"):
                    permissions.make_folder(self._cache)
                    cache.save(self._index, self._cache, self._indexed, self.encoder.hash)
            except (Exhausted, StorageFailed) as error:
                _log.warning("index of %s not cached: %s", self._cache.name, error)
                files.remove(self._cache)
                return
            self._saved = list(self._indexed)

    def rename_indexed(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Has the index know the newest segments by new names: these have the same rows in the same order."""
        with self._refresh_lock:
            first = len(self._indexed) - len(old)
            if self._indexed[first:] == list(old):
                self._indexed[first:] = new

    def _note_damage(self, problem: str) -> None:
        with self._view_lock:
            self._new_damage.append(problem)

    def _open_segments(self) -> None:
        """Opens the segments that are not in quarantine; those that turn out to be damaged go there."""
        entries = self._listed_segments()
        parts: dict[str, OpenSegment] = {}
        for (name, sha256), recordings in entries.items():
            try:
                parts[name] = self._parts.get(name) or self._opened(name, sha256, recordings)
            except DataLoss as error:
                self._put_in_quarantine(name, str(error))
                self._note_damage(str(error))
        self._parts = parts
        self._quarantined = self._listed_quarantine()

    def _put_in_quarantine(self, segment: str, problem: str) -> None:
        quarantine(self._catalogue, segment, problem)

    def _listed_quarantine(self) -> tuple[QuarantinedSegment, ...]:
        with self._catalogue.reading() as session:
            return quarantined_segments(session, self.generation)

    def _opened(self, name: str, sha256: str, recordings: Sequence[RecordingEntry]) -> OpenSegment:
        """Raises DataLoss."""
        reader = SegmentReader.open(self._segments / name, sha256, partial(self.quarantine, name))
        return OpenSegment(reader, tuple(recordings), reader.stamps())

    def _check_changed_files(self) -> None:
        """Verifies segments that somebody has written to: what is mapped has changed with the file, also
        where it was checked before."""
        for part in list(self._parts.values()):
            stamps = part.reader.stamps()
            if stamps == part.stamps:
                continue
            with self._refresh_lock:
                name = part.reader.name
                sha256 = listed_manifest(self._catalogue, name)
                if sha256 is None or self._parts.get(name) is not part:
                    continue
                try:
                    verify(part.reader.path, sha256)
                    self._parts[name] = dataclasses.replace(part, stamps=stamps)
                except DataLoss as error:
                    self._note_damage(str(error))
                    self.quarantine(name, str(error))

    def _listed_segments(self) -> dict[tuple[str, str], list[RecordingEntry]]:
        """Returns the recordings of new segments by the segment's name and checksum; none of open ones."""
        with self._catalogue.reading() as session:
            rows = session.execute(
                select(Segment.name, Segment.manifest_sha256)
                .where(Segment.generation_id == self.generation, Segment.damage.is_(None))
                .order_by(Segment.id)
            ).all()
        entries = self._entries([name for name, _ in rows if name not in self._parts])
        return {(name, sha256): entries.get(name, []) for name, sha256 in rows}

    def _entries(self, segments: Sequence[str]) -> dict[str, list[RecordingEntry]]:
        """Returns the recordings of segments by the segment's name."""
        with self._catalogue.reading() as session:
            entries: dict[str, list[RecordingEntry]] = {name: [] for name in segments}
            for name, recording, path, seconds, deleted, sha256, layout, channels, missing in session.execute(
                select(
                    Segment.name,
                    Recording.id,
                    Recording.path,
                    Recording.seconds,
                    Recording.deleted_at,
                    Recording.sha256,
                    IndexedRecording.layout,
                    Recording.channels,
                    Recording.missing_since,
                )
                .join(IndexedRecording, IndexedRecording.segment_id == Segment.id)
                .join(Recording, Recording.number == IndexedRecording.recording_number)
                .where(Segment.name.in_(segments))
                .order_by(Segment.id, IndexedRecording.ordinal)
            ):
                entries[name].append(
                    RecordingEntry(
                        recording,
                        path,
                        seconds or 0.0,
                        deleted is None,
                        sha256,
                        decoded(layout, channels),
                        missing is not None,
                    )
                )
        return entries

    def _current_index(self) -> BucketedIndex:
        names = list(self._parts)
        stored = [SegmentSpans(reader.vectors, reader.spans["length"]) for reader in self._readers()]
        if self._index is None:
            self._index, self._indexed = cache.load(self._cache, self.encoder)
            self._saved = list(self._indexed)
        index, indexed = self._index, len(self._indexed)
        usable = (
            index is not None
            and self._indexed == names[:indexed]
            and index.size == sum(len(segment.vectors) for segment in stored[:indexed])
        )
        if index is None or not usable:
            index = BucketedIndex.build(self._policy, self.encoder.dimension, stored)
            self._saved = []
        else:
            index = index.extended(self._policy, stored, indexed)
        self._index, self._indexed = index, names
        return index

    def _readers(self) -> list[SegmentReader]:
        return [part.reader for part in self._parts.values()]
