"""Readers beside a writer: views of a home that another process may be changing.

A reader takes no lock and writes nothing. Segments never change, and what a reader has mapped stays readable
when the writer removes it; what was removed before the reader opened it makes it look at the catalogue anew.
Before each search it looks whether the writer has committed anything.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.quarantine import advising_repair, listed_manifest
from wordspot.indexer.archive.serving import ServedArchives, ServedGeneration
from wordspot.indexer.archive.summaries import QuarantinedSegment
from wordspot.indexer.archive.tables import (
    Archive,
    Generation,
    GenerationState,
    IndexedRecording,
    Recording,
    Segment,
)
from wordspot.indexer.archive.view import ArchiveView, RecordingEntry
from wordspot.indexer.errors import FailedPrecondition

MAX_ATTEMPTS = 100  # each is lost to a change by the writer


class _Replaced(Exception):
    """The writer has removed a segment or the whole generation meanwhile."""


class FollowedArchives(ServedArchives):
    """The generations that serve searches, as the writer changes them."""

    def of(self, archive: str) -> ServedGeneration:
        """Returns the archive's generation. Raises NotFound, FailedPrecondition if it was never indexed."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            generation = lookups.generation_in_state(session, row, GenerationState.SERVING)
        if generation is None:
            raise FailedPrecondition(f"archive {archive!r} is not indexed yet")
        with self._lock:
            current = self._current.get(archive)
            if current is None or current.generation != generation.id:
                current = self._current[archive] = self._open(generation)
            return current

    def view(self, archive: str) -> ArchiveView:
        """Returns the current view of an archive. Raises what `of` and ServedGeneration.view raise."""
        for _ in range(MAX_ATTEMPTS):
            try:
                with advising_repair(archive):
                    return self.of(archive).view()
            except _Replaced:
                continue
        raise FailedPrecondition(f"archive {archive!r} is being changed too fast to be read")

    def _open(self, generation: Generation) -> ServedGeneration:
        return FollowedGeneration(
            self._catalogue,
            generation.id,
            generation.encoder_info,
            selection=generation.selection,
            segments=self._home.segments,
            cache=self._home.cache_of(generation.id),
            policy=self._policy,
        )


class FollowedGeneration(ServedGeneration):
    """A generation that another process may be changing. Damage is noted here, and not in the catalogue."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what ServedGeneration takes."""
        super().__init__(*arguments, **options)
        self._damage: dict[str, str] = {}
        self._followed: tuple[str, ...] = ()
        self._revision: int | None = None

    def view(self) -> ArchiveView:
        """Returns a view of what is committed. Raises DataLoss, once, for new damage."""
        with self._refresh_lock:
            segments, deleted, revision = self._committed()
            if segments != self._followed:
                self.forget_view()
            if revision != self._revision:
                self.reread_recordings()
            for recording in deleted - self._deleted:
                self.hide_recording(recording)
            view = super().view()
            self._followed, self._revision = segments, revision
            return view

    def quarantine(self, segment: str, problem: str) -> None:
        """Excludes a damaged segment from this and later views of this process."""
        self._damage[segment] = problem
        self.forget_view()

    def _put_in_quarantine(self, segment: str, problem: str) -> None:
        """Raises _Replaced if it is not damaged but gone."""
        if listed_manifest(self._catalogue, segment) is None:
            raise _Replaced
        self._damage[segment] = problem

    def _committed(self) -> tuple[tuple[str, ...], frozenset[str], int]:
        """Returns the names of segments, the ids of deleted recordings and the archive's revision. Raises
        _Replaced."""
        with self._catalogue.reading() as session:
            generation = session.get(Generation, self.generation)
            if generation is None:
                raise _Replaced
            revision = session.get_one(Archive, generation.archive_id).revision
            segments = session.scalars(
                select(Segment.name)
                .where(Segment.generation_id == self.generation, Segment.damage.is_(None))
                .order_by(Segment.id)
            ).all()
            deleted = session.scalars(
                select(Recording.id)
                .join(IndexedRecording, IndexedRecording.recording_number == Recording.number)
                .where(IndexedRecording.generation_id == self.generation, Recording.deleted_at.is_not(None))
            ).all()
        return tuple(segments), frozenset(deleted), revision

    def _open_segments(self) -> None:
        """Raises _Replaced."""
        super()._open_segments()
        self._committed()  # a generation that was removed meanwhile has looked empty

    def _listed_segments(self) -> dict[tuple[str, str], list[RecordingEntry]]:
        listed = super()._listed_segments()
        return {segment: entries for segment, entries in listed.items() if segment[0] not in self._damage}

    def _listed_quarantine(self) -> tuple[QuarantinedSegment, ...]:
        with self._catalogue.reading() as session:
            counts = {
                name: len(
                    session.scalars(
                        select(IndexedRecording.ordinal)
                        .join(Segment, Segment.id == IndexedRecording.segment_id)
                        .where(Segment.name == name)
                    ).all()
                )
                for name in self._damage
            }
        noticed = (QuarantinedSegment(name, problem, counts[name]) for name, problem in self._damage.items())
        return (*super()._listed_quarantine(), *noticed)
