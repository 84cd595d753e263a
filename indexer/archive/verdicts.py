"""Verdicts in the catalogue: what people say of places that queries found."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from wordspot.indexer.archive import lookups
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.summaries import Page
from wordspot.indexer.archive.tables import Archive, Recording, RecordingVerdict, now
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS
from wordspot.indexer.verdicts import SHARED, Verdict, checked_label

END_TOLERANCE_S = 1.0  # of a stretch beyond the recording: decoders differ by a block


@dataclass(frozen=True)
class VerdictFilter:
    """Which verdicts are meant: those that match every attribute that is set.

    Attributes:
        query: what was looked for; empty for anything.
        recording: id; empty for any.
        correct: what they say; None for either.
        author: whose they are; empty for anybody's.
    """

    query: str = ""
    recording: str = ""
    correct: bool | None = None
    author: str = ""


class Verdicts:
    """Stores, lists and deletes verdicts."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def set(self, archive: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Stores verdicts, all or none.

        One verdict a place and query: a later one replaces those of the same recording, query and channel
        with which it shares enough, and has the id of the one with which it shares most.

        Returns:
            The verdicts as they are stored, in order.

        Raises:
            NotFound: if there is no such archive or recording.
            InvalidInput: if a verdict is not valid.
        """
        checked = [verdict.checked() for verdict in verdicts]
        with self._catalogue.writing() as session:
            row = lookups.archive_by_name(session, archive)
            recordings = _recordings(session, row, checked)
            present = _present(session, {recording.number for recording in recordings.values()})
            rows: list[RecordingVerdict] = []
            for each in checked:
                stored, removed = _set(session, recordings[each.recording], each, present)
                rows = [*(stored if row in removed else row for row in rows), stored]
            by_number = {recording.number: recording for recording in recordings.values()}
            return [_verdict(row, by_number[row.recording_number]) for row in rows]

    def page(
        self,
        archive: str,
        verdict_filter: VerdictFilter | None = None,
        after: str = "",
        limit: int = DEFAULT_PAGE_ITEMS,
    ) -> Page[Verdict]:
        """Returns a page of an archive's verdicts in order of their first being set.

        Args:
            archive: its name.
            verdict_filter: which; None for all.
            after: the `next` of the page before.
            limit: verdicts a page, 1 to MAX_PAGE_ITEMS.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if an argument is not valid.
        """
        lookups.checked_page_limit(limit)
        number = lookups.parsed_page_token(after)
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            conditions = _conditions(row, verdict_filter or VerdictFilter())
            total = session.scalar(
                select(func.count()).select_from(RecordingVerdict).join(Recording).where(*conditions)
            )
            rows = session.execute(
                select(RecordingVerdict, Recording)
                .join(Recording)
                .where(*conditions, RecordingVerdict.number > number)
                .order_by(RecordingVerdict.number)
                .limit(limit + 1)
            ).all()
        items = tuple(_verdict(verdict, recording) for verdict, recording in rows[:limit])
        return Page(items, str(rows[limit - 1][0].number) if len(rows) > limit else "", total or 0)

    def of_query(self, archive: str, query: str) -> list[Verdict]:
        """Returns all verdicts of a query, the latest last. Raises NotFound."""
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            try:
                conditions = _conditions(row, VerdictFilter(query=query))
            except InvalidInput:  # a label that no verdict can have
                return []
            rows = session.execute(
                select(RecordingVerdict, Recording)
                .join(Recording)
                .where(*conditions)
                .order_by(RecordingVerdict.created, RecordingVerdict.number)
            ).all()
        return [_verdict(verdict, recording) for verdict, recording in rows]

    def delete(self, archive: str, ids: Sequence[str]) -> None:
        """Deletes verdicts, all or none. Raises NotFound."""
        with self._catalogue.writing() as session:
            row = lookups.archive_by_name(session, archive)
            numbers = {
                identity: number
                for identity, number in session.execute(
                    select(RecordingVerdict.id, RecordingVerdict.number)
                    .join(Recording)
                    .where(*_conditions(row, VerdictFilter()), RecordingVerdict.id.in_(ids))
                )
            }
            if unknown := [identity for identity in ids if identity not in numbers]:
                raise NotFound(f"no verdict {unknown[0]!r} in archive {archive!r}")
            session.execute(
                delete(RecordingVerdict).where(RecordingVerdict.number.in_(list(numbers.values())))
            )


def insert_verdict(session: Session, recording: int, verdict: Verdict) -> None:
    """Inserts a verdict with its id and time. recording: its number."""
    session.add(
        RecordingVerdict(
            id=verdict.id, recording_number=recording, created=verdict.created, **_columns(verdict)
        )
    )


def _recordings(session: Session, archive: Archive, verdicts: Sequence[Verdict]) -> dict[str, Recording]:
    """Returns the recordings of verdicts, by id. Raises NotFound, InvalidInput."""
    ids = {verdict.recording for verdict in verdicts}
    rows = session.scalars(
        select(Recording).where(
            Recording.archive_id == archive.id, Recording.deleted_at.is_(None), Recording.id.in_(ids)
        )
    )
    recordings = {row.id: row for row in rows}
    for verdict in verdicts:
        recording = recordings.get(verdict.recording)
        if recording is None:
            raise NotFound(f"no recording {verdict.recording!r} in archive {archive.name!r}")
        if recording.seconds is not None and verdict.end > recording.seconds + END_TOLERANCE_S:
            raise InvalidInput(
                f"the stretch of a verdict must lie within its recording {recording.id} of "
                f"{recording.seconds:.2f} s, got {verdict.start:g} to {verdict.end:g} s"
            )
    return recordings


_Key = tuple[int, str, int]  # number of the recording, query, channel


def _present(session: Session, recordings: set[int]) -> dict[_Key, list[RecordingVerdict]]:
    """Returns all verdicts of recordings, by what must be the same to replace one."""
    present: dict[_Key, list[RecordingVerdict]] = defaultdict(list)
    for row in session.scalars(
        select(RecordingVerdict).where(RecordingVerdict.recording_number.in_(recordings))
    ):
        present[row.recording_number, row.query, row.channel].append(row)
    return present


def _set(
    session: Session,
    recording: Recording,
    verdict: Verdict,
    present: dict[_Key, list[RecordingVerdict]],
) -> tuple[RecordingVerdict, Sequence[RecordingVerdict]]:
    """Changes the row that a verdict replaces, or inserts one. Returns it, and other rows that it replaces,
    which are deleted."""
    group = present[recording.number, verdict.query, verdict.channel]
    shared = sorted(group, key=lambda row: -verdict.overlap(row.start, row.end))
    replaced = [row for row in shared if verdict.overlap(row.start, row.end) >= SHARED]
    for other in replaced[1:]:
        session.delete(other)
        group.remove(other)
    if replaced:
        for name, value in _columns(verdict).items():
            setattr(replaced[0], name, value)
        replaced[0].created = now()
        return replaced[0], replaced[1:]
    row = RecordingVerdict(
        id=uuid.uuid4().hex[:16], recording_number=recording.number, created=now(), **_columns(verdict)
    )
    session.add(row)
    session.flush()  # so that a later one can replace it
    group.append(row)
    return row, ()


def _columns(verdict: Verdict) -> dict[str, object]:
    names = ("query", "start", "end", "channel", "correct", "author", "score", "p_correct")
    return {name: getattr(verdict, name) for name in names}


def _conditions(archive: Archive, verdict_filter: VerdictFilter) -> list[ColumnElement[bool]]:
    """Returns the conditions of a join of verdicts and recordings. Raises InvalidInput."""
    conditions = [Recording.archive_id == archive.id, Recording.deleted_at.is_(None)]
    if verdict_filter.query:
        conditions.append(RecordingVerdict.query == checked_label(verdict_filter.query))
    if verdict_filter.recording:
        conditions.append(Recording.id == verdict_filter.recording)
    if verdict_filter.correct is not None:
        conditions.append(RecordingVerdict.correct.is_(verdict_filter.correct))
    if verdict_filter.author:
        conditions.append(RecordingVerdict.author == verdict_filter.author)
    return conditions


def _verdict(row: RecordingVerdict, recording: Recording) -> Verdict:
    return Verdict(
        recording=recording.id,
        start=row.start,
        end=row.end,
        query=row.query,
        correct=row.correct,
        author=row.author,
        score=row.score,
        p_correct=row.p_correct,
        channel=row.channel,
        id=row.id,
        created=row.created,
        path=recording.path,
    )
