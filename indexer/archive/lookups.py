"""Queries of the catalogue that several modules share."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wordspot.indexer.archive.segments import SealedSegment
from wordspot.indexer.archive.summaries import (
    ArchiveSummary,
    OperationSummary,
    RecordingState,
    RecordingSummary,
)
from wordspot.indexer.archive.tables import (
    Archive,
    Generation,
    GenerationState,
    IndexedRecording,
    Operation,
    OperationState,
    Recording,
    RecordingTag,
    Request,
    Segment,
    now,
)
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.limits import MAX_PAGE_ITEMS, MAX_REQUEST_ID_CHARACTERS
from wordspot.indexer.streams import Layout, Selection, decoded


def checked_page_limit(limit: int) -> int:
    """Returns the limit. Raises InvalidInput if it is out of range."""
    if not 1 <= limit <= MAX_PAGE_ITEMS:
        raise InvalidInput(f"items a page must be between 1 and {MAX_PAGE_ITEMS:,}, got {limit}")
    return limit


def parsed_page_token(token: str) -> int:
    """Returns the row number after which a page begins. Raises InvalidInput if the token is malformed."""
    if token and not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise InvalidInput(f"{token!r} is not a page token")
    return int(token or 0)


def archive_by_name(session: Session, name: str) -> Archive:
    """Returns the archive. Raises NotFound."""
    archive = session.scalars(select(Archive).where(Archive.name == name)).one_or_none()
    if archive is None:
        raise NotFound(f"no archive {name!r}")
    return archive


def live_recording(session: Session, archive: Archive, recording: str) -> Recording:
    """Returns a recording that is not deleted. Raises NotFound."""
    row = session.scalars(
        select(Recording).where(
            Recording.id == recording, Recording.archive_id == archive.id, Recording.deleted_at.is_(None)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"no recording {recording!r} in archive {archive.name!r}")
    return row


def live_recordings_by_sha256(
    session: Session, archive: Archive, contents: Collection[str]
) -> dict[str, Recording]:
    """Returns the recordings with one of the contents that are not deleted, by SHA-256."""
    rows = session.scalars(
        select(Recording).where(
            Recording.archive_id == archive.id,
            Recording.sha256.in_(contents),
            Recording.deleted_at.is_(None),
        )
    )
    return {recording.sha256: recording for recording in rows}


def recording_by_stamp(
    session: Session, archive: Archive, location: str, stamp: str | None
) -> Recording | None:
    """Returns the recording that was added from a file whose stamp has not changed since; None if there is
    none."""
    if stamp is None:
        return None
    return session.scalars(
        select(Recording)
        .where(
            Recording.archive_id == archive.id,
            Recording.location == location,
            Recording.stamp == stamp,
            Recording.deleted_at.is_(None),
        )
        .limit(1)
    ).first()


def operation_by_id(session: Session, operation: str) -> Operation:
    """Returns the operation. Raises NotFound."""
    row = session.scalars(select(Operation).where(Operation.id == operation)).one_or_none()
    if row is None:
        raise NotFound(f"no operation {operation!r}")
    return row


def generation_in_state(session: Session, archive: Archive, state: GenerationState) -> Generation | None:
    """Returns the archive's generation in the state; None if it has none."""
    return session.scalars(
        select(Generation).where(Generation.archive_id == archive.id, Generation.state == state)
    ).one_or_none()


def answered_request(session: Session, archive: Archive, request_id: str, fingerprint: str) -> Request | None:
    """Returns the request with this id that was answered before, None for a new or empty id.

    Raises:
        InvalidInput: if the id is too long or was used with another fingerprint.
    """
    check_request_id(request_id)
    request = session.get(Request, (archive.id, request_id)) if request_id else None
    if request is not None:
        check_fingerprint(request_id, request.fingerprint, fingerprint)
    return request


def answered_requests(session: Session, archive: Archive, request_ids: Collection[str]) -> dict[str, Request]:
    """Returns the requests that were answered before, by request id."""
    conditions = Request.archive_id == archive.id, Request.request_id.in_(set(request_ids) - {""})
    return {request.request_id: request for request in session.scalars(select(Request).where(*conditions))}


def check_request_id(request_id: str) -> None:
    """Raises InvalidInput if the id is too long."""
    if len(request_id) > MAX_REQUEST_ID_CHARACTERS:
        raise InvalidInput(
            f"request id must have at most {MAX_REQUEST_ID_CHARACTERS} characters, got {len(request_id)}"
        )


