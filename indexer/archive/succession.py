"""Succession: how one recording takes the place of another when a file changes.

the file at a path has another content -> the new recording is the successor of the old one, which is
                                          searched until the successor is
the successor is indexed               -> the old one is deleted in the same transaction
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from wordspot.indexer.archive.tables import (
    Archive,
    IndexedRecording,
    Recording,
    RecordingTag,
    RecordingVerdict,
    Request,
    Segment,
    now,
)


def displace(session: Session, archive: Archive, recording: Recording, location: str) -> None:
    """Notes of all others that were added from a file that it holds another recording now."""
    session.execute(
        update(Recording)
        .where(
            Recording.archive_id == archive.id,
            Recording.location == location,
            Recording.number != recording.number,
            Recording.deleted_at.is_(None),
            Recording.missing_since.is_(None),
        )
        .values(missing_since=now())
    )


def supersede(session: Session, archive: Archive, successor: Recording, location: str) -> tuple[str, ...]:
    """Makes a recording the successor of all others that were added from a file; returns their ids.

    What they hold is not there any more, unless it is found elsewhere.
    """
    session.flush()  # the successor gets its number
    rows = session.scalars(
        select(Recording).where(
            Recording.archive_id == archive.id,
            Recording.location == location,
            Recording.number != successor.number,
            Recording.deleted_at.is_(None),
        )
    ).all()
    for row in rows:
        row.superseded_by = successor.number
        row.missing_since = row.missing_since or now()
        _inherit_tags(session, row.number, successor.number)
    return tuple(row.id for row in rows)


def _inherit_tags(session: Session, predecessor: int, successor: int) -> None:
    """Gives a recording the tags of the one that it succeeds, but for keys that it has."""
    own = set(session.scalars(select(RecordingTag.key).where(RecordingTag.recording_number == successor)))
    inherited = session.scalars(select(RecordingTag).where(RecordingTag.recording_number == predecessor))
    session.add_all(
        RecordingTag(recording_number=successor, key=tag.key, value=tag.value)
        for tag in inherited.all()
        if tag.key not in own
    )


def retire(session: Session, archive: int, generation: int) -> tuple[str, ...]:
    """Deletes the recordings whose successors are searchable; returns their ids.

    Args:
        session: of a transaction that writes.
        archive: its number.
        generation: that serves, its number.
    """
    indexed = (
        select(IndexedRecording.recording_number)
        .join(Segment, Segment.id == IndexedRecording.segment_id)
        .join(Recording, Recording.number == IndexedRecording.recording_number)
        .where(
            IndexedRecording.generation_id == generation,
            Segment.damage.is_(None),
            Recording.deleted_at.is_(None),
            Recording.superseded_by.is_(None),
        )
    )
    rows = session.execute(
        select(Recording.number, Recording.id).where(
            Recording.archive_id == archive,
            Recording.deleted_at.is_(None),
            Recording.superseded_by.in_(indexed),
        )
    ).all()
    mark_deleted(session, [number for number, _ in rows])
    return tuple(identity for _, identity in rows)


def mark_deleted(session: Session, numbers: Sequence[int]) -> None:
    """Deletes recordings: compaction removes their rows. What they were to succeed stays."""
    if not numbers:
        return
    session.execute(update(Recording).where(Recording.number.in_(numbers)).values(deleted_at=now()))
    session.execute(update(Recording).where(Recording.superseded_by.in_(numbers)).values(superseded_by=None))
    for table in (Request, RecordingTag, RecordingVerdict):
        session.execute(delete(table).where(table.recording_number.in_(numbers)))


def note_change(session: Session, archive: int) -> None:
    """Has those who read beside this process look at the recordings of an archive anew."""
    session.execute(update(Archive).where(Archive.id == archive).values(revision=Archive.revision + 1))
