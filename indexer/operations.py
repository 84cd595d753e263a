"""Indexing as an operation that can be watched, cancelled and resumed."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from wordspot.indexer import files, queries
from wordspot.indexer.catalogue import (
    Archive,
    Catalogue,
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
from wordspot.indexer.errors import ArchiveError, DataLoss, FailedPrecondition
from wordspot.indexer.faults import reach
from wordspot.indexer.home import Home
from wordspot.indexer.ingest import Batch, Ingest, Source
from wordspot.indexer.records import Embedder, EncoderInfo
from wordspot.indexer.segments import SegmentReader
from wordspot.indexer.serving import ServedArchives
from wordspot.indexer.summaries import OperationSummary, Page

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_RESUMABLE = (OperationState.FAILED, OperationState.CANCELLED, OperationState.INTERRUPTED)


class Busy:
    """One change of an archive's segments at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what: dict[str, str] = {}

    def claim(self, archive: str, what: str) -> None:
        """Raises FailedPrecondition if the archive is claimed."""
        with self._lock:
            if archive in self._what:
                raise FailedPrecondition(
                    f"archive {archive!r} is busy with {self._what[archive]}; {what} has to wait for its end"
                )
            self._what[archive] = what

    def release(self, archive: str) -> None:
        with self._lock:
            del self._what[archive]

    @contextmanager
    def claimed(self, archive: str, what: str) -> Iterator[None]:
        self.claim(archive, what)
        try:
            yield
        finally:
            self.release(archive)


@dataclass(frozen=True)
class _Task:
    """An operation that a thread works on. sources: what is left to index."""

    operation: str
    archive: str
    generation: Generation
    sources: tuple[Source, ...]
    cancelled: threading.Event = field(default_factory=threading.Event)