def check_fingerprint(request_id: str, earlier: str, fingerprint: str) -> None:
    """Raises InvalidInput if the id was used with another fingerprint."""
    if earlier != fingerprint:
        raise InvalidInput(
            f"request id {request_id!r} was used for {earlier!r} and cannot serve for {fingerprint!r}"
        )


def insert_operation(
    encoder: str, selection: Selection, request_id: str, fingerprint: str, session: Session, archive: Archive
) -> Operation:
    """Inserts an operation of an archive, and the request that it answers unless its id is empty."""
    operation = Operation(
        id=uuid.uuid4().hex[:16],
        archive_id=archive.id,
        encoder=encoder,  # the requested name may be an alias
        selection=selection,
        state=OperationState.RUNNING,
        recordings_total=0,
        created=now(),
        updated=now(),
    )
    session.add(operation)
    session.flush()
    if request_id:
        session.add(
            Request(
                archive_id=archive.id,
                request_id=request_id,
                fingerprint=fingerprint,
                operation_number=operation.number,
                already_present=False,
            )
        )
    return operation


def insert_segment(session: Session, generation: int, segment: SealedSegment) -> None:
    """Inserts a sealed segment, which becomes visible once the transaction commits."""
    numbers = {
        identity: number
        for identity, number in session.execute(
            select(Recording.id, Recording.number).where(Recording.id.in_(segment.recordings))
        )
    }
    row = Segment(
        generation_id=generation,
        name=segment.name,
        manifest_sha256=segment.manifest_sha256,
        size=segment.size,
        created=now(),
    )
    session.add(row)
    session.flush()
    session.add_all(
        IndexedRecording(
            segment_id=row.id,
            ordinal=ordinal,
            generation_id=generation,
            recording_number=numbers[recording],
            spans=spans,
            layout=layout,
        )
        for ordinal, (recording, spans, layout) in enumerate(
            itertools.zip_longest(segment.recordings, segment.spans, segment.layouts)
        )
    )


def summary_of_archive(session: Session, archive: Archive) -> ArchiveSummary:
    """Returns the summary of an archive; its size lacks the cached index, which the catalogue does not
    list."""
    generation = generation_in_state(session, archive, GenerationState.SERVING)
    number = None if generation is None else generation.id
    live = (Recording.archive_id == archive.id, Recording.deleted_at.is_(None))
    recordings, seconds = session.execute(
        select(func.count(), func.coalesce(func.sum(Recording.seconds), 0.0)).where(*live)
    ).one()
    uploaded = session.scalar(
        select(func.coalesce(func.sum(Recording.size), 0)).where(*live, Recording.location.not_like("/%"))
    )
    indexed, spans = session.execute(
        select(func.count(), func.coalesce(func.sum(IndexedRecording.spans), 0))
        .join(Recording, Recording.number == IndexedRecording.recording_number)
        .join(Segment, Segment.id == IndexedRecording.segment_id)
        .where(*live, IndexedRecording.generation_id == number, Segment.damage.is_(None))
    ).one()
    segments, size = session.execute(
        select(func.count(), func.coalesce(func.sum(Segment.size), 0)).where(Segment.generation_id == number)
    ).one()
    return ArchiveSummary(
        name=archive.name,
        encoder="" if generation is None else generation.encoder,
        encoder_hash="" if generation is None else generation.encoder_hash,
        selection=Selection() if generation is None else generation.selection,
        recordings=recordings,
        indexed_recordings=indexed,
        audio_seconds=float(seconds or 0.0),
        spans=int(spans),
        segments=segments,
        size=int(size) + int(uploaded or 0),
        created=archive.created,
    )


def summaries_of_recordings(
    session: Session, archive: Archive, recordings: Sequence[Recording]
) -> tuple[RecordingSummary, ...]:
    """Returns the summaries of recordings, in their order."""
    numbers = [recording.number for recording in recordings]
    layouts = layouts_by_recording(session, archive, numbers)
    tags = tags_by_recording(session, numbers)
    return tuple(
        _recording_summary(archive, recording, layouts.get(recording.number), tags[recording.number])
        for recording in recordings
    )


