"""The messages of SearchService: options, and queries that come in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from wordspot.indexer.records import SPEED_VARIANTS, Mode, SearchOptions
from wordspot.services.answers import from_interval
from wordspot.services.errors import MalformedRequest
from wordspot.services.examples import Example, RecordedQuery, StoredQuery, TypedQuery
from wordspot.services.limits import (
    DEFAULT_HITS,
    DEFAULT_SPEAKERS,
    MAX_EXAMPLES,
    MAX_HITS,
    MAX_QUERY_BYTES,
    MAX_SPEAKERS,
    MAX_STORED_HITS,
)
from wordspot.services.pricing import ByteAccount
from wordspot.services.recording_filters import from_filter_message
from wordspot.services.runtime import checked_chunk, later_part
from wordspot.services.searcher.queries import ArchiveSearch, SearchResources
from wordspot.services.searcher.synthesis import DEFAULT_LANGUAGE
from wordspot.v1 import search_pb2

MODES = {
    search_pb2.SEARCH_MODE_UNSPECIFIED: Mode.SOUND,
    search_pb2.SEARCH_MODE_SOUND: Mode.SOUND,
    search_pb2.SEARCH_MODE_MEANING: Mode.MEANING,
    search_pb2.SEARCH_MODE_BOTH: Mode.BOTH,
}
_QUERY_STARTS = ("query", "stored", "typed")


def open_search(resources: SearchResources, options: search_pb2.SearchOptions) -> ArchiveSearch:
    """Opens the archive that the options name, ready for queries.

    Raises:
        MalformedRequest: an option is outside its limits.
        NotFound: there is no such archive, or its encoder is not offered.
        FailedPrecondition: the archive is not indexed, or with another encoder.
    """
    if not 0 <= options.top_k <= MAX_HITS:
        raise MalformedRequest(
            f"top_k must be between 0 and {MAX_HITS:,}, got {options.top_k}", "options.top_k"
        )
    if options.voices not in (0, *SPEED_VARIANTS):
        allowed = ", ".join(map(str, (0, *SPEED_VARIANTS)))
        raise MalformedRequest(f"voices must be one of {allowed}, got {options.voices}", "options.voices")
    if options.mode not in MODES:
        allowed = ", ".join(map(search_pb2.SearchMode.Name, MODES))
        raise MalformedRequest(f"mode must be one of {allowed}, got {options.mode}", "options.mode")
    return ArchiveSearch.open(
        resources,
        options.archive,
        options.encoder,
        SearchOptions(
            top=options.top_k or DEFAULT_HITS,
            min_score=options.min_score if options.HasField("min_score") else None,
            include_undetected=options.include_undetected,
            recordings=frozenset(options.recordings) if options.recordings else None,
            excluded=frozenset(options.excluded_recordings),
            mode=MODES[options.mode],
            channel=options.channel,
        ),
        speed_variants=options.voices or 1,
        recording_filter=from_filter_message(options.filter),
        with_verdicts=options.with_verdicts,
    )


def check_answer_size(queries: int, top: int) -> None:
    """Raises MalformedRequest where the answers to so many queries would not fit into one message."""
    if queries * top > MAX_STORED_HITS:
        raise MalformedRequest(
            f"queries times top_k must be at most {MAX_STORED_HITS:,}, got {queries} times {top}; "
            "Search takes any number",
            "queries",
        )


def read_queries(
    requests: Iterable[search_pb2.SearchRequest], account: ByteAccount
) -> Iterator[Sequence[Example]]:
    """Yields the examples of each query as soon as it is complete: when the next begins or the stream ends.

    Args:
        requests: those behind the options.
        account: holds the bytes of a query, until the next is asked for.

    Raises:
        MalformedRequest, Overloaded.
    """
    for examples in _queries(requests, account):
        yield examples
        account.release()


def _queries(
    requests: Iterable[search_pb2.SearchRequest], account: ByteAccount
) -> Iterator[Sequence[Example]]:
    examples: list[Example] = []
    header: search_pb2.QueryHeader | None = None
    data, size = bytearray(), 0
    for request in requests:
        parts = _QUERY_STARTS if header is None else (*_QUERY_STARTS, "example", "chunk")
        part = later_part(request, *parts)
        if part == "chunk":
            chunk = checked_chunk(request.chunk, "chunk")
            size += len(chunk)
            if size > MAX_QUERY_BYTES:
                raise MalformedRequest(
                    f"a query must have at most {MAX_QUERY_BYTES:,} bytes, got {size:,} or more", "chunk"
                )
            account.hold(len(chunk))
            data += chunk
            continue
        if header is not None:
            examples = _checked([*examples, *_read_recorded(header, data)])
        if part != "example":
            if examples:
                yield examples
            examples, size = [], 0
        header, data = None, bytearray()
        if part == "stored":
            yield read_stored(request.stored)
        elif part == "typed":
            yield _read_typed(request.typed)
        else:
            header = getattr(request, part)
    if header is not None:
        yield _checked([*examples, *_read_recorded(header, data)])


def read_stored(query: search_pb2.StoredQuery) -> list[Example]:
    """Returns the examples of a query of recordings in the archive. Raises MalformedRequest."""
    first = StoredQuery(
        query.recording, *from_interval(query.interval), query.label, query.channel, query.track
    )
    return _checked([first, *_read_stretches(query.examples)])


def _read_recorded(header: search_pb2.QueryHeader, data: bytearray) -> list[Example]:
    interval = from_interval(header.interval) if header.HasField("interval") else None
    return [
        RecordedQuery(bytes(data), interval, header.label, header.channel),
        *_read_stretches(header.examples),
    ]


def _read_typed(query: search_pb2.TypedQuery) -> list[Example]:
    speakers = query.speakers or DEFAULT_SPEAKERS
    if not 1 <= speakers <= MAX_SPEAKERS:
        raise MalformedRequest(
            f"speakers must be between 0 and {MAX_SPEAKERS}, got {speakers}", "typed.speakers"
        )
    if speakers + len(query.examples) > MAX_EXAMPLES:
        raise MalformedRequest(
            f"speakers and examples of a query must be at most {MAX_EXAMPLES} together, got {speakers} and "
            f"{len(query.examples)}",
            "typed.examples",
        )
    first = TypedQuery(query.text, query.language or DEFAULT_LANGUAGE, speakers, query.label)
    return [first, *_read_stretches(query.examples)]


def _read_stretches(stretches: Iterable[search_pb2.Stretch]) -> list[Example]:
    return [
        StoredQuery(
            stretch.recording, *from_interval(stretch.interval), channel=stretch.channel, track=stretch.track
        )
        for stretch in stretches
    ]


def _checked(examples: list[Example]) -> list[Example]:
    """Raises MalformedRequest."""
    if len(examples) > MAX_EXAMPLES:
        raise MalformedRequest(
            f"the number of examples in a query must be between 1 and {MAX_EXAMPLES}, got {len(examples)}",
            "examples",
        )
    return examples
