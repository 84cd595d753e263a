"""The recordings of an archive that a filter selects."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.summaries import RecordingState
from wordspot.indexer.archive.tables import Archive, Recording, RecordingTag
from wordspot.indexer.errors import NotFound
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.paths import readable_path
from wordspot.indexer.tags import DATE

MAX_NAMED_TAGS = 12  # of an archive, in an error
MAX_NAMED_CHARACTERS = 40  # of each


def selected(
    session: Session,
    archive: Archive,
    recording_filter: RecordingFilter,
    states: Collection[RecordingState] = (),
) -> Sequence[tuple[int, str]]:
    """Returns number and id of the recordings that match, in order of adding.

    Args:
        session: over the catalogue.
        archive: its row.
        recording_filter: as `checked` returns it.
        states: one of which they are in; empty for any.
    """
    rows = session.execute(
        select(Recording.number, Recording.id, Recording.path, Recording.problem, Recording.missing_since)
        .where(*_conditions(archive, recording_filter))
        .order_by(Recording.number)
    ).all()
    if recording_filter.paths or recording_filter.folders:
        rows = [row for row in rows if recording_filter.matches_path(row.path)]
    if recording_filter.date_from or recording_filter.date_to:
        dated = _dated(session, archive, recording_filter)
        rows = [row for row in rows if row.number in dated]
    if states:
        indexed = lookups.indexed_numbers(session, archive)
        rows = [
            row
            for row in rows
            if lookups.recording_state(row.problem, row.number in indexed, row.missing_since is not None)
            in states
        ]
    return [(row.number, row.id) for row in rows]


def check_selected(
    session: Session, archive: Archive, recording_filter: RecordingFilter, ids: Collection[str]
) -> None:
    """Raises NotFound, which says what there is, if no recording matches."""
    if ids:
        return
    told = f"no recording of archive {archive.name!r} matches the filter ({recording_filter})"
    if not (recording_filter.tags or recording_filter.date_from or recording_filter.date_to):
        path = session.scalars(select(Recording.path).where(*_live(archive)).limit(1)).one_or_none()
        there = "it holds no recording" if path is None else f"its paths are like {readable_path(path)}"
    else:
        there = _tags_there(session, archive, recording_filter)
    raise NotFound(f"{told}; {there}")


def _tags_there(session: Session, archive: Archive, recording_filter: RecordingFilter) -> str:
    """Returns the most frequent tags, those with the keys of the filter first."""
    wanted = [*recording_filter.tags, *[DATE] * bool(recording_filter.date_from or recording_filter.date_to)]
    counts = session.execute(
        select(RecordingTag.key, RecordingTag.value, func.count().label("count"))
        .join(Recording, Recording.number == RecordingTag.recording_number)
        .where(*_live(archive))
        .group_by(RecordingTag.key, RecordingTag.value)
        .order_by(
            RecordingTag.key.in_(wanted).desc(), func.count().desc(), RecordingTag.key, RecordingTag.value
        )
        .limit(MAX_NAMED_TAGS + 1)
    ).all()
    if not counts:
        return "its recordings have no tags"
    shown = ", ".join(
        f"{key}={value[:MAX_NAMED_CHARACTERS]} ({count})" for key, value, count in counts[:MAX_NAMED_TAGS]
    )
    return f"its tags are {shown}{', ...' if len(counts) > MAX_NAMED_TAGS else ''}"


def _conditions(archive: Archive, recording_filter: RecordingFilter) -> list[ColumnElement[bool]]:
    conditions = _live(archive)
    for key, values in recording_filter.tags.items():
        having = select(RecordingTag.recording_number).where(
            RecordingTag.key == key, RecordingTag.value.in_(values)
        )
        conditions.append(Recording.number.in_(having))
    return conditions


def _dated(session: Session, archive: Archive, recording_filter: RecordingFilter) -> set[int]:
    """Returns the numbers of recordings whose date may lie within that of the filter."""
    rows = session.execute(
        select(RecordingTag.recording_number, RecordingTag.value)
        .join(Recording, Recording.number == RecordingTag.recording_number)
        .where(RecordingTag.key == DATE, *_live(archive))
    ).all()
    dates = {value for _, value in rows}
    within = {value for value in dates if recording_filter.matches_date(value)}
    return {number for number, value in rows if value in within}


def _live(archive: Archive) -> list[ColumnElement[bool]]:
    return [Recording.archive_id == archive.id, Recording.deleted_at.is_(None)]
