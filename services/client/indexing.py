"""Indexing as a client drives it: files are added, an operation is followed, its outcome is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wordspot.indexer.errors import ArchiveError, FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.paths import name_of_text
from wordspot.indexer.streams import Selection
from wordspot.services.client.changes import DEFAULT_STATUS, MISSING, ChangeLog, check_prunable, lies_in
from wordspot.services.client.files import FoundFiles, absolute, audio_files
from wordspot.services.client.records import IndexProgress, IndexReport
from wordspot.services.client.tag_tables import TagsByPath, tag_updates
from wordspot.services.client.transport import Transport
from wordspot.services.errors import CallEnded, ServiceError
from wordspot.services.limits import INTERRUPT_TIMEOUT_S, WATCH_AGAIN_S
from wordspot.v1 import archive_pb2


class IndexingEnded(ServiceError):
    """An indexing operation ended before it was done; what was committed stays."""


class Interrupted(KeyboardInterrupt):
    """The keyboard has interrupted indexing; the message says what is done and how to go on."""


class OperationWatcher(Protocol):
    """Watches and cancels operations, as `Client` does."""

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        """Yields the operation now and at every change, until it has ended."""

    def cancel(self, operation: str) -> archive_pb2.Operation:
        """Cancels an operation and returns it."""


class ArchiveKeeper(OperationWatcher, Protocol):
    """Looks after archives, as `Client` does."""

    def archive(self, name: str) -> archive_pb2.Archive:
        """Returns an archive. Raises NotFound."""

    def ensure_archive(self, name: str) -> bool:
        """Creates the archive unless there is one of that name; returns whether there was none."""

    def delete_archive(self, name: str) -> None:
        """Deletes an archive."""

    def refresh(
        self, name: str, folders: Iterable[str | Path], progress: Callable[[IndexProgress], None]
    ) -> Iterator[archive_pb2.FileChange]:
        """Yields what has become of the files of recordings."""

    def prune(self, name: str, folders: Iterable[str | Path]) -> list[archive_pb2.Recording]:
        """Deletes the recordings whose files are missing and returns them."""

    def recordings(self, archive: str, *, states: Iterable[str] = ()) -> Iterator[archive_pb2.Recording]:
        """Yields the recordings of an archive."""

    def start_index(
        self, archive: str, encoder: str | None, *, drop_missing: bool, channels: str, tracks: str
    ) -> archive_pb2.Operation:
        """Starts indexing what an archive holds."""

    def update_recordings(
        self, updates: Sequence[archive_pb2.RecordingUpdate], archive: str
    ) -> Iterator[archive_pb2.UpdatedRecording]:
        """Yields what became of each change of a recording's tags."""


@dataclass(frozen=True)
class AddedFiles:
    """What came of adding files.

    Attributes:
        recordings: path, id, and whether its content was there before, of each file that was added.
        problems: message by path of each other file.
        log: what became of each file, and of recordings' files.
    """

    recordings: Sequence[tuple[Path, str, bool]]
    problems: dict[str, str]
    log: ChangeLog


@dataclass(frozen=True)
class Indexing:
    """Files and folders on their way into an archive.

    Attributes:
        client: looks after the archive.
        transport: by which files get into it.
        archive: its name.
        progress: called at every step.
    """

    client: ArchiveKeeper
    transport: Transport
    archive: str
    progress: Callable[[IndexProgress], None]

    def run(
        self,
        paths: Iterable[str | Path],
        encoder: str | None,
        *,
        follow_links: bool = False,
        tags: Mapping[str, str],
        tags_by_path: TagsByPath,
        drop_missing: bool = False,
        prune: bool = False,
        channels: str = "",
        tracks: str = "",
    ) -> IndexReport:
        """Returns what came of it. Arguments and errors are those of `Client.index`."""
        start = time.monotonic()
        Selection().changed(channels, tracks)  # raises, before anything is added
        self.transport.check_encoder(encoder)
        named = [absolute(path) for path in paths]
        if prune:
            check_prunable(named, follow_links=follow_links)
        found = audio_files(named, follow_links=follow_links)
        created = self._ensured(named, found)
        with self._removing_new(created):
            reason = self.transport.prepare_encoder(encoder, self.archive)
            before = self.client.archive(self.archive)
            added = self._add(found.files, tags)
            untagged = self._tag(tags_by_path, added)
            for change in self.client.refresh(self.archive, named, progress=self.progress):
                added.log.note(change.status, name_of_text(change.recording.path), change.previous_path)
            if prune:
                added.log.pruned += [
                    name_of_text(recording.path) for recording in self.client.prune(self.archive, named)
                ]
            operation = self.client.start_index(
                self.archive, encoder, drop_missing=drop_missing, channels=channels, tracks=tracks
            )
        operation = followed(self.client, operation, self.progress)
        added.log.missing = [
            name_of_text(recording.path)
            for recording in self.client.recordings(self.archive, states=MISSING)
            if lies_in(name_of_text(recording.path), named)
        ]
        changed = operation.recordings_done or operation.recordings_failed
        recordings = list(self.client.recordings(self.archive)) if changed else []
        archive = self.client.archive(self.archive)
        if created and not archive.recordings:
            self.client.delete_archive(self.archive)
        return report(
            added,
            recordings,
            found=found,
            operation=operation,
            before=before,
            archive=archive,
            seconds=time.monotonic() - start,
            encoder_reason=reason,
            untagged=untagged,
        )

    def _ensured(self, paths: Sequence[str | Path], found: FoundFiles) -> bool:
        """Returns whether the archive is new. Raises InvalidInput, NotFound where it would stay empty."""
        if found.files:
            return self.client.ensure_archive(self.archive)
        try:
            self.client.archive(self.archive)
        except NotFound:
            if not paths:
                raise
            left_out = len(found.ignored) + len(found.skipped)
            names = ", ".join(map(str, paths))
            raise InvalidInput(
                f"archive {self.archive!r} is not created: no audio file in {names} ({left_out} left out)"
            ) from None
        return False

    @contextmanager
    def _removing_new(self, created: bool) -> Iterator[None]:
        """Deletes an archive that was created for nothing: it is empty, or its encoder cannot be used."""
        try:
            yield
        except Exception as error:
            useless = isinstance(error, FailedPrecondition | NotFound)
            with suppress(ArchiveError):
                if created and (useless or not self.client.archive(self.archive).recordings):
                    self.client.delete_archive(self.archive)
            raise

    def _tag(self, tags_by_path: TagsByPath, added: AddedFiles) -> dict[str, str]:
        """Gives single recordings their tags; returns why some have not got them, by path."""
        updates = tag_updates(tags_by_path, added.recordings)
        outcomes = self.client.update_recordings(updates, self.archive)
        named = zip(tags_by_path, outcomes, strict=True)
        return {name: outcome.problem for name, outcome in named if outcome.problem}

    def _add(self, files: Sequence[Path], tags: Mapping[str, str]) -> AddedFiles:
        """Puts files into the archive; one that cannot be read as audio becomes a problem."""
        recordings: list[tuple[Path, str, bool]] = []
        problems: dict[str, str] = {}
        log = ChangeLog()
        self.progress(IndexProgress("adding", 0, len(files)))
        try:
            for done, (path, added) in enumerate(self.transport.add_files(files, self.archive, tags), 1):
                if isinstance(added, InvalidInput):
                    problems[str(path)] = str(added)
                else:
                    recordings.append((path, added.recording.id, added.already_present))
                    log.note(
                        added.status or DEFAULT_STATUS[added.already_present], str(path), added.previous_path
                    )
                self.progress(IndexProgress("adding", done, len(files)))
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted: {len(recordings)} of {len(files)} files are in archive {self.archive!r}, "
                "new ones cannot be searched yet; the same command goes on"
            ) from None
        self.progress(IndexProgress("adding", len(files), len(files)))
        return AddedFiles(recordings, problems, log)


