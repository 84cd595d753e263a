"""The archives of one home directory: everything the services ask of storage.

What a method has returned survives a crash; what was under way is absent or can be resumed.
"""

from __future__ import annotations

import math
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from wordspot.indexer import compaction, files, queries
from wordspot.indexer.catalogue import (
    Archive,
    Catalogue,
    Generation,
    GenerationState,
    Recording,
    Request,
    Segment,
    now,
)
from wordspot.indexer.errors import (
    AlreadyExists,
    ArchiveError,
    DataLoss,
    FailedPrecondition,
    InvalidInput,
    NotAllowed,
    NotFound,
)
from wordspot.indexer.faults import reach
from wordspot.indexer.home import Home
from wordspot.indexer.ingest import BatchLimits, Ingest, changed
from wordspot.indexer.operations import Busy, Operations
from wordspot.indexer.records import Embedder, Samples, Segmenter
from wordspot.indexer.segments import verify
from wordspot.indexer.serving import ServedArchives
from wordspot.indexer.summaries import (
    ArchiveSummary,
    CompactionSummary,
    OperationSummary,
    Page,
    RecordingSummary,
)
from wordspot.indexer.uploads import Upload, safe_suffix
from wordspot.indexer.vectors.choice import IndexPolicy
from wordspot.indexer.view import ArchiveView

if TYPE_CHECKING:
    from wordspot.indexer.audio import AudioInfo, Decoder

LONGEST_CLIP_SECONDS = 60.0
LOOKING_AT_ONCE, LOOKED_AHEAD = 4, 8  # files to be added
ADDED_AT_ONCE, ADDING_SECONDS = 256, 1.0  # a transaction holds so many files, or as many as took so long
Looked = TypeVar("Looked")
INSPECTED_SECONDS = 1.0  # read to its end: breaking off a decoder in a child process costs the child
_ARCHIVE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


# What a request to add something leads to; true where the content was there already.
Added = tuple[RecordingSummary, bool]
_Entry = tuple[Recording, bool]


@dataclass(frozen=True)
class Addition:
    """A file to be added. request_id: a retry with the same id gets the first answer; empty for none."""

    path: Path
    request_id: str = ""

    @property
    def meaning(self) -> str:
        return f"add {self.path}"


@dataclass(frozen=True)
class _Content:
    """A recording about to be entered; columns as in the catalogue."""

    path: str
    location: str
    sha256: str
    size: int
    info: AudioInfo
    request_id: str
    meaning: str


