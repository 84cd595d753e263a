"""wordspot from Python, with a server or without one.

    with Client() as wordspot:
        wordspot.index(["recordings/"])
        for hit in wordspot.search("query.wav"):
            print(hit.path, hit.start, hit.end, hit.score)

Errors of the service are raised as the exceptions they were: the classes of wordspot.indexer.errors and
wordspot.services.errors.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wordspot.indexer.errors import AlreadyExists, InvalidInput, NotFound
from wordspot.indexer.records import Hit, Mode
from wordspot.services import settings
from wordspot.services.errors import PeerUnavailable, ServiceError, translated
from wordspot.services.runtime import (
    MAX_CHUNK_BYTES,
    MAX_EXAMPLES,
    MAX_QUERY_BYTES,
    MAX_SPEAKERS,
    chunks,
    open_channel,
)
from wordspot.v1 import (
    archive_pb2,
    archive_pb2_grpc,
    audio_pb2,
    embedding_pb2,
    embedding_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

_SUFFIXES = (
    "wav wave w64 rf64 flac ogg oga opus mp3 aif aiff aifc caf au snd "
    "m4a m4b mp4 m4v mov aac ac3 amr ape wv tta wma webm mkv mka avi 3gp mpg mpeg flv"
)
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
MODES = {
    Mode.SOUND: search_pb2.SEARCH_MODE_SOUND,
    Mode.MEANING: search_pb2.SEARCH_MODE_MEANING,
    Mode.BOTH: search_pb2.SEARCH_MODE_BOTH,
}
CONTEXT_SECONDS = 5.0  # sent on either side of a stretch of a file, for normalisation
UPLOAD_ATTEMPTS, UPLOAD_PAUSE = 3, 0.5  # seconds, doubled each time
LONGEST_LABEL = 100  # characters of what was typed, so that an error keeps its reason
PAGE = 1_000
ADDED_AT_ONCE = 1_000  # paths in a call


class IndexingEnded(ServiceError):  # noqa: N818
    """An indexing operation ended before it was done; what was committed stays."""


@dataclass(frozen=True)
class FileQuery:
    """A local file, or the seconds [start, end) of it: the rest then serves as context."""

    path: Path
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class StoredQuery:
    """The seconds [start, end) of a recording in the archive."""

    recording: str
    start: float
    end: float


@dataclass(frozen=True)
class TypedQuery:
    """Words that a synthesiser says, for want of a recording. language: as espeak-ng names it, `en-us`.

    speakers: so many voices say it, 1 to 8.
    """

    text: str
    language: str = "en"
    speakers: int = 4


Example = str | Path | bytes | FileQuery | StoredQuery | TypedQuery
Query = Example | Sequence[Example]


@dataclass(frozen=True)
class Synthesis:
    """Who said a typed query. synthesiser: name and version. speakers: the voices by their names there."""

    synthesiser: str
    language: str
    speakers: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """compared: the stretch of the first example's audio that was compared, in seconds; the first is the
    first that is no StoredQuery, if there is one. threshold: the score from which a hit counts as detected.
    problem: why the query could not be answered, empty otherwise. synthesis: None for what people said."""

    hits: tuple[Hit, ...] = ()
    compared: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0
    threshold: float = 0.0
    problem: str = ""
    synthesis: Synthesis | None = None


@dataclass(frozen=True)
class Progress:
    """stage: "adding" counts files, "indexing" recordings."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class IndexReport:
    """added, present: files new to the archive and already in it. ignored: files in folders that are not
    audio by their names. problems: message by path. seconds: spent."""

    added: int
    present: int
    ignored: int
    problems: dict[str, str]
    operation: archive_pb2.Operation
    archive: archive_pb2.Archive
    seconds: float


