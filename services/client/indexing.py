"""Indexing as a client drives it: files are added, an operation is followed, its outcome is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.files import FoundFiles
from wordspot.services.client.records import IndexProgress, IndexReport
from wordspot.services.client.transport import Transport
from wordspot.services.errors import CallEnded, ServiceError
from wordspot.services.limits import WATCH_AGAIN_S
from wordspot.v1 import archive_pb2


class IndexingEnded(ServiceError):
    """An indexing operation ended before it was done; what was committed stays."""


class OperationWatcher(Protocol):
    """Watches and cancels operations, as `Client` does."""

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        """Yields the operation now and at every change, until it has ended."""

    def cancel(self, operation: str) -> archive_pb2.Operation:
        """Cancels an operation and returns it."""


@dataclass(frozen=True)
class AddedFiles:
    """What came of adding files.

    Attributes:
        recordings: path, id, and whether its content was there before, of each file that was added.
        problems: message by path of each other file.
    """

    recordings: Sequence[tuple[Path, str, bool]]
    problems: dict[str, str]


def add_files(
    transport: Transport, files: Sequence[Path], archive: str, progress: Callable[[IndexProgress], None]
) -> AddedFiles:
    """Puts files, by absolute paths, into an archive; one that cannot be read as audio becomes a problem."""
    recordings: list[tuple[Path, str, bool]] = []
    problems: dict[str, str] = {}
    progress(IndexProgress("adding", 0, len(files)))
    for done, (path, added) in enumerate(transport.add_files(files, archive), 1):
        if isinstance(added, InvalidInput):
            problems[str(path)] = str(added)
        else:
            recording, present = added
            recordings.append((path, recording.id, present))
        progress(IndexProgress("adding", done, len(files)))
    progress(IndexProgress("adding", len(files), len(files)))
    return AddedFiles(recordings, problems)


def followed(
    watcher: OperationWatcher, operation: archive_pb2.Operation, progress: Callable[[IndexProgress], None]
) -> archive_pb2.Operation:
    """Returns the operation as it is at its end; an interrupt by the keyboard cancels it.

    Raises:
        IndexingEnded: unless it succeeds.
    """
    try:
        for latest in _changes(watcher, operation.id):
            operation = latest
            done = operation.recordings_done + operation.recordings_failed
            progress(IndexProgress("indexing", done, operation.recordings_total))
    except KeyboardInterrupt:
        watcher.cancel(operation.id)
        raise
    if operation.state != archive_pb2.OPERATION_STATE_SUCCEEDED:
        state = archive_pb2.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()
        raise IndexingEnded(
            f"indexing {operation.archive!r} {state} after {operation.recordings_done} of "
            f"{operation.recordings_total} recordings{': ' * bool(operation.problem)}{operation.problem}"
        )
    return operation


def _changes(watcher: OperationWatcher, operation: str) -> Iterator[archive_pb2.Operation]:
    """Yields the operation at every change; watches it anew where a full server ended that."""
    while True:
        try:
            yield from watcher.watch(operation)
            return
        except CallEnded:
            time.sleep(WATCH_AGAIN_S)


def report(
    added: AddedFiles,
    recordings: Sequence[archive_pb2.Recording],
    *,
    found: FoundFiles,
    operation: archive_pb2.Operation,
    before: archive_pb2.Archive,
    archive: archive_pb2.Archive,
    seconds: float,
    encoder_reason: str,
) -> IndexReport:
    """Returns what an indexing did.

    recordings: of the archive afterwards, none if nothing was indexed. found: the files that were to be
    added. before: the archive as it was. For the other arguments see `IndexReport`.
    """
    failures = {recording.id: recording.problem for recording in recordings if recording.problem}
    warnings = {recording.id: tuple(recording.warnings) for recording in recordings if recording.warnings}
    present = [present for _, identity, present in added.recordings if identity not in failures]
    # Indexing with another encoder reads every recording again, not only the files that were given.
    read_again = before.indexed_recordings and before.encoder_hash != archive.encoder_hash
    return IndexReport(
        added=present.count(False),
        present=present.count(True),
        ignored=found.ignored,
        skipped={str(path): reason for path, reason in found.skipped.items()},
        problems={
            recording.path: recording.problem for recording in recordings if read_again and recording.problem
        }
        | added.problems
        | {str(path): failures[identity] for path, identity, _ in added.recordings if identity in failures},
        operation=operation,
        archive=archive,
        seconds=seconds,
        encoder_reason=encoder_reason,
        warnings={
            str(path): warnings[identity] for path, identity, _ in added.recordings if identity in warnings
        },
    )
