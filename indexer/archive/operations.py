"""Operations: indexing that outlives its call, and can be watched, cancelled and resumed (AIP-151)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wordspot.indexer.archive import files, generations, lookups, progress
from wordspot.indexer.archive.batches import Batch
from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.indexer.archive.ingest import Ingest
from wordspot.indexer.archive.locks import ArchiveLocks
from wordspot.indexer.archive.plans import IndexingTask, planned, reuse
from wordspot.indexer.archive.serving import ServedArchives
from wordspot.indexer.archive.succession import retire
from wordspot.indexer.archive.summaries import OperationSummary, Page
from wordspot.indexer.archive.tables import (
    Archive,
    GenerationState,
    Operation,
    OperationState,
    now,
)
from wordspot.indexer.errors import ArchiveError, FailedPrecondition
from wordspot.indexer.faults import reach
from wordspot.indexer.limits import DEFAULT_PAGE_ITEMS
from wordspot.indexer.paths import readable
from wordspot.indexer.records import Embedder
from wordspot.indexer.streams import Selection

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.25
_RESUMABLE = (OperationState.FAILED, OperationState.CANCELLED, OperationState.INTERRUPTED)


class Operations:
    """Runs indexing operations, each in a thread of its own."""

    def __init__(
        self,
        catalogue: Catalogue,
        home: Home,
        served: ServedArchives,
        locks: ArchiveLocks,
        *,
        ingest: Callable[[Embedder, Selection], Ingest],
        embedder_for: Callable[[str], Embedder],
        default_encoder: str,
        read_only: bool = False,
    ) -> None:
        """Marks operations of an earlier process as interrupted.

        Args:
            catalogue: of the home.
            home: where the segments lie.
            served: generations that are searched.
            locks: of the archives.
            ingest: makes what indexes with an embedder, and a selection of channels and tracks.
            embedder_for: by encoder name; raises NotFound.
            default_encoder: name, for archives without one.
            read_only: whether another process may run the operations.
        """
        self._catalogue = catalogue
        self._home = home
        self._served = served
        self._locks = locks
        self._ingest = ingest
        self._embedder_for = embedder_for
        self._default_encoder = default_encoder
        self._changed = threading.Condition()
        self._changes = 0
        self._running: dict[str, tuple[IndexingTask, threading.Thread]] = {}
        self._closing = False
        self._read_only = read_only
        if read_only:
            return
        running = Operation.state == OperationState.RUNNING
        with catalogue.reading() as session:
            any_running = session.scalar(select(Operation.id).where(running).limit(1)) is not None
        if any_running:
            with catalogue.writing() as session:
                session.execute(
                    update(Operation).where(running).values(state=OperationState.INTERRUPTED, updated=now())
                )

    def start(
        self,
        archive: str,
        encoder: str = "",
        request_id: str = "",
        *,
        channels: str = "",
        tracks: str = "",
        drop_missing: bool = False,
    ) -> OperationSummary:
        """Starts indexing what the archive's generation of an encoder and a selection lacks.

        An encoder other than the archive's, or with another hash, begins a new generation, as does another
        selection of channels and tracks; the old one serves until the new one is complete.

        Args:
            archive: its name.
            encoder: its name; empty for the archive's, or the default for an archive without one.
            request_id: a retry with the same id gets the first response; empty for none.
            channels: as in Selection; empty for the archive's, or the default for an archive without one.
            tracks: likewise.
            drop_missing: whether recordings that are searchable and cannot be read again are dropped.

        Raises:
            NotFound: if there is no such archive or encoder.
            InvalidInput: if channels or tracks are none that can be selected.
            FailedPrecondition: if the archive is busy, or recordings would be dropped.
        """
        Selection().changed(channels, tracks)  # raises
        fingerprint = f"index with {encoder!r}"
        if channels or tracks:
            fingerprint += f", channels {channels!r}, tracks {tracks!r}"
        running = self._running_ids()
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            earlier_request = lookups.answered_request(session, row, request_id, fingerprint)
            if earlier_request is not None:
                return progress.summary(
                    session, session.get_one(Operation, earlier_request.operation_number), running
                )
            serving = lookups.generation_in_state(session, row, GenerationState.SERVING)
        embedder = self._embedder_for(
            encoder or (serving.encoder if serving is not None else self._default_encoder)
        )

        if serving is not None and serving.encoder_info != embedder.info and not drop_missing:
            generations.check_readable(self._catalogue, self._home, serving)
        selection = (Selection() if serving is None else serving.selection).changed(channels, tracks)
        insert = partial(lookups.insert_operation, embedder.info.name, selection, request_id, fingerprint)
        return self._launch(archive, embedder, insert, drop_missing=drop_missing)

    def repair(self, archive: str) -> OperationSummary:
        """Starts indexing anew, from their files, the recordings of damaged segments.

        A recording whose file is missing or has changed gets a problem. What the archive's last operation has
        left to do, should it not have succeeded, is indexed as well: it may have been a repair.

        Raises:
            NotFound: if there is no such archive or encoder.
            FailedPrecondition: if the archive is busy or not indexed, or its encoder is another one now.
        """
        with self._catalogue.reading() as session:
            row = lookups.archive_by_name(session, archive)
            serving = lookups.generation_in_state(session, row, GenerationState.SERVING)
            last = session.scalars(
                select(Operation.state)
                .where(Operation.archive_id == row.id)
                .order_by(Operation.number.desc())
                .limit(1)
            ).first()
        if serving is None:
            raise FailedPrecondition(f"archive {archive!r} is not indexed yet")
        embedder = self._embedder_for(serving.encoder)
        if embedder.info != serving.encoder_info:
            raise FailedPrecondition(
                f"archive {archive!r} was indexed with encoder {serving.encoder!r} of hash "
                f"{serving.encoder_hash[:12]}; the one at hand has {embedder.info.hash[:12]}: index it again"
            )
        return self._launch(
            archive,
            embedder,
            partial(lookups.insert_operation, embedder.info.name, serving.selection, "", ""),
            repair=True,
            everything=last != OperationState.SUCCEEDED,
        )

    def resume(self, operation: str) -> OperationSummary:
        """Resumes a cancelled, failed or interrupted operation where it stopped.

        Raises:
            NotFound: if there is no such operation.
            FailedPrecondition: if it runs or has succeeded, or the archive is busy.
        """
        summary = self.get(operation)
        if summary.state not in _RESUMABLE:
            raise FailedPrecondition(
                f"operation {operation} is {summary.state}; only {', '.join(_RESUMABLE)} ones can be resumed"
            )

        def reset_operation(session: Session, archive: Archive) -> Operation:
            row = lookups.operation_by_id(session, operation)
            row.state = OperationState.RUNNING
            row.problem = None
            row.recordings_failed = 0
            row.updated = now()
            return row

        return self._launch(summary.archive, self._embedder_for(summary.encoder), reset_operation)

    def interrupted(self) -> tuple[str, ...]:
        """Returns the last operation of each archive, by id, if its process ended before it."""
        return progress.interrupted(self._catalogue)

    def get(self, operation: str) -> OperationSummary:
        """Returns an operation. Raises NotFound."""
        running = self._running_ids()
        with self._catalogue.reading() as session:
            return progress.summary(session, lookups.operation_by_id(session, operation), running)

    def page(self, archive: str, after: str = "", limit: int = DEFAULT_PAGE_ITEMS) -> Page[OperationSummary]:
        """Returns a page of an archive's operations in order of starting.

        Args:
            archive: its name.
            after: the `next` of the page before.
            limit: operations a page, 1 to MAX_PAGE_ITEMS.

        Raises:
            NotFound: if there is no such archive.
            InvalidInput: if `after` or `limit` is not valid.
        """
        return progress.page(self._catalogue, archive, after, limit, self._running_ids())

    def watch(
        self, operation: str, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[OperationSummary]:
        """Yields the operation now and whenever it has changed, until it has ended.

        Args:
            operation: its id.
            stopped: called several times a second; the iteration ends once it returns true.

        Raises:
            NotFound: if there is no such operation.
        """
        last: OperationSummary | None = None
        while True:
            changes = self._changes
            summary = self.get(operation)
            if summary != last:
                yield summary
            if summary.ended or stopped():
                return
            last = summary
            with self._changed:
                if self._changes == changes:
                    self._changed.wait(_POLL_INTERVAL_S)

    def cancel(self, operation: str) -> OperationSummary:
        """Requests that the operation stops; what is committed remains. Does nothing to an ended one."""
        running = self._running.get(operation)
        if running is not None:
            running[0].cancelled.set()
        return self.get(operation)

    def close(self) -> None:
        """Interrupts running operations and waits for them. None can be started afterwards."""
        with self._changed:
            self._closing = True
            running = list(self._running.values())
        for task, _ in running:
            task.cancelled.set()
        for _, thread in running:
            thread.join()

    def _running_ids(self) -> frozenset[str]:
        """Returns the ids of running operations. To be called before the catalogue is read, where they end
        first."""
        if self._read_only:
            return progress.running_elsewhere(self._catalogue, self._home)
        with self._changed:
            return frozenset(self._running)

    def _launch(
        self,
        archive: str,
        embedder: Embedder,
        enter_row: Callable[[Session, Archive], Operation],
        *,
        repair: bool = False,
        everything: bool = True,
        drop_missing: bool = False,
    ) -> OperationSummary:
        """Starts indexing what the archive's generation lacks; unless `everything`, only what damaged
        segments held. A repair takes damaged segments out even where recordings are lost."""
        self._home.ensure_room()
        self._locks.acquire(archive, "indexing")
        try:
            abandoned: list[str] = []
            with self._catalogue.writing() as session:
                row = lookups.archive_by_name(session, archive)
                operation = enter_row(session, row)
                task = planned(
                    session,
                    self._home,
                    row,
                    operation,
                    embedder.info,
                    abandoned,
                    repair=repair,
                    everything=everything,
                )
                task = replace(task, drop_missing=drop_missing)
                retired: tuple[str, ...] = ()
                if task.generation.state == GenerationState.SERVING:
                    retired = retire(session, row.id, task.generation.id)
            for recording in retired:
                self._served.hide_recording(archive, recording)
            for name in abandoned:
                files.remove(self._home.segments / name)
            reach("index-started")
            thread = threading.Thread(
                target=self._run, args=(task, embedder), name=f"index-{archive}", daemon=True
            )
            with self._changed:
                if self._closing:
                    raise FailedPrecondition("the library is closing; nothing can be started")
                self._running[task.operation] = (task, thread)
            thread.start()
        except BaseException:
            self._locks.release(archive)
            raise
        return self.get(task.operation)

    def _run(self, task: IndexingTask, embedder: Embedder) -> None:
        state, problem = OperationState.FAILED, None
        try:
            sources = task.sources
            if task.reuses:
                sources = reuse(self._catalogue, self._home, self._served.of(task.archive), task)
            self._ingest(embedder, task.generation.selection).run(
                sources, partial(self._commit, task), task.cancelled
            )
            if not task.cancelled.is_set():
                generations.complete(
                    self._catalogue,
                    self._home,
                    self._served,
                    task.archive,
                    task.generation,
                    task.cancelled,
                    drop_missing=task.drop_missing,
                )
                state = OperationState.SUCCEEDED
            elif self._closing:
                state = OperationState.INTERRUPTED
            else:
                state = OperationState.CANCELLED
        except ArchiveError as error:
            problem = readable(str(error))
        except Exception as error:
            problem = str(files.disk_error(error) or "")
            if not problem:
                _log.exception("operation %s failed", task.operation)
                problem = f"internal error ({type(error).__name__}), see the log of the server"
        finally:
            self._end(task, state, problem)

    def _end(self, task: IndexingTask, state: OperationState, problem: str | None) -> None:
        """Ends an operation, which counts as running until it has left _running: then the archive is
        unlocked."""
        try:
            with self._catalogue.writing() as session:
                row = lookups.operation_by_id(session, task.operation)
                row.state, row.problem, row.updated = state, problem, now()
        except ArchiveError as error:
            # Without a thread it counts as interrupted, whatever its state in the catalogue.
            _log.warning("the end of operation %s could not be stored: %s", task.operation, error)
        except Exception:
            _log.exception("the end of operation %s could not be stored", task.operation)
        self._locks.release(task.archive)
        with self._changed:
            del self._running[task.operation]
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _commit(self, task: IndexingTask, batch: Batch) -> None:
        retired = generations.commit_batch(self._catalogue, task.operation, task.generation.id, batch)
        reach("batch-committed")
        if task.generation.state == GenerationState.SERVING:
            self._served.of(task.archive).refresh(hiding=retired)
        self._notify()
