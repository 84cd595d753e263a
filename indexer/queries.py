"""Questions to the catalogue that several modules ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wordspot.indexer.catalogue import (
    Archive,
    Generation,
    GenerationState,
    IndexedRecording,
    Operation,
    OperationState,
    Recording,
    Request,
    Segment,
    now,
)
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.segments import SealedSegment
from wordspot.indexer.summaries import ArchiveSummary, OperationSummary, RecordingState, RecordingSummary

LARGEST_PAGE = 1_000
_LONGEST_REQUEST_ID = 128


def page_limit(limit: int) -> int:
    """Raises InvalidInput."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidInput(f"{limit} items a page; allowed are 1 to {LARGEST_PAGE}")
    return limit


def page_number(token: str) -> int:
    """The row number after which a page begins. Raises InvalidInput."""
    if token and not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise InvalidInput(f"{token!r} is not a page token")
    return int(token or 0)


def archive_named(session: Session, name: str) -> Archive:
    """Raises NotFound."""
    archive = session.scalars(select(Archive).where(Archive.name == name)).one_or_none()
    if archive is None:
        raise NotFound(f"no archive {name!r}")
    return archive


def recording_of(session: Session, archive: Archive, recording: str) -> Recording:
    """A recording that has not been deleted. Raises NotFound."""
    found = session.scalars(
        select(Recording).where(
            Recording.id == recording, Recording.archive_id == archive.id, Recording.deleted_at.is_(None)
        )
    ).one_or_none()
    if found is None:
        raise NotFound(f"no recording {recording!r} in archive {archive.name!r}")
    return found


def live_by_content(session: Session, archive: Archive, contents: Collection[str]) -> dict[str, Recording]:
    """Recordings that have not been deleted, by SHA-256, of those asked for."""
    found = session.scalars(
        select(Recording).where(
            Recording.archive_id == archive.id,
            Recording.sha256.in_(contents),
            Recording.deleted_at.is_(None),
        )
    )
    return {recording.sha256: recording for recording in found}


def operation_called(session: Session, operation: str) -> Operation:
    """Raises NotFound."""
    found = session.scalars(select(Operation).where(Operation.id == operation)).one_or_none()
    if found is None:
        raise NotFound(f"no operation {operation!r}")
    return found


def generation_of(session: Session, archive: Archive, state: GenerationState) -> Generation | None:
    return session.scalars(
        select(Generation).where(Generation.archive_id == archive.id, Generation.state == state)
    ).one_or_none()


def encoder_of(generation: Generation) -> EncoderInfo:
    return EncoderInfo(
        name=generation.encoder,
        hash=generation.encoder_hash,
        dimension=generation.dimension,
        frame_dimension=generation.frame_dimension,
        ticks_per_frame=generation.ticks_per_frame,
    )


def first_answer(session: Session, archive: Archive, request_id: str, meaning: str) -> Request | None:
    """What was answered to this request id before, None for a new or empty one.

    Raises InvalidInput if the id is too long or was used with another meaning.
    """
    check_request_id(request_id)
    request = session.get(Request, (archive.id, request_id)) if request_id else None
    if request is not None:
        check_meaning(request_id, request.meaning, meaning)
    return request


def first_answers(session: Session, archive: Archive, request_ids: Collection[str]) -> dict[str, Request]:
    """What was answered before, by request id, without those never used."""
    asked = Request.archive_id == archive.id, Request.request_id.in_(set(request_ids) - {""})
    return {request.request_id: request for request in session.scalars(select(Request).where(*asked))}


def check_request_id(request_id: str) -> None:
    """Raises InvalidInput if it is too long."""
    if len(request_id) > _LONGEST_REQUEST_ID:
        raise InvalidInput(
            f"request id of {len(request_id)} characters; at most {_LONGEST_REQUEST_ID} are allowed"
        )


def check_meaning(request_id: str, before: str, meaning: str) -> None:
    """Raises InvalidInput if the id was used with another meaning."""
    if before != meaning:
        raise InvalidInput(
            f"request id {request_id!r} was used for {before!r} and cannot serve for {meaning!r}"
        )


def enter_segment(session: Session, generation: int, segment: SealedSegment) -> None:
    """Makes a sealed segment part of its generation once the transaction commits."""
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
        )
        for ordinal, (recording, spans) in enumerate(zip(segment.recordings, segment.spans, strict=True))
    )


def summary_of_archive(session: Session, archive: Archive) -> ArchiveSummary:
    """Without the files that the catalogue does not know the size of."""
    generation = generation_of(session, archive, GenerationState.SERVING)
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
        .where(*live, IndexedRecording.generation_id == number)
    ).one()
    segments, size = session.execute(
        select(func.count(), func.coalesce(func.sum(Segment.size), 0)).where(Segment.generation_id == number)
    ).one()
    return ArchiveSummary(
        name=archive.name,
        encoder="" if generation is None else generation.encoder,
        encoder_hash="" if generation is None else generation.encoder_hash,
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
    """In the order given."""
    generation = generation_of(session, archive, GenerationState.SERVING)
    indexed: set[int] = set()
    if generation is not None:
        indexed.update(
            session.scalars(
                select(IndexedRecording.recording_number).where(
                    IndexedRecording.generation_id == generation.id,
                    IndexedRecording.recording_number.in_([recording.number for recording in recordings]),
                )
            )
        )
    return tuple(_recording(archive, recording, recording.number in indexed) for recording in recordings)


def summary_of_recording(session: Session, archive: Archive, recording: Recording) -> RecordingSummary:
    return summaries_of_recordings(session, archive, [recording])[0]


def _recording(archive: Archive, recording: Recording, indexed: bool) -> RecordingSummary:
    state = RecordingState.ADDED if recording.problem is None else RecordingState.FAILED
    return RecordingSummary(
        id=recording.id,
        archive=archive.name,
        path=recording.path,
        sha256=recording.sha256,
        seconds=recording.seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        format=recording.format,
        state=RecordingState.INDEXED if indexed else state,
        problem=recording.problem or "",
        created=recording.created,
    )


def summary_of_operation(archive: str, operation: Operation, running: bool) -> OperationSummary:
    """running: whether a thread of this process works on it, which outweighs the catalogue's word."""
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