class Library:
    """Opens the home, making it where needed, and removes what a crash left behind.

    database_url: a SQLAlchemy URL, None for a SQLite file in the home. decoder: also used on files
    that clients send. embedder_for: by encoder name; raises NotFound. roots: `add_path` takes files
    below these only. max_recording_seconds, max_upload_bytes: limits on one recording. workers: threads
    of an indexing operation.

    Raises FailedPrecondition if the home is in use or belongs to another catalogue.
    """

    def __init__(
        self,
        home: Path,
        *,
        database_url: str | None = None,
        decoder: Decoder,
        segmenter: Segmenter,
        embedder_for: Callable[[str], Embedder],
        default_encoder: str,
        roots: Sequence[Path],
        index: IndexPolicy | None = None,
        max_recording_seconds: float = 24 * 3600,
        max_upload_bytes: int = 8 * 2**30,
        workers: int = 2,
        limits: BatchLimits | None = None,
    ) -> None:
        self._decoder = decoder
        self._roots = tuple(root.resolve() for root in roots)
        self._max_seconds = max_recording_seconds
        self._max_upload = max_upload_bytes
        self._busy = Busy()
        # Held while uploaded files and the recordings that refer to them change together.
        self._audio = threading.Lock()
        with ExitStack() as opening:
            self._home = opening.enter_context(closing(Home(home)))
            self._catalogue = opening.enter_context(
                closing(Catalogue(database_url or self._home.database_url))
            )
            self._home.bind(self._catalogue)
            self._home.sweep(self._catalogue)
            opening.pop_all()
        self._served = ServedArchives(self._catalogue, self._home, index or IndexPolicy())
        self.operations = Operations(
            self._catalogue,
            self._home,
            self._served,
            self._busy,
            ingest=lambda embedder: Ingest(
                decoder=decoder,
                segmenter=segmenter,
                embedder=embedder,
                segments=self._home.segments,
                max_seconds=max_recording_seconds,
                workers=workers,
                limits=limits or BatchLimits(),
            ),
            embedder_for=embedder_for,
            default_encoder=default_encoder,
        )

    def close(self) -> None:
        """Interrupts operations, waits for them and lets go of the home."""
        self.operations.close()
        self._catalogue.close()
        self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Archives

    def create_archive(self, name: str) -> ArchiveSummary:
        """Raises InvalidInput for a name that is not allowed, AlreadyExists."""
        if not _ARCHIVE_NAME.fullmatch(name):
            raise InvalidInput(
                f"archive name {name!r}; allowed are 1 to 64 letters, digits and ._- beginning with a "
                "letter or digit"
            )
        with self._catalogue.writing() as session:
            if session.scalars(select(Archive).where(Archive.name == name)).one_or_none() is not None:
                raise AlreadyExists(f"archive {name!r} exists")
            archive = Archive(name=name, created=now())
            session.add(archive)
            session.flush()
            return self._archive_summary(session, archive)

    def get_archive(self, name: str) -> ArchiveSummary:
        """Raises NotFound."""
        with self._catalogue.reading() as session:
            return self._archive_summary(session, queries.archive_named(session, name))

    def list_archives(self, after: str = "", limit: int = 100) -> Page[ArchiveSummary]:
        """By name. after: the `next` of the page before. limit: 1 to 1,000."""
        with self._catalogue.reading() as session:
            rows = session.scalars(
                select(Archive)
                .where(Archive.name > after)
                .order_by(Archive.name)
                .limit(queries.page_limit(limit) + 1)
            ).all()
            items = tuple(self._archive_summary(session, row) for row in rows[:limit])
        return Page(items, items[-1].name if len(rows) > limit else "")

    def delete_archive(self, name: str) -> None:
        """Raises NotFound, FailedPrecondition if it is being indexed or compacted."""
        with self._busy.claimed(name, "deletion"), self._audio:
            with self._catalogue.writing() as session:
                archive = queries.archive_named(session, name)
                generations = session.scalars(
                    select(Generation.id).where(Generation.archive_id == archive.id)
                ).all()
                segments = session.scalars(
                    select(Segment.name).where(Segment.generation_id.in_(generations))
                ).all()
                locations = session.scalars(
                    select(Recording.location).where(Recording.archive_id == archive.id)
                ).all()
                session.execute(delete(Archive).where(Archive.id == archive.id))
            reach("archive-deleted")
            self._served.drop(name)
            for segment in segments:
                files.remove(self._home.segments / segment)
            for generation in generations:
                files.remove(self._home.cache_of(generation))
            for location in locations:
                self._remove_unreferenced(location)

    def compact(self, name: str) -> CompactionSummary:
        """Merges segments and drops what was deleted.

        Raises NotFound, FailedPrecondition if it was never indexed or is busy, DataLoss, Exhausted.
        """
        with self._busy.claimed(name, "compaction"):
            return compaction.compact(self._catalogue, self._home, self._served.of(name))

    def verify(self, name: str) -> tuple[str, ...]:
        """Reads every byte of the archive's segments and returns what is wrong; empty if nothing is.

        Raises NotFound.
        """
        with self._catalogue.reading() as session:
            archive = queries.archive_named(session, name)
            segments = session.execute(
                select(Segment.name, Segment.manifest_sha256)
                .join(Generation, Generation.id == Segment.generation_id)
                .where(Generation.archive_id == archive.id)
                .order_by(Segment.id)
            ).all()
        problems = []
        for segment, sha256 in segments:
            try:
                verify(self._home.segments / segment, sha256)
            except DataLoss as error:
                problems.append(str(error))
        return tuple(problems)

    def view(self, archive: str) -> ArchiveView:
        """The searchable state of now. Does not wait once the archive has been searched or indexed.

        Raises NotFound, FailedPrecondition if it was never indexed, DataLoss.
        """
        return self._served.of(archive).view()

    # Recordings

    def add_path(self, archive: str, path: Path, request_id: str = "") -> Added:
        """Adds a file where it lies. Returns the recording, and whether its content was there already.

        request_id: a retry with the same id gets the first answer; empty for none.
        Raises NotFound, InvalidInput if the path is relative, unreadable or not audio, NotAllowed outside
        the roots.
        """
        ((answer,),) = self.add_paths(archive, [Addition(path, request_id)])
        if isinstance(answer, InvalidInput):
            raise answer
        return answer

    def add_paths(
        self, archive: str, additions: Sequence[Addition]
    ) -> Iterator[Sequence[Added | InvalidInput]]:
        """Adds files where they lie, several a transaction. Each transaction's answers come once it is
        committed, in order: what `add_path` returns, or the InvalidInput that it raises.

        Anything else that `add_path` raises ends the iteration, once what came before is committed and
        answered.
        """
        for looked_at in self._looked_at(archive, additions):
            entered: Iterator[Added | InvalidInput] = iter(())
            if contents := [each for each in looked_at if isinstance(each, _Content)]:
                with self._audio:
                    entered = iter(self._enter(archive, contents))
                reach("add-committed")
            yield [next(entered) if isinstance(each, _Content) else each for each in looked_at]

    def begin_upload(
        self, archive: str, filename: str, sha256: str, size: int, request_id: str = ""
    ) -> Upload:
        """A place for the bytes of a client's file: write the chunks, then `finish`, or `abort`.

        filename: for people; its ending hints at the format. sha256: hexadecimal. size in bytes.
        Raises NotFound, InvalidInput, Exhausted.
        """
        if not _SHA256.fullmatch(sha256.lower()):
            raise InvalidInput(f"SHA-256 {sha256!r}; 64 hexadecimal digits are needed")
        if not 0 < size <= self._max_upload:
            raise InvalidInput(f"a file of {size} bytes; allowed are 1 to {self._max_upload}")
        sha256 = sha256.lower()
        name = _text(filename, "file name")
        meaning = f"upload {sha256}"
        with self._catalogue.reading() as session:
            queries.first_answer(session, queries.archive_named(session, archive), request_id, meaning)
        return Upload(
            self._home.uploads,
            name,
            sha256,
            size,
            partial(self._accept, archive, name, sha256, size, request_id, meaning),
        )

    def get_recording(self, archive: str, recording: str) -> RecordingSummary:
        """Raises NotFound."""
        with self._catalogue.reading() as session:
            row = queries.archive_named(session, archive)
            return queries.summary_of_recording(session, row, queries.recording_of(session, row, recording))

    def list_recordings(self, archive: str, after: str = "", limit: int = 100) -> Page[RecordingSummary]:
        """In order of adding. after: the `next` of the page before. limit: 1 to 1,000.

        Raises NotFound, InvalidInput.
        """
        with self._catalogue.reading() as session:
            row = queries.archive_named(session, archive)
            rows = session.scalars(
                select(Recording)
                .where(
                    Recording.archive_id == row.id,
                    Recording.deleted_at.is_(None),
                    Recording.number > queries.page_number(after),
                )
                .order_by(Recording.number)
                .limit(queries.page_limit(limit) + 1)
            ).all()
            items = queries.summaries_of_recordings(session, row, rows[:limit])
        return Page(items, str(rows[limit - 1].number) if len(rows) > limit else "")

    def delete_recording(self, archive: str, recording: str) -> None:
        """Gone from every search that begins afterwards; its vectors go with compaction. Raises NotFound."""
        with self._audio:
            with self._catalogue.writing() as session:
                row = queries.recording_of(session, queries.archive_named(session, archive), recording)
                row.deleted_at = now()
                session.execute(delete(Request).where(Request.recording_number == row.number))
            reach("recording-deleted")
            self._served.forget(archive, recording)
            self._remove_unreferenced(row.location)

    def clip(self, archive: str, recording: str, start: float, end: float) -> Samples:
        """The sound of the seconds [start, end), at most LONGEST_CLIP_SECONDS; (samples,) at 16 kHz.

        An end after the recording's is the recording's.
        Raises NotFound, InvalidInput, FailedPrecondition if the file has vanished or changed.
        """
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise InvalidInput(f"clip from {start} to {end} s; needed is 0 <= start < end")
        if end - start > LONGEST_CLIP_SECONDS:
            raise InvalidInput(f"clip of {end - start:g} s; at most {LONGEST_CLIP_SECONDS:g} s are allowed")
        with self._catalogue.reading() as session:
            row = queries.recording_of(session, queries.archive_named(session, archive), recording)
        path = self._home.locate(row.location)
        problem = changed(path, row.size)
        if problem is not None:
            raise FailedPrecondition(problem.replace(str(path), row.path))
        return self._decoder.read_stretch(path, start, end, max_seconds=2 * LONGEST_CLIP_SECONDS)

    # Operations

    def start_index(self, archive: str, encoder: str = "", request_id: str = "") -> OperationSummary:
        """See Operations.start."""
        return self.operations.start(archive, encoder, request_id)

    def get_operation(self, operation: str) -> OperationSummary:
        """Raises NotFound."""
        return self.operations.get(operation)

    def list_operations(self, archive: str, after: str = "", limit: int = 100) -> Page[OperationSummary]:
        """See Operations.page."""
        return self.operations.page(archive, after, limit)

    def watch_operation(
        self, operation: str, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[OperationSummary]:
        """See Operations.watch."""
        return self.operations.watch(operation, stopped)

    def cancel_operation(self, operation: str) -> OperationSummary:
        """See Operations.cancel."""
        return self.operations.cancel(operation)

    def resume_operation(self, operation: str) -> OperationSummary:
        """See Operations.resume."""
        return self.operations.resume(operation)

    def _archive_summary(self, session: Session, archive: Archive) -> ArchiveSummary:
        summary = queries.summary_of_archive(session, archive)
        generation = queries.generation_of(session, archive, GenerationState.SERVING)
        if generation is None:
            return summary
        cached = sum(path.stat().st_size for path in self._home.cache_of(generation.id).glob("index.*"))
        return replace(summary, size=summary.size + cached)

    def _allowed(self, path: Path) -> Path:
        """The file with links resolved. What lies outside the roots is refused before it is looked at."""
        if not path.is_absolute():
            raise InvalidInput(f"path {str(path)!r} is relative; an absolute path is needed")
        location = Path(_text(str(Path(_text(str(path), "path")).resolve()), "path"))
        if not any(location.is_relative_to(root) for root in self._roots):
            raise NotAllowed(f"{path} does not lie below a folder that this server may read")
        if not location.is_file():
            raise NotFound(f"no file {path}")
        return location

    def _inspected(self, path: Path) -> AudioInfo:
        """Raises InvalidInput unless the beginning of the file decodes."""
        info = self._decoder.probe(path)
        self._decoder.read_stretch(path, 0.0, INSPECTED_SECONDS, max_seconds=self._max_seconds)
        return info

    def _looked_at(
        self, archive: str, additions: Sequence[Addition]
    ) -> Iterator[list[_Content | Added | InvalidInput]]:
        """In lots for a transaction each: what is to be entered, what was answered before, what is wrong."""
        answers = self._answers(archive, additions)
        lot: list[_Content | Added | InvalidInput] = []
        began = time.monotonic()

        def look(addition: Addition) -> _Content | Added:
            return _first_answer(answers, addition) or self._content(addition)

        with ThreadPoolExecutor(LOOKING_AT_ONCE, thread_name_prefix="adding") as pool:
            for looked in _ahead(pool, look, additions):
                try:
                    lot.append(looked.result())
                except InvalidInput as error:
                    lot.append(error)
                except ArchiveError:
                    if lot:
                        yield lot
                    raise
                if len(lot) >= ADDED_AT_ONCE or time.monotonic() - began >= ADDING_SECONDS:
                    yield lot
                    lot, began = [], time.monotonic()
        if lot:
            yield lot

    def _answers(self, archive: str, additions: Sequence[Addition]) -> dict[str, tuple[str, Added | None]]:
        """What was meant and answered before, by request id. None for what was no addition."""
        with self._catalogue.reading() as session:
            row = queries.archive_named(session, archive)
            asked = queries.first_answers(session, row, [addition.request_id for addition in additions])
            return {
                request_id: (
                    request.meaning,
                    None if request.recording_number is None else self._answer(session, row, request),
                )
                for request_id, request in asked.items()
            }

    def _content(self, addition: Addition) -> _Content:
        """Reads the file, whole for its checksum. Raises as `add_path`."""
        path, location = addition.path, self._allowed(addition.path)
        try:
            sha256, size = files.sha256_of(location), location.stat().st_size
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        content = _Content(
            path=str(path),
            location=str(location),
            sha256=sha256,
            size=size,
            info=self._inspected(location),
            request_id=addition.request_id,
            meaning=addition.meaning,
        )
        reach("add-inspected")
        return content

    def _accept(
        self, archive: str, filename: str, sha256: str, size: int, request_id: str, meaning: str, path: Path
    ) -> Added:
        """Takes in a complete upload: file in place first, then the catalogue."""
        try:
            info = self._inspected(path)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace(str(path), filename)) from None
        name = f"{sha256}{safe_suffix(filename)}"
        location = self._home.uploaded(name)
        content = _Content(filename, location, sha256, size, info, request_id, meaning)
        with self._audio:
            try:
                with files.storing("keeping an upload"):
                    files.replace_durably(path, self._home.audio / name)
                    reach("upload-renamed")
                (entered,) = self._enter(archive, [content])
                if isinstance(entered, InvalidInput):
                    raise entered
            except ArchiveError:
                self._remove_unreferenced(location)
                raise
            self._remove_unreferenced(location)
        reach("upload-committed")
        return entered

    def _enter(self, archive: str, contents: Sequence[_Content]) -> list[Added | InvalidInput]:
        """Enters all in one transaction. InvalidInput for a request id that was used with another meaning."""
        with self._catalogue.writing() as session:
            row = queries.archive_named(session, archive)
            known = queries.live_by_content(session, row, [content.sha256 for content in contents])
            meanings, entries = _remembered(session, row, contents)
            new: list[_Content] = []
            outcomes: list[_Entry | InvalidInput] = []
            for content in contents:
                request_id = content.request_id
                try:
                    queries.check_meaning(
                        request_id, meanings.get(request_id, content.meaning), content.meaning
                    )
                except InvalidInput as error:
                    outcomes.append(error)
                    continue
                entry = entries.get(request_id) or self._entered(session, row, content, known)
                outcomes.append(entry)
                if request_id and request_id not in entries:
                    entries[request_id], meanings[request_id] = entry, content.meaning
                    new.append(content)
            session.flush()
            session.add_all(_request(row, content, entries[content.request_id]) for content in new)
            recordings = [outcome[0] for outcome in outcomes if not isinstance(outcome, InvalidInput)]
            summaries = iter(queries.summaries_of_recordings(session, row, recordings))
            return [
                outcome if isinstance(outcome, InvalidInput) else (next(summaries), outcome[1])
                for outcome in outcomes
            ]

    def _entered(
        self, session: Session, archive: Archive, content: _Content, known: dict[str, Recording]
    ) -> _Entry:
        """The recording of this content. known: by SHA-256; a new one is added to it."""
        recording = known.get(content.sha256)
        if recording is None:
            recording = known[content.sha256] = _recording(archive, content)
            session.add(recording)
            return recording, False
        if changed(self._home.locate(recording.location), recording.size) is not None:
            # The file it was added from is gone: from now on the same content is read from here.
            recording.path, recording.location = content.path, content.location
        return recording, True

    def _answer(self, session: Session, archive: Archive, request: Request) -> Added:
        recording = session.get_one(Recording, request.recording_number)
        return queries.summary_of_recording(session, archive, recording), request.already_present

    def _remove_unreferenced(self, location: str) -> None:
        """Removes an uploaded file that no recording refers to; files added by path are never touched."""
        if Path(location).is_absolute():
            return
        with self._catalogue.reading() as session:
            references = session.scalar(
                select(func.count()).where(Recording.location == location, Recording.deleted_at.is_(None))
            )
        if not references:
            files.remove(self._home.locate(location))