def followed(
    watcher: OperationWatcher, operation: archive_pb2.Operation, progress: Callable[[IndexProgress], None]
) -> archive_pb2.Operation:
    """Returns the operation as it is at its end; an interrupt by the keyboard cancels it.

    Raises:
        IndexingEnded: unless it succeeds.
        Interrupted: by the keyboard.
    """
    try:
        for latest in _changes(watcher, operation.id):
            operation = latest
            progress(progress_of(operation))
    except KeyboardInterrupt:
        ended = _cancelled(watcher, operation)
        raise Interrupted(
            f"interrupted: {ended.recordings_done} of {ended.recordings_total} recordings of archive "
            f"{ended.archive!r} are indexed; `wordspot resume {ended.id}` or the same command goes on"
        ) from None
    return checked_end(operation)


def progress_of(operation: archive_pb2.Operation) -> IndexProgress:
    """Returns how far an operation has come."""
    done = operation.recordings_done + operation.recordings_failed
    return IndexProgress("indexing", done, operation.recordings_total)


def checked_end(operation: archive_pb2.Operation) -> archive_pb2.Operation:
    """Returns an operation that has ended. Raises IndexingEnded unless it succeeded."""
    if operation.state != archive_pb2.OPERATION_STATE_SUCCEEDED:
        state = archive_pb2.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()
        raise IndexingEnded(
            f"indexing {operation.archive!r} {state} after {operation.recordings_done} of "
            f"{operation.recordings_total} recordings{': ' * bool(operation.problem)}{operation.problem}"
        )
    return operation


def _cancelled(watcher: OperationWatcher, operation: archive_pb2.Operation) -> archive_pb2.Operation:
    """Cancels an operation; returns it once what is done is committed, or after INTERRUPT_TIMEOUT_S."""
    deadline = time.monotonic() + INTERRUPT_TIMEOUT_S
    operation = watcher.cancel(operation.id)
    for latest in watcher.watch(operation.id):
        operation = latest
        if time.monotonic() > deadline:
            break
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
    untagged: Mapping[str, str],
) -> IndexReport:
    """Returns what an indexing did.

    recordings: of the archive afterwards, none if nothing was indexed. found: the files that were to be
    added. before: the archive as it was. For the other arguments see `IndexReport`.
    """
    failures = {recording.id: recording.problem for recording in recordings if recording.problem}
    warnings = {recording.id: tuple(recording.warnings) for recording in recordings if recording.warnings}
    present = [present for _, identity, present in added.recordings if identity not in failures]
    # Another encoder, or other channels: recordings are read again, not only the files that were given.
    read_again = before.indexed_recordings and (before.encoder_hash, before.channels, before.tracks) != (
        archive.encoder_hash,
        archive.channels,
        archive.tracks,
    )
    return IndexReport(
        added=present.count(False),
        present=present.count(True),
        ignored=len(found.ignored),
        ignored_files=tuple(map(str, found.ignored)),
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
        untagged=dict(untagged),
        files=added.log.changes(
            {str(path) for path, identity, _ in added.recordings if identity in failures}
        ),
        warnings={
            str(path): warnings[identity] for path, identity, _ in added.recordings if identity in warnings
        },
    )