def layouts_by_recording(
    session: Session, archive: Archive, recordings: Collection[int]
) -> dict[int, Layout]:
    """Returns the layouts of those recordings that are searchable, by number."""
    rows = session.execute(
        select(Recording.number, IndexedRecording.layout, Recording.channels)
        .join(IndexedRecording, IndexedRecording.recording_number == Recording.number)
        .join(Segment, Segment.id == IndexedRecording.segment_id)
        .join(Generation, Generation.id == IndexedRecording.generation_id)
        .where(
            Generation.archive_id == archive.id,
            Generation.state == GenerationState.SERVING,
            Segment.damage.is_(None),
            Recording.number.in_(recordings),
        )
    )
    return {number: decoded(layout, channels) for number, layout, channels in rows}


def numbers_after(session: Session, archive: Archive, number: int, limit: int) -> tuple[list[int], int]:
    """Returns the next numbers of an archive's recordings that are not deleted, and how many there are."""
    live = Recording.archive_id == archive.id, Recording.deleted_at.is_(None)
    total = session.scalar(select(func.count()).select_from(Recording).where(*live)) or 0
    numbers = select(Recording.number).where(*live, Recording.number > number)
    return list(session.scalars(numbers.order_by(Recording.number).limit(limit))), total


def indexed_numbers(
    session: Session, archive: Archive, recordings: Collection[int] | None = None
) -> frozenset[int]:
    """Returns the numbers of the recordings that are searchable, of those given or of all."""
    generation = generation_in_state(session, archive, GenerationState.SERVING)
    if generation is None:
        return frozenset()
    given = [] if recordings is None else [IndexedRecording.recording_number.in_(recordings)]
    return frozenset(
        session.scalars(
            select(IndexedRecording.recording_number)
            .join(Segment, Segment.id == IndexedRecording.segment_id)
            .where(IndexedRecording.generation_id == generation.id, Segment.damage.is_(None), *given)
        )
    )


def tags_by_recording(session: Session, recordings: Collection[int]) -> dict[int, dict[str, str]]:
    """Returns the tags of recordings, in order of their keys, by the recording's number."""
    tags: dict[int, dict[str, str]] = {number: {} for number in recordings}
    for number, key, value in session.execute(
        select(RecordingTag.recording_number, RecordingTag.key, RecordingTag.value)
        .where(RecordingTag.recording_number.in_(recordings))
        .order_by(RecordingTag.recording_number, RecordingTag.key)
    ):
        tags[number][key] = value
    return tags


def summary_of_recording(session: Session, archive: Archive, recording: Recording) -> RecordingSummary:
    """Returns the summary of a recording."""
    return summaries_of_recordings(session, archive, [recording])[0]


def recording_state(problem: str | None, indexed: bool, missing: bool = False) -> RecordingState:
    """Returns the state of a recording by its problem, and by whether it is searchable and its file is
    missing."""
    if missing and (indexed or problem is None):
        return RecordingState.MISSING
    if indexed:
        return RecordingState.INDEXED
    return RecordingState.ADDED if problem is None else RecordingState.FAILED


def _recording_summary(
    archive: Archive, recording: Recording, layout: Layout | None, tags: Mapping[str, str]
) -> RecordingSummary:
    """Returns the summary of a recording. layout: None where it is not searchable."""
    return RecordingSummary(
        id=recording.id,
        archive=archive.name,
        path=recording.path,
        sha256=recording.sha256,
        seconds=recording.seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        format=recording.format,
        state=recording_state(recording.problem, layout is not None, recording.missing_since is not None),
        problem=recording.problem or "",
        created=recording.created,
        warnings=tuple((recording.warnings or "").splitlines()),
        tags=tags,
        streams=layout.streams if layout is not None else (),
    )


def summary_of_operation(archive: str, operation: Operation, running: bool) -> OperationSummary:
    """Returns the summary of an operation.

    Args:
        archive: its name.
        operation: as the catalogue has it.
        running: whether a thread of this process runs it, which takes precedence over the catalogue's state.
    """
    state = OperationState.RUNNING if running else OperationState(operation.state)
    if state is OperationState.RUNNING and not running:
        state = OperationState.INTERRUPTED
    return OperationSummary(
        id=operation.id,
        archive=archive,
        encoder=operation.encoder,
        state=state,
        recordings_total=operation.recordings_total,
        recordings_done=operation.recordings_done,
        recordings_failed=operation.recordings_failed,
        audio_seconds_done=operation.audio_seconds_done,
        spans_done=operation.spans_done,
        problem=operation.problem or "",
        created=operation.created,
        updated=operation.updated,
    )
