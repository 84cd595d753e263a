"""ArchiveService and SearchService: messages to calls, records to messages."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from wordspot.indexer.audio import write_wav
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.library import Added, Addition, Library
from wordspot.indexer.records import VOICES, Hit, Mode, SearchOptions
from wordspot.indexer.summaries import ArchiveSummary, OperationSummary, RecordingSummary
from wordspot.services.errors import MalformedRequest
from wordspot.services.runtime import (
    MAX_EXAMPLES,
    MAX_QUERY_BYTES,
    MAX_SPEAKERS,
    checked_chunk,
    chunks,
    ensure_wanted,
    following,
    opening,
)
from wordspot.services.searcher.queries import (
    Answer,
    Example,
    Search,
    SpokenExample,
    StoredExample,
    Tools,
    TypedExample,
)
from wordspot.services.searcher.synthesis import DEFAULT_LANGUAGE, DEFAULT_SPEAKERS, Synthesis
from wordspot.v1 import archive_pb2, archive_pb2_grpc, audio_pb2, search_pb2, search_pb2_grpc

MAX_PAGE, DEFAULT_PAGE = 1_000, 100
MAX_TOP, DEFAULT_TOP = 10_000, 10
MAX_ADDITIONS = 1_000
MODES = {
    search_pb2.SEARCH_MODE_UNSPECIFIED: Mode.SOUND,
    search_pb2.SEARCH_MODE_SOUND: Mode.SOUND,
    search_pb2.SEARCH_MODE_MEANING: Mode.MEANING,
    search_pb2.SEARCH_MODE_BOTH: Mode.BOTH,
}
MAX_STORED_HITS = 20_000  # in one answer, of at most 16 MB
BEGINNINGS = ("query", "stored", "typed")


class ArchiveServicer(archive_pb2_grpc.ArchiveServiceServicer):
    def __init__(self, library: Library) -> None:
        self._library = library

    def CreateArchive(  # noqa: N802
        self, request: archive_pb2.CreateArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CreateArchiveResponse:
        return archive_pb2.CreateArchiveResponse(archive=_archive(self._library.create_archive(request.name)))

    def GetArchive(  # noqa: N802
        self, request: archive_pb2.GetArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetArchiveResponse:
        return archive_pb2.GetArchiveResponse(archive=_archive(self._library.get_archive(request.name)))

    def ListArchives(  # noqa: N802
        self, request: archive_pb2.ListArchivesRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListArchivesResponse:
        page = self._library.list_archives(*_place(request.page_token, request.page_size))
        return archive_pb2.ListArchivesResponse(
            archives=[_archive(item) for item in page.items], next_page_token=_token(page.next)
        )

    def DeleteArchive(  # noqa: N802
        self, request: archive_pb2.DeleteArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.DeleteArchiveResponse:
        self._library.delete_archive(request.name)
        return archive_pb2.DeleteArchiveResponse()

    def CompactArchive(  # noqa: N802
        self, request: archive_pb2.CompactArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CompactArchiveResponse:
        done = self._library.compact(request.name)
        return archive_pb2.CompactArchiveResponse(
            segments_before=done.segments_before, segments_after=done.segments_after, bytes_freed=done.freed
        )

    def UploadRecording(  # noqa: N802
        self, request_iterator: Iterator[archive_pb2.UploadRecordingRequest], context: grpc.ServicerContext
    ) -> archive_pb2.UploadRecordingResponse:
        header: archive_pb2.UploadHeader = opening(request_iterator, "header")
        with self._library.begin_upload(
            header.archive, header.filename, header.sha256, header.size_bytes, header.request_id
        ) as upload:
            for request in request_iterator:
                following(request, "chunk")
                upload.write(checked_chunk(request.chunk, "chunk"))
            recording, present = upload.finish()
        return archive_pb2.UploadRecordingResponse(recording=_recording(recording), already_present=present)

    def AddRecording(  # noqa: N802
        self, request: archive_pb2.AddRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.AddRecordingResponse:
        recording, present = self._library.add_path(request.archive, Path(request.path), request.request_id)
        return archive_pb2.AddRecordingResponse(recording=_recording(recording), already_present=present)

    def AddRecordings(  # noqa: N802
        self, request: archive_pb2.AddRecordingsRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.AddRecordingsResponse]:
        for added in self._library.add_paths(request.archive, _additions(request.files)):
            yield archive_pb2.AddRecordingsResponse(files=map(_added, added))
            ensure_wanted()

    def GetRecording(  # noqa: N802
        self, request: archive_pb2.GetRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetRecordingResponse:
        recording = self._library.get_recording(request.archive, request.recording)
        return archive_pb2.GetRecordingResponse(recording=_recording(recording))

    def ListRecordings(  # noqa: N802
        self, request: archive_pb2.ListRecordingsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListRecordingsResponse:
        page = self._library.list_recordings(request.archive, *_place(request.page_token, request.page_size))
        return archive_pb2.ListRecordingsResponse(
            recordings=[_recording(item) for item in page.items], next_page_token=_token(page.next)
        )

    def DeleteRecording(  # noqa: N802
        self, request: archive_pb2.DeleteRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.DeleteRecordingResponse:
        self._library.delete_recording(request.archive, request.recording)
        return archive_pb2.DeleteRecordingResponse()

    def GetClip(  # noqa: N802
        self, request: archive_pb2.GetClipRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.GetClipResponse]:
        start, end = request.interval.start_seconds, request.interval.end_seconds
        samples = self._library.clip(request.archive, request.recording, start, end)
        for chunk in chunks(write_wav(samples)):
            yield archive_pb2.GetClipResponse(chunk=chunk)

    def IndexArchive(  # noqa: N802
        self, request: archive_pb2.IndexArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.IndexArchiveResponse:
        operation = self._library.start_index(request.archive, request.encoder, request.request_id)
        return archive_pb2.IndexArchiveResponse(operation=_operation(operation))

    def GetOperation(  # noqa: N802
        self, request: archive_pb2.GetOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetOperationResponse:
        return archive_pb2.GetOperationResponse(operation=_operation(self._library.get_operation(request.id)))

    def ListOperations(  # noqa: N802
        self, request: archive_pb2.ListOperationsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListOperationsResponse:
        page = self._library.list_operations(request.archive, *_place(request.page_token, request.page_size))
        return archive_pb2.ListOperationsResponse(
            operations=[_operation(item) for item in page.items], next_page_token=_token(page.next)
        )

    def WatchOperation(  # noqa: N802
        self, request: archive_pb2.WatchOperationRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.WatchOperationResponse]:
        for operation in self._library.watch_operation(request.id, stopped=lambda: not context.is_active()):
            yield archive_pb2.WatchOperationResponse(operation=_operation(operation))

    def CancelOperation(  # noqa: N802
        self, request: archive_pb2.CancelOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CancelOperationResponse:
        operation = self._library.cancel_operation(request.id)
        return archive_pb2.CancelOperationResponse(operation=_operation(operation))

    def ResumeOperation(  # noqa: N802
        self, request: archive_pb2.ResumeOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ResumeOperationResponse:
        operation = self._library.resume_operation(request.id)
        return archive_pb2.ResumeOperationResponse(operation=_operation(operation))


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def Search(  # noqa: N802
        self, request_iterator: Iterator[search_pb2.SearchRequest], context: grpc.ServicerContext
    ) -> Iterator[search_pb2.SearchResponse]:
        search = _begin(self._tools, opening(request_iterator, "options"))
        for examples in _queries(request_iterator):
            yield search_pb2.SearchResponse(result=_result(search.answer(examples)))

    def SearchStored(  # noqa: N802
        self, request: search_pb2.SearchStoredRequest, context: grpc.ServicerContext
    ) -> search_pb2.SearchStoredResponse:
        search = _begin(self._tools, request.options)
        _check_answer_size(len(request.queries), search.options.top)
        answers = [search.answer(_stored(query)) for query in request.queries]
        return search_pb2.SearchStoredResponse(results=[_result(answer) for answer in answers])


def _place(token: str, size: int) -> tuple[str, int]:
    """What the token stands for, and how many to list."""
    if not 0 <= size <= MAX_PAGE:
        raise MalformedRequest(f"page_size is {size}; 0 to {MAX_PAGE} is allowed", "page_size")
    try:
        after = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise MalformedRequest(
            f"page_token is {token!r}; a next_page_token of this list is allowed", "page_token"
        ) from None
    return after, size or DEFAULT_PAGE


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _additions(files: Sequence[archive_pb2.FileToAdd]) -> list[Addition]:
    if len(files) > MAX_ADDITIONS:
        raise MalformedRequest(f"{len(files)} files at once; at most {MAX_ADDITIONS} are allowed", "files")
    return [Addition(Path(file.path), file.request_id) for file in files]


def _added(answer: Added | InvalidInput) -> archive_pb2.AddedFile:
    if isinstance(answer, InvalidInput):
        return archive_pb2.AddedFile(problem=str(answer))
    recording, present = answer
    return archive_pb2.AddedFile(recording=_recording(recording), already_present=present)


def _begin(tools: Tools, options: search_pb2.SearchOptions) -> Search:
    if not 0 <= options.top_k <= MAX_TOP:
        raise MalformedRequest(f"top_k is {options.top_k}; 0 to {MAX_TOP} is allowed", "options.top_k")
    if options.voices not in (0, *VOICES):
        raise MalformedRequest(
            f"voices is {options.voices}; 0, {', '.join(map(str, VOICES))} are allowed", "options.voices"
        )
    if options.mode not in MODES:
        allowed = ", ".join(map(search_pb2.SearchMode.Name, MODES))
        raise MalformedRequest(f"mode is {options.mode}; {allowed} are allowed", "options.mode")
    return Search.begin(
        tools,
        options.archive,
        options.encoder,
        SearchOptions(
            top=options.top_k or DEFAULT_TOP,
            min_score=options.min_score if options.HasField("min_score") else None,
            include_undetected=options.include_undetected,
            recordings=frozenset(options.recordings) if options.recordings else None,
            excluded=frozenset(options.excluded_recordings),
            mode=MODES[options.mode],
        ),
        voices=options.voices or 1,
    )


def _check_answer_size(queries: int, top: int) -> None:
    if queries * top > MAX_STORED_HITS:
        raise MalformedRequest(
            f"{queries} queries with {top} hits each are too many for one answer; "
            f"{MAX_STORED_HITS} hits in all are allowed, Search takes any number",
            "queries",
        )


def _queries(requests: Iterable[search_pb2.SearchRequest]) -> Iterator[Sequence[Example]]:
    """The examples of each query as soon as it is complete: when the next begins or the stream ends."""
    examples: list[Example] = []
    header: search_pb2.QueryHeader | None = None
    data, size = bytearray(), 0
    for request in requests:
        parts = BEGINNINGS if header is None else (*BEGINNINGS, "example", "chunk")
        part = following(request, *parts)
        if part == "chunk":
            data += checked_chunk(request.chunk, "chunk")
            size += len(request.chunk)
            if size > MAX_QUERY_BYTES:
                raise MalformedRequest(f"a query is longer than the {MAX_QUERY_BYTES} bytes allowed", "chunk")
            continue
        if header is not None:
            examples = _checked([*examples, *_spoken(header, data)])
        if part != "example":
            if examples:
                yield examples
            examples, size = [], 0
        header, data = None, bytearray()
        if part == "stored":
            yield _stored(request.stored)
        elif part == "typed":
            yield _typed(request.typed)
        else:
            header = getattr(request, part)
    if header is not None:
        yield _checked([*examples, *_spoken(header, data)])


def _spoken(header: search_pb2.QueryHeader, data: bytearray) -> list[Example]:
    interval = _interval(header.interval) if header.HasField("interval") else None
    return [SpokenExample(header.label, bytes(data), interval), *_stretches(header.examples)]


def _stored(query: search_pb2.StoredQuery) -> list[Example]:
    first = StoredExample(query.label, query.recording, _interval(query.interval))
    return _checked([first, *_stretches(query.examples)])


def _typed(query: search_pb2.TypedQuery) -> list[Example]:
    speakers = query.speakers or DEFAULT_SPEAKERS
    if not 1 <= speakers <= MAX_SPEAKERS:
        raise MalformedRequest(f"speakers is {speakers}; 0 to {MAX_SPEAKERS} is allowed", "typed.speakers")
    if speakers + len(query.examples) > MAX_EXAMPLES:
        raise MalformedRequest(
            f"a query of {speakers} speakers and {len(query.examples)} examples; {MAX_EXAMPLES} in all are "
            "allowed",
            "typed.examples",
        )
    first = TypedExample(query.label, query.text, query.language or DEFAULT_LANGUAGE, speakers)
    return [first, *_stretches(query.examples)]


def _stretches(stretches: Iterable[search_pb2.Stretch]) -> list[Example]:
    return [StoredExample("", stretch.recording, _interval(stretch.interval)) for stretch in stretches]


def _checked(examples: list[Example]) -> list[Example]:
    if len(examples) > MAX_EXAMPLES:
        raise MalformedRequest(
            f"a query of {len(examples)} examples; 1 to {MAX_EXAMPLES} are allowed", "examples"
        )
    return examples


def _interval(interval: audio_pb2.Interval) -> tuple[float, float]:
    return interval.start_seconds, interval.end_seconds


def _result(answer: Answer) -> search_pb2.SearchResult:
    start, end = answer.compared
    return search_pb2.SearchResult(
        label=answer.label,
        hits=[_hit(hit) for hit in answer.hits],
        compared=audio_pb2.Interval(start_seconds=start, end_seconds=end),
        seconds=answer.seconds,
        threshold=answer.threshold,
        synthesis=None if answer.synthesis is None else _synthesis(answer.synthesis),
    )


def _synthesis(synthesis: Synthesis) -> search_pb2.Synthesis:
    return search_pb2.Synthesis(
        synthesiser=synthesis.synthesiser, language=synthesis.language, speakers=synthesis.speakers
    )


def _hit(hit: Hit) -> search_pb2.Hit:
    return search_pb2.Hit(
        recording=hit.recording,
        path=hit.path,
        start_seconds=hit.start,
        end_seconds=hit.end,
        score=hit.score,
        detected=hit.detected,
    )


def _archive(summary: ArchiveSummary) -> archive_pb2.Archive:
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
        create_time=_time(summary.created),
    )


def _recording(summary: RecordingSummary) -> archive_pb2.Recording:
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
        create_time=_time(summary.created),
    )


def _operation(summary: OperationSummary) -> archive_pb2.Operation:
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
        create_time=_time(summary.created),
        update_time=_time(summary.updated),
    )


def _time(moment: datetime) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(moment)
    return time