class Client:
    """address: host:port of `wordspot serve`, None to work on the home directory without a server.

    home: None means WORDSPOT_HOME or ~/.wordspot. Raises FailedPrecondition if another process has it open.
    """

    def __init__(self, address: str | None = None, *, home: Path | None = None) -> None:
        with ExitStack() as closing:
            self._home = None
            self._default_encoder = ""
            if address is None:
                from wordspot.services.embedded import Embedded, Settings

                self._home = home or settings.home(os.environ)
                chosen = Settings.of_home(self._home, os.environ)
                self._default_encoder = chosen.searcher.default_encoder
                address = closing.enter_context(Embedded(chosen)).address
            self.address = address
            channel = open_channel(address)
            closing.callback(channel.close)
            self._archives = archive_pb2_grpc.ArchiveServiceStub(channel)
            self._searches = search_pb2_grpc.SearchServiceStub(channel)
            self._embedding = embedding_pb2_grpc.EmbeddingServiceStub(channel)
            self._closing = closing.pop_all()

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Archives

    def archives(self) -> Iterator[archive_pb2.Archive]:
        for page in self._pages(self._archives.ListArchives, archive_pb2.ListArchivesRequest()):
            yield from page.archives

    def archive(self, name: str = "default") -> archive_pb2.Archive:
        with translated(self.address):
            response: archive_pb2.GetArchiveResponse = self._archives.GetArchive(
                archive_pb2.GetArchiveRequest(name=name)
            )
        return response.archive

    def ensure_archive(self, name: str = "default") -> None:
        """Creates the archive unless there is one of that name."""
        try:
            with translated(self.address):
                self._archives.CreateArchive(archive_pb2.CreateArchiveRequest(name=name))
        except AlreadyExists:
            pass

    def delete_archive(self, name: str) -> None:
        with translated(self.address):
            self._archives.DeleteArchive(archive_pb2.DeleteArchiveRequest(name=name))

    def compact(self, name: str = "default") -> archive_pb2.CompactArchiveResponse:
        with translated(self.address):
            response: archive_pb2.CompactArchiveResponse = self._archives.CompactArchive(
                archive_pb2.CompactArchiveRequest(name=name)
            )
        return response

    # Recordings

    def recordings(self, archive: str = "default") -> Iterator[archive_pb2.Recording]:
        """In order of adding."""
        request = archive_pb2.ListRecordingsRequest(archive=archive)
        for page in self._pages(self._archives.ListRecordings, request):
            yield from page.recordings

    def add(self, path: str | Path, archive: str = "default") -> tuple[archive_pb2.Recording, bool]:
        """Puts a file into the archive: by path without a server, by upload with one.

        Returns the recording, and whether the archive held its content already.
        """
        path = Path(path).absolute()
        _check_path(path)
        if self._home is not None:
            request = archive_pb2.AddRecordingRequest(
                archive=archive, path=str(path), request_id=uuid.uuid4().hex
            )
            with translated(self.address):
                added: archive_pb2.AddRecordingResponse = self._archives.AddRecording(request)
            return added.recording, added.already_present
        return self._upload(path, archive)

    def delete(self, recording: str, archive: str = "default") -> None:
        with translated(self.address):
            self._archives.DeleteRecording(
                archive_pb2.DeleteRecordingRequest(archive=archive, recording=recording)
            )

    def clip(self, recording: str, start: float, end: float, archive: str = "default") -> bytes:
        """The seconds [start, end) as a 16-bit WAV file."""
        request = archive_pb2.GetClipRequest(
            archive=archive, recording=recording, interval=_interval(start, end)
        )
        with translated(self.address):
            return b"".join(response.chunk for response in self._archives.GetClip(request))

    def index(
        self,
        paths: Iterable[str | Path],
        archive: str = "default",
        encoder: str | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
    ) -> IndexReport:
        """Adds files and folders and makes them searchable. The archive is created where needed.

        A file that cannot be read as audio is reported and the rest goes on. encoder: None for the archive's
        own or the server's default. Raises IndexingEnded.
        """
        began = time.monotonic()
        if encoder is not None and self._home is not None:
            _check_encoder(encoder, self._home)
        files, ignored = audio_files(paths)
        self.ensure_archive(archive)
        self._load_ahead(encoder, archive)
        problems: dict[str, str] = {}
        entered: list[tuple[str, Path, bool]] = []
        progress(Progress("adding", 0, len(files)))
        for done, (path, added) in enumerate(self._added(files, archive), 1):
            if isinstance(added, InvalidInput):
                problems[_printable(path)] = str(added)
            else:
                recording, known = added
                entered.append((recording.id, path, known))
            progress(Progress("adding", done, len(files)))
        progress(Progress("adding", len(files), len(files)))
        operation = self._index(archive, encoder, progress)
        failed: dict[str, str] = {}
        if operation.recordings_failed:
            failed = {r.id: r.problem for r in self.recordings(archive) if r.problem}
        problems |= {str(path): failed[identity] for identity, path, _ in entered if identity in failed}
        good = [known for identity, _, known in entered if identity not in failed]
        return IndexReport(
            added=good.count(False),
            present=good.count(True),
            ignored=ignored,
            problems=problems,
            operation=operation,
            archive=self.archive(archive),
            seconds=time.monotonic() - began,
        )

    def _load_ahead(self, encoder: str | None, archive: str) -> None:
        """Without a server, has the encoder loaded while files are added. What goes wrong is told later."""
        if self._home is not None:
            name = encoder or self.archive(archive).encoder or self._default_encoder
            # Kept, for gRPC cancels a call that nobody holds.
            self._ahead = self._embedding.GetEncoder.future(embedding_pb2.GetEncoderRequest(name=name))

    # Operations

    def operations(self, archive: str = "default") -> Iterator[archive_pb2.Operation]:
        """In order of starting."""
        request = archive_pb2.ListOperationsRequest(archive=archive)
        for page in self._pages(self._archives.ListOperations, request):
            yield from page.operations

    def watch(self, operation: str) -> Iterator[archive_pb2.Operation]:
        """The operation now and at every change, until it has ended."""
        with translated(self.address):
            for response in self._archives.WatchOperation(archive_pb2.WatchOperationRequest(id=operation)):
                yield response.operation

    def cancel(self, operation: str) -> archive_pb2.Operation:
        with translated(self.address):
            response: archive_pb2.CancelOperationResponse = self._archives.CancelOperation(
                archive_pb2.CancelOperationRequest(id=operation)
            )
        return response.operation

    def resume(self, operation: str) -> archive_pb2.Operation:
        with translated(self.address):
            response: archive_pb2.ResumeOperationResponse = self._archives.ResumeOperation(
                archive_pb2.ResumeOperationRequest(id=operation)
            )
        return response.operation

    # Search

    def search(
        self,
        query: Query,
        archive: str = "default",
        *,
        top: int = 10,
        min_score: float | None = None,
        all_hits: bool = False,
        recordings: Sequence[str] = (),
        encoder: str | None = None,
        voices: int = 1,
        mode: str = Mode.SOUND,
    ) -> list[Hit]:
        """Where the query was said, best first.

        query: a file's path or bytes, a FileQuery or a StoredQuery, or up to 16 of them that are examples of
        the same words; or a TypedQuery, alone or with StoredQueries. all_hits: also those below the
        threshold. recordings: search only these, by id. encoder: refuse any other. voices: ask as if so many
        voices spoke, 1, 3, 5, 7 or 9, in so many times the time. mode: whether places are to sound like the
        query, to mean the same ("meaning"), or both; the latter need an encoder that knows meanings.
        """
        (answer,) = self.search_batch(
            [query],
            archive,
            top=top,
            min_score=min_score,
            all_hits=all_hits,
            recordings=recordings,
            encoder=encoder,
            voices=voices,
            mode=mode,
        )
        if answer.problem:
            raise InvalidInput(answer.problem)
        return list(answer.hits)

    def search_batch(
        self,
        queries: Iterable[Query],
        archive: str = "default",
        *,
        top: int = 10,
        min_score: float | None = None,
        all_hits: bool = False,
        recordings: Sequence[str] = (),
        encoder: str | None = None,
        voices: int = 1,
        mode: str = Mode.SOUND,
    ) -> Iterator[Answer]:
        """One answer a query, in order, each as soon as it is known. A query that cannot be used gets an
        answer with a problem; anything else that goes wrong is raised."""
        options = search_pb2.SearchOptions(
            archive=archive,
            top_k=top,
            min_score=min_score,
            include_undetected=all_hits,
            recordings=recordings,
            encoder=encoder or "",
            voices=voices,
            mode=_mode(mode),
        )
        waiting = deque(queries)
        while waiting:
            stream = _QueryStream(options, waiting)
            try:
                with translated(self.address):
                    for response in self._searches.Search(stream.requests()):
                        waiting.popleft()
                        yield _answer(response.result)
                problem = stream.problem
            except InvalidInput as error:
                # Of the first query without an answer; the stream may have read on to another problem.
                problem = error
            if problem is not None:
                waiting.popleft()
                yield Answer(problem=str(problem))

    def _pages(self, method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
        request.page_size = PAGE
        while True:
            with translated(self.address):
                page = method(request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def _index(
        self, archive: str, encoder: str | None, progress: Callable[[Progress], None]
    ) -> archive_pb2.Operation:
        request = archive_pb2.IndexArchiveRequest(
            archive=archive, encoder=encoder or "", request_id=uuid.uuid4().hex
        )
        with translated(self.address):
            operation: archive_pb2.Operation = self._archives.IndexArchive(request).operation
        try:
            for latest in self.watch(operation.id):
                operation = latest
                done = operation.recordings_done + operation.recordings_failed
                progress(Progress("indexing", done, operation.recordings_total))
        except KeyboardInterrupt:
            self.cancel(operation.id)
            raise
        if operation.state != archive_pb2.OPERATION_STATE_SUCCEEDED:
            state = archive_pb2.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()
            raise IndexingEnded(
                f"indexing {archive!r} {state} after {operation.recordings_done} of "
                f"{operation.recordings_total} recordings{': ' * bool(operation.problem)}{operation.problem}"
            )
        return operation

    def _added(
        self, files: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, tuple[archive_pb2.Recording, bool] | InvalidInput]]:
        """Each file with what `add` would return, or the InvalidInput it would raise."""
        sound: list[Path] = []
        for path in files:
            try:
                _check_path(path)
                if self._home is None:
                    yield path, self._upload(path, archive)
                else:
                    sound.append(path)
            except InvalidInput as error:
                yield path, error
        for first in range(0, len(sound), ADDED_AT_ONCE):
            yield from self._added_by_path(sound[first : first + ADDED_AT_ONCE], archive)

    def _added_by_path(
        self, paths: Sequence[Path], archive: str
    ) -> Iterator[tuple[Path, tuple[archive_pb2.Recording, bool] | InvalidInput]]:
        request = archive_pb2.AddRecordingsRequest(
            archive=archive,
            files=[archive_pb2.FileToAdd(path=str(path), request_id=uuid.uuid4().hex) for path in paths],
        )
        waiting = iter(paths)
        with translated(self.address):
            for response in self._archives.AddRecordings(request):
                for file in response.files:
                    problem = InvalidInput(file.problem) if file.problem else None
                    yield next(waiting), problem or (file.recording, file.already_present)

    def _upload(self, path: Path, archive: str) -> tuple[archive_pb2.Recording, bool]:
        try:
            with path.open("rb") as file:
                header = archive_pb2.UploadHeader(
                    archive=archive,
                    filename=str(path),
                    sha256=hashlib.file_digest(file, "sha256").hexdigest(),
                    size_bytes=file.tell(),
                    request_id=uuid.uuid4().hex,
                )
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
        for attempt in range(UPLOAD_ATTEMPTS):
            try:
                with translated(self.address):
                    response: archive_pb2.UploadRecordingResponse = self._archives.UploadRecording(
                        _upload_requests(header, path)
                    )
                return response.recording, response.already_present
            except PeerUnavailable:
                # The request id makes it harmless if the first attempt did arrive.
                if attempt + 1 == UPLOAD_ATTEMPTS:
                    raise
                time.sleep(UPLOAD_PAUSE * 2**attempt)
        raise AssertionError("unreachable")


def audio_files(paths: Iterable[str | Path]) -> tuple[list[Path], int]:
    """Absolute paths, each once: named files whatever they are, folders' audio files by suffix, sorted.

    Returns also how many files in folders were left out. Raises InvalidInput for a path that is neither.
    """
    found: dict[Path, None] = {}
    ignored = 0
    for path in (Path(path).absolute() for path in paths):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            told = f"{path} does not exist or cannot be read ({error.strerror}); a file or folder is allowed"
            raise InvalidInput(told) from error
        if stat.S_ISREG(mode):
            found[path] = None
            continue
        if not stat.S_ISDIR(mode):
            raise InvalidInput(f"{path} is not a regular file; a file or folder is allowed")
        inside = [entry for entry in sorted(path.rglob("*")) if entry.is_file()]
        audio = [p for p in inside if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith(".")]
        found.update(dict.fromkeys(audio))
        ignored += len(inside) - len(audio)
    return list(found), ignored


def _check_encoder(name: str, home: Path) -> None:
    """Raises NotFound, before anything is added for the sake of an encoder that does not exist."""
    from wordspot.models import registry

    if name not in (offered := registry.able("embed", home)):
        raise NotFound(f"no encoder {name!r}; there are {', '.join(sorted(offered)) or 'none'}")


def _check_path(path: Path) -> None:
    """Raises InvalidInput for what no message could carry."""
    if _printable(path) != str(path):
        raise InvalidInput(f"the path {_printable(path)} is not UTF-8, as is needed")


def _printable(path: Path) -> str:
    """The path, with escapes for bytes that are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


class _QueryStream:
    """Requests for the waiting queries. problem: why the stream ended before the query that comes next."""

    def __init__(self, options: search_pb2.SearchOptions, queries: Iterable[Query]) -> None:
        self._options = options
        self._queries = list(queries)
        self.problem: InvalidInput | None = None

    def requests(self) -> Iterator[search_pb2.SearchRequest]:
        yield search_pb2.SearchRequest(options=self._options)
        for query in self._queries:
            try:
                messages = list(_query_requests(query))
            except InvalidInput as error:
                self.problem = error
                return
            yield from messages


def _mode(mode: str) -> search_pb2.SearchMode:
    """Raises InvalidInput."""
    if mode not in set(Mode):
        raise InvalidInput(f"mode {mode!r}; {', '.join(Mode)} are allowed")
    return MODES[Mode(mode)]


def _query_requests(query: Query) -> Iterator[search_pb2.SearchRequest]:
    """Raises InvalidInput for too many or too few examples, and for files that cannot be read."""
    examples: Sequence[Example] = [query] if isinstance(query, Example) else query
    if not 1 <= len(examples) <= MAX_EXAMPLES:
        raise InvalidInput(f"a query of {len(examples)} examples; 1 to {MAX_EXAMPLES} are allowed")
    stretches: list[search_pb2.Stretch] = []
    spoken: list[tuple[search_pb2.QueryHeader, bytes]] = []
    typed: list[TypedQuery] = []
    problems: list[InvalidInput] = []
    for number, example in enumerate(examples, 1):
        if isinstance(example, StoredQuery):
            interval = _interval(example.start, example.end)
            stretches.append(search_pb2.Stretch(recording=example.recording, interval=interval))
            continue
        if isinstance(example, TypedQuery):
            typed.append(example)
            continue
        try:
            spoken.append(_spoken(example, name=f"example {number}" if len(examples) > 1 else ""))
        except InvalidInput as error:
            problems.append(error)
    if problems:
        raise InvalidInput("; ".join(map(str, problems)))
    if typed:
        if spoken or len(typed) > 1:
            raise InvalidInput(
                f"a query of {len(typed)} typed and {len(spoken)} spoken examples; one that is typed is "
                "allowed, with stretches of recordings"
            )
        yield search_pb2.SearchRequest(typed=_typed(typed[0], stretches))
        return
    if not spoken:
        first, *others = stretches
        stored = search_pb2.StoredQuery(recording=first.recording, interval=first.interval, examples=others)
        yield search_pb2.SearchRequest(stored=stored)
        return
    for number, (header, data) in enumerate(spoken):
        if number:
            yield search_pb2.SearchRequest(example=header)
        else:
            header.examples.extend(stretches)
            yield search_pb2.SearchRequest(query=header)
        for chunk in chunks(data):
            yield search_pb2.SearchRequest(chunk=chunk)


def _typed(query: TypedQuery, stretches: Sequence[search_pb2.Stretch]) -> search_pb2.TypedQuery:
    """Raises InvalidInput."""
    if not 1 <= query.speakers <= MAX_SPEAKERS:
        raise InvalidInput(f"{query.speakers} speakers; 1 to {MAX_SPEAKERS} are allowed")
    return search_pb2.TypedQuery(
        label=query.text[:LONGEST_LABEL],
        text=query.text,
        language=query.language,
        speakers=query.speakers,
        examples=stretches,
    )


def _spoken(example: str | Path | bytes | FileQuery, name: str) -> tuple[search_pb2.QueryHeader, bytes]:
    """name: for bytes, which have none. Raises InvalidInput."""
    if isinstance(example, bytes):
        return search_pb2.QueryHeader(label=name), example
    if isinstance(example, str | Path):
        example = FileQuery(Path(example))
    data, interval = _cut(example)
    return search_pb2.QueryHeader(label=str(example.path), interval=interval), data


def _cut(query: FileQuery) -> tuple[bytes, audio_pb2.Interval | None]:
    """A file as it is, or a stretch of it with context as WAV, and where the stretch lies in that."""
    if query.start is None and query.end is None:
        try:
            status = query.path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(f"{query.path} is not a regular file")
            if status.st_size > MAX_QUERY_BYTES:
                raise InvalidInput(
                    f"{query.path} holds {status.st_size} bytes; at most {MAX_QUERY_BYTES} are allowed as a "
                    "query"
                )
            return query.path.read_bytes(), None
        except OSError as error:
            raise InvalidInput(f"cannot read {query.path}: {error.strerror}") from error
    from wordspot.indexer.audio import read_stretch, write_wav

    start, end = query.start or 0.0, query.end
    if end is None or not 0 <= start < end <= start + 60:
        raise InvalidInput(
            f"the stretch of {query.path} is {query.start} to {end} s; 0 <= start < end and at most 60 s "
            "are allowed"
        )
    first = max(start - CONTEXT_SECONDS, 0.0)
    samples = read_stretch(query.path, first, end + CONTEXT_SECONDS, max_seconds=120)
    return write_wav(samples), _interval(start - first, end - first)


def _upload_requests(
    header: archive_pb2.UploadHeader, path: Path
) -> Iterator[archive_pb2.UploadRecordingRequest]:
    yield archive_pb2.UploadRecordingRequest(header=header)
    with path.open("rb") as file:
        while chunk := file.read(MAX_CHUNK_BYTES):
            yield archive_pb2.UploadRecordingRequest(chunk=chunk)


def _interval(start: float, end: float) -> audio_pb2.Interval:
    return audio_pb2.Interval(start_seconds=start, end_seconds=end)


def _answer(result: search_pb2.SearchResult) -> Answer:
    return Answer(
        hits=tuple(
            Hit(hit.recording, hit.path, hit.start_seconds, hit.end_seconds, hit.score, hit.detected)
            for hit in result.hits
        ),
        compared=(result.compared.start_seconds, result.compared.end_seconds),
        seconds=result.seconds,
        threshold=result.threshold,
        synthesis=_synthesis(result.synthesis) if result.HasField("synthesis") else None,
    )


def _synthesis(synthesis: search_pb2.Synthesis) -> Synthesis:
    return Synthesis(synthesis.synthesiser, synthesis.language, tuple(synthesis.speakers))
