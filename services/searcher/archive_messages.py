"""Archives, recordings and operations as the messages of ArchiveService."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from wordspot.indexer.archive.additions import Addition, Unseen
from wordspot.indexer.archive.insertions import AddResult
from wordspot.indexer.archive.summaries import (
    ArchiveSummary,
    CheckSummary,
    FileChange,
    FileStatus,
    OperationSummary,
    PeakSummary,
    RecordingState,
    RecordingSummary,
)
from wordspot.indexer.archive.tagging import TagUpdate
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.paths import readable, text_path
from wordspot.services.answers import to_interval
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import DEFAULT_PAGE_ITEMS, MAX_FILES_PER_CALL, MAX_PAGE_ITEMS
from wordspot.v1 import archive_pb2

STATES = {
    archive_pb2.RecordingState.Value(f"RECORDING_STATE_{state.name}"): state for state in RecordingState
}


def page_start(token: str, size: int) -> tuple[str, int]:
    """Returns what the token stands for, and how many items to list. Raises MalformedRequest."""
    if not 0 <= size <= MAX_PAGE_ITEMS:
        raise MalformedRequest(f"page_size must be between 0 and {MAX_PAGE_ITEMS:,}, got {size}", "page_size")
    try:
        after = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise MalformedRequest(
            f"page_token must be a next_page_token of this list, got {token!r}", "page_token"
        ) from None
    return after, size or DEFAULT_PAGE_ITEMS


def page_token(after: str) -> str:
    """Returns the token of the page behind an item, "" for none."""
    return base64.urlsafe_b64encode(after.encode()).decode()


def additions(files: Sequence[archive_pb2.FileToAdd]) -> list[Addition]:
    """Returns the files that a request asks to add. Raises MalformedRequest."""
    if len(files) > MAX_FILES_PER_CALL:
        raise MalformedRequest(
            f"the number of files must be at most {MAX_FILES_PER_CALL:,}, got {len(files)}", "files"
        )
    return [
        Addition(text_path(file.path), file.request_id, dict(file.tags), file.sha256.lower())
        for file in files
    ]


def recording_states(values: Sequence[archive_pb2.RecordingState]) -> frozenset[RecordingState]:
    """Returns the states of a request. Raises MalformedRequest."""
    if unknown := [value for value in values if value not in STATES]:
        allowed = ", ".join(map(archive_pb2.RecordingState.Name, STATES))
        raise MalformedRequest(f"states must be among {allowed}, got {unknown[0]}", "states")
    return frozenset(STATES[value] for value in values)


def tag_updates(updates: Sequence[archive_pb2.RecordingUpdate]) -> list[TagUpdate]:
    """Returns the changes that a request asks for."""
    return [
        TagUpdate(
            update.recording,
            update.path,
            dict(update.tags),
            tuple(update.removed_tags),
            update.replace_tags,
        )
        for update in updates
    ]


def updated_recording(outcome: RecordingSummary | InvalidInput | NotFound) -> archive_pb2.UpdatedRecording:
    """Returns the message of a recording that was changed, or could not be."""
    if isinstance(outcome, InvalidInput | NotFound):
        return archive_pb2.UpdatedRecording(problem=readable(str(outcome)))
    return archive_pb2.UpdatedRecording(recording=recording_message(outcome))


def folder_paths(folders: Sequence[str]) -> list[Path]:
    """Returns the folders that a request names. Raises MalformedRequest."""
    paths = [text_path(folder) for folder in folders]
    for path in paths:
        if not path.is_absolute():
            raise MalformedRequest(f"folders must be absolute paths, got {str(path)!r}", "folders")
    return paths


def added_file(outcome: AddResult | InvalidInput | NotFound) -> archive_pb2.AddedFile:
    """Returns the message of a file that was added, or could not be."""
    if isinstance(outcome, Unseen):
        return archive_pb2.AddedFile(
            problem=readable(str(outcome)), status=archive_pb2.FileStatus.FILE_STATUS_UNSEEN
        )
    if isinstance(outcome, InvalidInput | NotFound):
        return archive_pb2.AddedFile(problem=readable(str(outcome)))
    return archive_pb2.AddedFile(
        recording=recording_message(outcome.recording),
        already_present=outcome.present,
        status=status_value(outcome.status),
        previous_path=outcome.previous_path,
    )


def status_value(status: FileStatus) -> str:
    """Returns the name of what became of a file, as messages have it."""
    return f"FILE_STATUS_{status.name}"


def change_message(change: FileChange) -> archive_pb2.FileChange:
    """Returns the message of what became of a file."""
    return archive_pb2.FileChange(
        recording=recording_message(change.recording),
        status=status_value(change.status),
        previous_path=change.previous_path,
        problem=readable(change.problem),
    )


def archive_message(summary: ArchiveSummary) -> archive_pb2.Archive:
    """Returns the message of an archive."""
    return archive_pb2.Archive(
        name=summary.name,
        encoder=summary.encoder,
        encoder_hash=summary.encoder_hash,
        recordings=summary.recordings,
        indexed_recordings=summary.indexed_recordings,
        audio_seconds=summary.audio_seconds,
        spans=summary.spans,
        segments=summary.segments,
        bytes_on_disk=summary.size,
        create_time=_timestamp(summary.created),
        channels=summary.selection.channels,
        tracks=summary.selection.tracks,
        quarantined=[archive_pb2.QuarantinedSegment(**vars(segment)) for segment in summary.quarantined],
    )


def check_message(result: CheckSummary) -> archive_pb2.VerifyArchiveResponse:
    """Returns the message of a check."""
    return archive_pb2.VerifyArchiveResponse(
        kind=f"STORED_KIND_{result.kind.name}",
        name=result.name,
        size_bytes=result.size,
        recordings=result.recordings,
        problem=result.problem,
    )


def recording_message(summary: RecordingSummary) -> archive_pb2.Recording:
    """Returns the message of a recording."""
    return archive_pb2.Recording(
        id=summary.id,
        archive=summary.archive,
        path=summary.path,
        sha256=summary.sha256,
        duration_seconds=summary.seconds or 0.0,
        sample_rate=summary.sample_rate,
        channels=summary.channels,
        format=summary.format,
        state=f"RECORDING_STATE_{summary.state.name}",
        problem=summary.problem,
        create_time=_timestamp(summary.created),
        warnings=summary.warnings,
        streams=[archive_pb2.Stream(**vars(stream)) for stream in summary.streams],
        tags=summary.tags,
    )


def peaks_message(summary: PeakSummary) -> archive_pb2.GetPeaksResponse:
    """Returns the message of a waveform."""
    return archive_pb2.GetPeaksResponse(
        interval=to_interval(summary.start, summary.end),
        buckets=len(summary.peaks),
        peaks=summary.peaks.tobytes(),
    )


def operation_message(summary: OperationSummary) -> archive_pb2.Operation:
    """Returns the message of an operation."""
    return archive_pb2.Operation(
        id=summary.id,
        archive=summary.archive,
        encoder=summary.encoder,
        state=f"OPERATION_STATE_{summary.state.name}",
        recordings_total=summary.recordings_total,
        recordings_done=summary.recordings_done,
        recordings_failed=summary.recordings_failed,
        audio_seconds_done=summary.audio_seconds_done,
        spans_done=summary.spans_done,
        problem=summary.problem,
        create_time=_timestamp(summary.created),
        update_time=_timestamp(summary.updated),
    )


def _timestamp(moment: datetime) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(moment)
    return time
