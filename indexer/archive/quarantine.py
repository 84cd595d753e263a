"""Quarantine: damaged segments are excluded from searches until they are repaired.

    a checksum differs -> the catalogue has what is wrong -> views leave the segment out, and say so
                       -> repair indexes its recordings anew from their files
                       -> a later check that finds it whole ends its quarantine: a disk had failed for a while

Checking reads one file after the other, the newest segments last; nothing else waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.segments import verify
from wordspot.indexer.archive.summaries import CheckSummary, QuarantinedSegment, StoredKind
from wordspot.indexer.archive.tables import Archive, Generation, IndexedRecording, Recording, Segment
from wordspot.indexer.errors import DataLoss, FailedPrecondition, SegmentDamaged
from wordspot.indexer.paths import readable_path

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # where logging is not set up, the caller's error tells of the damage


@dataclass(frozen=True)
class _StoredSegment:
    """A segment as the catalogue has it.

    Attributes:
        name: of its directory.
        manifest_sha256: of its manifest.
        size: in bytes.
        damage: that it is in quarantine for, or None.
        recordings: number of recordings.
    """

    name: str
    manifest_sha256: str
    size: int
    damage: str | None
    recordings: int


def quarantine(catalogue: Catalogue, segment: str, problem: str) -> None:
    """Excludes a segment from later views; does nothing to one that is in quarantine or gone."""
    with catalogue.writing() as session:
        row = session.scalars(
            select(Segment).where(Segment.name == segment, Segment.damage.is_(None))
        ).one_or_none()
        if row is None:
            return
        row.damage = problem
    _log.error("%s: it is in quarantine until it is repaired", problem)


def release(catalogue: Catalogue, segment: str) -> None:
    """Ends the quarantine of a segment that is whole."""
    with catalogue.writing() as session:
        session.execute(update(Segment).where(Segment.name == segment).values(damage=None))
    _log.warning("segment %s is whole: its quarantine has ended", segment)


@contextmanager
def advising_repair(archive: str) -> Iterator[None]:
    """Has the error of a damaged segment say what can be done. Raises DataLoss instead of SegmentDamaged."""
    try:
        yield
    except SegmentDamaged as error:
        raise DataLoss(
            f"{error}. What it held is searched again after `wordspot archive repair --archive {archive}`"
        ) from error


def quarantined_segments(session: Session, generation: int | None) -> tuple[QuarantinedSegment, ...]:
    """Returns the segments of a generation that are in quarantine, in order of writing."""
    rows = session.execute(
        select(Segment.name, Segment.damage, func.count(Recording.number))
        .outerjoin(IndexedRecording, IndexedRecording.segment_id == Segment.id)
        .outerjoin(
            Recording,
            (Recording.number == IndexedRecording.recording_number) & Recording.deleted_at.is_(None),
        )
        .where(Segment.generation_id == generation, Segment.damage.is_not(None))
        .group_by(Segment.id, Segment.name, Segment.damage)
        .order_by(Segment.id)
    )
    return tuple(QuarantinedSegment(name, problem or "", count) for name, problem, count in rows)


def listed_manifest(catalogue: Catalogue, segment: str) -> str | None:
    """Returns the SHA-256 of a segment's manifest; None if it is in quarantine or not listed any more."""
    with catalogue.reading() as session:
        return session.scalar(
            select(Segment.manifest_sha256).where(Segment.name == segment, Segment.damage.is_(None))
        )


def check_archive(
    catalogue: Catalogue,
    home: Home,
    archive_name: str,
    changed: Callable[[], None] = lambda: None,
    *,
    read_only: bool = False,
) -> Iterator[CheckSummary]:
    """Compares every byte that is stored for an archive with its checksum, and quarantines what differs.

    Args:
        catalogue: of the home.
        home: where segments and uploads lie.
        archive_name: of the archive.
        changed: called when a segment has been put in quarantine or released.
        read_only: whether nothing is put there or released.

    Yields:
        The result of the catalogue, of each segment, then of each uploaded file, as soon as it is known.

    Raises:
        NotFound: if there is no such archive.
    """
    with catalogue.reading() as session:
        archive = lookups.archive_by_name(session, archive_name)
        segments, uploads = _stored_segments(session, archive), _uploads(session, archive)
        recordings = session.scalar(
            select(func.count()).where(Recording.archive_id == archive.id, Recording.deleted_at.is_(None))
        )
    yield CheckSummary(StoredKind.CATALOGUE, "", 0, recordings or 0, catalogue.integrity_problem())
    for segment in segments:
        try:
            verify(home.segments / segment.name, segment.manifest_sha256)
            problem = ""
            if segment.damage is not None and not read_only:
                release(catalogue, segment.name)
                changed()
        except DataLoss as error:
            # It may have been compacted away meanwhile.
            if not _is_listed(catalogue, segment.name):
                continue
            problem = str(error)
            if not read_only:
                quarantine(catalogue, segment.name, problem)
                changed()
        except FailedPrecondition as error:  # of a newer version, and maybe whole
            problem = str(error)
        yield CheckSummary(StoredKind.SEGMENT, segment.name, segment.size, segment.recordings, problem)
    for recording in uploads:
        problem = _upload_problem(home, recording)
        if problem and not _is_live(catalogue, recording.id):
            continue
        yield CheckSummary(StoredKind.UPLOAD, recording.path, recording.size, 1, problem)


def _stored_segments(session: Session, archive: Archive) -> list[_StoredSegment]:
    rows = session.execute(
        select(
            Segment.name,
            Segment.manifest_sha256,
            Segment.size,
            Segment.damage,
            func.count(IndexedRecording.recording_number),
        )
        .join(Generation, Generation.id == Segment.generation_id)
        .outerjoin(IndexedRecording, IndexedRecording.segment_id == Segment.id)
        .where(Generation.archive_id == archive.id)
        .group_by(Segment.id, Segment.name, Segment.manifest_sha256, Segment.size, Segment.damage)
        .order_by(Segment.id)
    )
    return [_StoredSegment(*row) for row in rows]


def _uploads(session: Session, archive: Archive) -> Sequence[Recording]:
    return session.scalars(
        select(Recording)
        .where(
            Recording.archive_id == archive.id,
            Recording.deleted_at.is_(None),
            Recording.location.not_like("/%"),
        )
        .order_by(Recording.number)
    ).all()


def _upload_problem(home: Home, recording: Recording) -> str:
    what = f"upload {readable_path(recording.path)} (recording {recording.id})"
    try:
        actual = files.sha256_of(home.locate(recording.location))
    except OSError as error:
        return f"{what} cannot be read: {error.strerror}"
    if actual != recording.sha256:
        return f"{what} has SHA-256 {actual}; {recording.sha256} was uploaded"
    return ""


def _is_listed(catalogue: Catalogue, segment: str) -> bool:
    with catalogue.reading() as session:
        return session.scalar(select(Segment.id).where(Segment.name == segment)) is not None


def _is_live(catalogue: Catalogue, recording: str) -> bool:
    with catalogue.reading() as session:
        row = select(Recording.id).where(Recording.id == recording, Recording.deleted_at.is_(None))
        return session.scalar(row) is not None