def _ahead(
    pool: ThreadPoolExecutor, look: Callable[[Addition], Looked], additions: Iterable[Addition]
) -> Iterator[Future[Looked]]:
    """In order, a few ahead of what is taken."""
    waiting: deque[Future[Looked]] = deque()
    for addition in additions:
        waiting.append(pool.submit(look, addition))
        if len(waiting) > LOOKED_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _first_answer(answers: dict[str, tuple[str, Added | None]], addition: Addition) -> Added | None:
    """Raises InvalidInput for an id that is too long or was used with another meaning."""
    queries.check_request_id(addition.request_id)
    meaning, answer = answers.get(addition.request_id, (addition.meaning, None))
    queries.check_meaning(addition.request_id, meaning, addition.meaning)
    return answer


def _remembered(
    session: Session, archive: Archive, contents: Sequence[_Content]
) -> tuple[dict[str, str], dict[str, _Entry]]:
    """What the request ids among these meant before, and to what recording that led, by id."""
    asked = queries.first_answers(session, archive, [content.request_id for content in contents])
    meanings = {request_id: request.meaning for request_id, request in asked.items()}
    entries = {
        request_id: (session.get_one(Recording, request.recording_number), request.already_present)
        for request_id, request in asked.items()
        if request.recording_number is not None
    }
    return meanings, entries


def _recording(archive: Archive, content: _Content) -> Recording:
    return Recording(
        id=uuid.uuid4().hex[:16],
        archive_id=archive.id,
        path=content.path,
        location=content.location,
        sha256=content.sha256,
        size=content.size,
        seconds=content.info.seconds,
        sample_rate=content.info.sample_rate,
        channels=content.info.channels,
        format=content.info.format,
        created=now(),
    )


def _request(archive: Archive, content: _Content, entry: _Entry) -> Request:
    """To remember the answer by; the recording has its number."""
    return Request(
        archive_id=archive.id,
        request_id=content.request_id,
        meaning=content.meaning,
        recording_number=entry[0].number,
        already_present=entry[1],
    )


def _text(value: str, what: str) -> str:
    """The value, if every database can hold it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} {value!r} is not valid UTF-8") from None
    if "\0" in value:
        raise InvalidInput(f"{what} {value!r} holds a NUL character")
    return value