class Operations:
    """Runs indexing operations, each in a thread of its own.

    ingest: the tools for a given embedder. embedder_for: by encoder name; raises NotFound.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        home: Home,
        served: ServedArchives,
        busy: Busy,
        *,
        ingest: Callable[[Embedder], Ingest],
        embedder_for: Callable[[str], Embedder],
        default_encoder: str,
    ) -> None:
        self._catalogue = catalogue
        self._home = home
        self._served = served
        self._busy = busy
        self._ingest = ingest
        self._embedder_for = embedder_for
        self._default_encoder = default_encoder
        self._changed = threading.Condition()
        self._changes = 0
        self._running: dict[str, tuple[_Task, threading.Thread]] = {}
        self._closing = False
        with catalogue.writing() as session:
            session.execute(
                update(Operation)
                .where(Operation.state == OperationState.RUNNING)
                .values(state=OperationState.INTERRUPTED, updated=now())
            )

    def start(self, archive: str, encoder: str = "", request_id: str = "") -> OperationSummary:
        """Indexes what the archive's generation of this encoder lacks.

        encoder: empty for the archive's, or the default for an archive without one. Another encoder, or
        the same with another hash, begins a new generation; the old one answers until it is complete.
        Raises NotFound, FailedPrecondition if the archive is busy.
        """
        meaning = f"index with {encoder!r}"
        running = self._now_running()
        with self._catalogue.reading() as session:
            row = queries.archive_named(session, archive)
            answered = queries.first_answer(session, row, request_id, meaning)
            if answered is not None:
                return _summary(session, session.get_one(Operation, answered.operation_number), running)
            serving = queries.generation_of(session, row, GenerationState.SERVING)
        name = encoder or (serving.encoder if serving is not None else self._default_encoder)
        embedder = self._embedder_for(name)

        def enter(session: Session, row: Archive) -> Operation:
            operation = Operation(
                id=uuid.uuid4().hex[:16],
                archive_id=row.id,
                encoder=name,
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
                        archive_id=row.id,
                        request_id=request_id,
                        meaning=meaning,
                        operation_number=operation.number,
                        already_present=False,
                    )
                )
            return operation

        return self._launch(archive, embedder, enter)

    def resume(self, operation: str) -> OperationSummary:
        """Goes on where a cancelled, failed or interrupted operation stopped.

        Raises NotFound, FailedPrecondition if it runs or has succeeded or the archive is busy.
        """
        summary = self.get(operation)
        if summary.state not in _RESUMABLE:
            raise FailedPrecondition(
                f"operation {operation} is {summary.state}; only {', '.join(_RESUMABLE)} ones can be resumed"
            )

        def enter(session: Session, archive: Archive) -> Operation:
            found = queries.operation_called(session, operation)
            found.state = OperationState.RUNNING
            found.problem = None
            found.recordings_failed = 0
            found.updated = now()
            return found

        return self._launch(summary.archive, self._embedder_for(summary.encoder), enter)

    def get(self, operation: str) -> OperationSummary:
        """Raises NotFound."""
        running = self._now_running()
        with self._catalogue.reading() as session:
            return _summary(session, queries.operation_called(session, operation), running)

    def page(self, archive: str, after: str = "", limit: int = 100) -> Page[OperationSummary]:
        """In order of starting. after: the `next` of the page before. limit: 1 to 1,000.

        Raises NotFound, InvalidInput.
        """
        running = self._now_running()
        with self._catalogue.reading() as session:
            row = queries.archive_named(session, archive)
            rows = session.scalars(
                select(Operation)
                .where(Operation.archive_id == row.id, Operation.number > queries.page_number(after))
                .order_by(Operation.number)
                .limit(queries.page_limit(limit) + 1)
            ).all()
            items = tuple(_summary(session, each, running) for each in rows[:limit])
        return Page(items, str(rows[limit - 1].number) if len(rows) > limit else "")

    def watch(
        self, operation: str, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[OperationSummary]:
        """The operation now and whenever it has changed, until it has ended.

        stopped: asked several times a second; the iteration ends once it returns true.
        Raises NotFound.
        """
        last: OperationSummary | None = None
        while True:
            seen = self._changes
            summary = self.get(operation)
            if summary != last:
                yield summary
            if summary.ended or stopped():
                return
            last = summary
            with self._changed:
                if self._changes == seen:
                    self._changed.wait(_LOOK_SECONDS)

    def cancel(self, operation: str) -> OperationSummary:
        """Asks the operation to stop; what is committed stays. Does nothing to an ended one."""
        running = self._running.get(operation)
        if running is not None:
            running[0].cancelled.set()
        return self.get(operation)

    def close(self) -> None:
        """Interrupts what runs and waits for it. Nothing can be started afterwards."""
        with self._changed:
            self._closing = True
            running = list(self._running.values())
        for task, _ in running:
            task.cancelled.set()
        for _, thread in running:
            thread.join()

    def _now_running(self) -> frozenset[str]:
        """To be asked before the catalogue: an operation ends there first and leaves here afterwards."""
        with self._changed:
            return frozenset(self._running)

    def _launch(
        self, archive: str, embedder: Embedder, enter: Callable[[Session, Archive], Operation]
    ) -> OperationSummary:
        self._busy.claim(archive, "indexing")
        try:
            abandoned: list[str] = []
            with self._catalogue.writing() as session:
                row = queries.archive_named(session, archive)
                operation = enter(session, row)
                generation = self._generation(session, row, embedder.info, abandoned)
                sources = self._missing(session, row, generation)
                operation.recordings_total = operation.recordings_done + len(sources)
            for name in abandoned:
                files.remove(self._home.segments / name)
            reach("index-started")
            task = _Task(operation.id, archive, generation, sources)
            thread = threading.Thread(
                target=self._run, args=(task, embedder), name=f"index-{archive}", daemon=True
            )
            with self._changed:
                if self._closing:
                    raise FailedPrecondition("the library is closing; nothing can be started")
                self._running[operation.id] = (task, thread)
            thread.start()
        except BaseException:
            self._busy.release(archive)
            raise
        return self.get(operation.id)

    def _generation(
        self, session: Session, archive: Archive, info: EncoderInfo, abandoned: list[str]
    ) -> Generation:
        """The generation to index into; segments that no generation holds any more go to abandoned."""
        serving = queries.generation_of(session, archive, GenerationState.SERVING)
        building = queries.generation_of(session, archive, GenerationState.BUILDING)
        for generation in (serving, building):
            if generation is not None and queries.encoder_of(generation) == info:
                abandoned.extend(self._drop_damaged(session, generation))
                return generation
        if building is not None:
            abandoned.extend(
                session.scalars(select(Segment.name).where(Segment.generation_id == building.id))
            )
            session.execute(delete(Generation).where(Generation.id == building.id))
        state = GenerationState.SERVING if serving is None else GenerationState.BUILDING
        generation = Generation(
            archive_id=archive.id,
            encoder=info.name,
            encoder_hash=info.hash,
            dimension=info.dimension,
            frame_dimension=info.frame_dimension,
            ticks_per_frame=info.ticks_per_frame,
            state=state,
        )
        session.add(generation)
        session.flush()
        return generation

    def _drop_damaged(self, session: Session, generation: Generation) -> list[str]:
        """Takes segments that cannot be opened out of the generation: their recordings are indexed again."""
        damaged = []
        for segment in session.scalars(select(Segment).where(Segment.generation_id == generation.id)):
            try:
                SegmentReader.open(self._home.segments / segment.name, segment.manifest_sha256)
            except DataLoss as error:
                _log.warning("indexing anew what a damaged segment held: %s", error)
                damaged.append(segment.name)
        session.execute(delete(Segment).where(Segment.name.in_(damaged)))
        return damaged

    def _missing(self, session: Session, archive: Archive, generation: Generation) -> tuple[Source, ...]:
        present = select(IndexedRecording.recording_number).where(
            IndexedRecording.generation_id == generation.id
        )
        rows = session.scalars(
            select(Recording)
            .where(
                Recording.archive_id == archive.id,
                Recording.deleted_at.is_(None),
                Recording.number.not_in(present),
            )
            .order_by(Recording.number)
        )
        return tuple(Source(row.id, self._home.locate(row.location), row.size) for row in rows)

    def _run(self, task: _Task, embedder: Embedder) -> None:
        state, problem = OperationState.FAILED, None
        try:
            self._ingest(embedder).run(task.sources, lambda batch: self._commit(task, batch), task.cancelled)
            if not task.cancelled.is_set():
                self._complete(task)
                state = OperationState.SUCCEEDED
            elif self._closing:
                state = OperationState.INTERRUPTED
            else:
                state = OperationState.CANCELLED
        except ArchiveError as error:
            problem = str(error)
        except Exception as error:
            _log.exception("operation %s failed", task.operation)
            problem = f"internal error ({type(error).__name__}), see the log of the server"
        finally:
            self._end(task, state, problem)

    def _end(self, task: _Task, state: OperationState, problem: str | None) -> None:
        """The operation counts as running until it has left _running: by then the archive is free."""
        try:
            with self._catalogue.writing() as session:
                row = queries.operation_called(session, task.operation)
                row.state, row.problem, row.updated = state, problem, now()
        except Exception:
            # Without a thread it counts as interrupted, whatever the catalogue says.
            _log.exception("the end of operation %s could not be noted", task.operation)
        self._busy.release(task.archive)
        with self._changed:
            del self._running[task.operation]
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _commit(self, task: _Task, batch: Batch) -> None:
        with self._catalogue.writing() as session:
            operation = queries.operation_called(session, task.operation)
            if batch.segment is not None:
                queries.enter_segment(session, task.generation.id, batch.segment)
                for recording, seconds in zip(batch.segment.recordings, batch.seconds, strict=True):
                    session.execute(
                        update(Recording)
                        .where(Recording.id == recording)
                        .values(seconds=seconds, problem=None)
                    )
                operation.recordings_done += len(batch.segment.recordings)
                operation.spans_done += sum(batch.segment.spans)
            for recording, problem in batch.problems.items():
                row = session.scalars(select(Recording).where(Recording.id == recording)).one()
                # The caller knows an upload by its name, not by where it is kept.
                row.problem = problem.replace(str(self._home.locate(row.location)), row.path)
            operation.audio_seconds_done += sum(batch.seconds)
            operation.recordings_failed += len(batch.problems)
            operation.updated = now()
        reach("batch-committed")
        if task.generation.state == GenerationState.SERVING:
            self._served.of(task.archive).refresh()
        self._notify()

    def _complete(self, task: _Task) -> None:
        """Brings the index up to date and, for a new generation, lets it answer instead of the old."""
        if task.generation.state == GenerationState.SERVING:
            served = self._served.of(task.archive)
            served.refresh()
            served.save()
            return
        served = self._served.prepare(task.archive, task.generation)
        served.refresh()
        served.save()
        reach("generation-ready")
        with self._served.promotion(task.archive), self._catalogue.writing() as session:
            archive = queries.archive_named(session, task.archive)
            old = queries.generation_of(session, archive, GenerationState.SERVING)
            assert old is not None
            names = session.scalars(select(Segment.name).where(Segment.generation_id == old.id)).all()
            session.execute(delete(Generation).where(Generation.id == old.id))
            session.execute(
                update(Generation)
                .where(Generation.id == task.generation.id)
                .values(state=GenerationState.SERVING)
            )
        reach("generation-swapped")
        for name in names:
            files.remove(self._home.segments / name)
        files.remove(self._home.cache_of(old.id))


def _summary(session: Session, row: Operation, running: frozenset[str]) -> OperationSummary:
    archive = session.get_one(Archive, row.archive_id)
    return queries.summary_of_operation(archive.name, row, row.id in running)
