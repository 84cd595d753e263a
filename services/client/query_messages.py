"""Queries as the messages of SearchService."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import path_text, readable
from wordspot.indexer.records import SAMPLE_RATE, Mode
from wordspot.services.answers import to_interval
from wordspot.services.channels import chunks
from wordspot.services.examples import (
    Example,
    FileQuery,
    Query,
    QueryExample,
    RecordedQuery,
    StoredQuery,
    TypedQuery,
    check_stretch_inside,
)
from wordspot.services.limits import (
    MAX_CONTEXT_SECONDS,
    MAX_EXAMPLES,
    MAX_HITS,
    MAX_LABEL_CHARACTERS,
    MAX_QUERY_BYTES,
    MAX_QUERY_FILE_SECONDS,
    MAX_SPEAKERS,
    MAX_STRETCH_SECONDS,
)
from wordspot.v1 import search_pb2

_MODES = {
    Mode.SOUND: search_pb2.SEARCH_MODE_SOUND,
    Mode.MEANING: search_pb2.SEARCH_MODE_MEANING,
    Mode.BOTH: search_pb2.SEARCH_MODE_BOTH,
}


class QueryStream:
    """Requests for queries, one after another.

    problem: why the stream ended before the query that comes next; None as long as it did not.
    """

    def __init__(self, options: search_pb2.SearchOptions, queries: Iterable[Query]) -> None:
        self._options = options
        self._queries = list(queries)
        self.problem: InvalidInput | None = None

    def requests(self) -> Iterator[search_pb2.SearchRequest]:
        """Yields the options, then the messages of each query, up to the first that cannot be used."""
        yield search_pb2.SearchRequest(options=self._options)
        for query in self._queries:
            try:
                messages = list(query_requests(query))
            except InvalidInput as error:
                self.problem = error
                return
            yield from messages


def mode_value(mode: str) -> search_pb2.SearchMode:
    """Returns the mode as a message has it. Raises InvalidInput."""
    if mode not in set(Mode):
        raise InvalidInput(f"mode must be one of {', '.join(Mode)}, got {mode!r}")
    return _MODES[Mode(mode)]


def check_search_options(top: int, min_score: float | None) -> None:
    """Raises InvalidInput for what a message could not say, or would take for something else."""
    if not 1 <= top <= MAX_HITS:
        raise InvalidInput(f"top must be between 1 and {MAX_HITS:,}, got {top}")
    if min_score is not None and not math.isfinite(min_score):
        raise InvalidInput(f"min_score must be a finite number, got {min_score}")


def query_requests(query: Query | Sequence[Example]) -> Iterator[search_pb2.SearchRequest]:
    """Yields the messages of one query.

    Raises:
        InvalidInput: there are too many or too few examples, or their files cannot be read.
    """
    given = [query] if isinstance(query, QueryExample | RecordedQuery) else query
    if not isinstance(given, Sequence):
        raise InvalidInput(_not_a_query(given))
    examples = _sorted_examples(given)
    if examples.typed:
        yield search_pb2.SearchRequest(typed=_typed_message(examples))
    elif not examples.recorded:
        first, *others = examples.stored
        stored = search_pb2.StoredQuery(
            label=first.label,
            recording=first.recording,
            interval=to_interval(first.start, first.end),
            channel=first.channel,
            track=first.track,
            examples=map(_stretch_message, others),
        )
        yield search_pb2.SearchRequest(stored=stored)
    else:
        yield from _recorded_requests(examples)


@dataclass
class _Examples:
    """Examples of one query by their kind.

    Attributes:
        recorded: with the bytes of files.
        stored: stretches of recordings in the archive.
        typed: for a synthesiser.
    """

    recorded: list[RecordedQuery] = field(default_factory=list)
    stored: list[StoredQuery] = field(default_factory=list)
    typed: list[TypedQuery] = field(default_factory=list)


def _sorted_examples(examples: Sequence[object]) -> _Examples:
    """Raises InvalidInput, which names every example that cannot be used."""
    if not 1 <= len(examples) <= MAX_EXAMPLES:
        raise InvalidInput(
            f"the number of examples in a query must be between 1 and {MAX_EXAMPLES}, got {len(examples)}"
        )
    by_kind = _Examples()
    problems: list[InvalidInput] = []
    for number, example in enumerate(examples, 1):
        if isinstance(example, StoredQuery):
            by_kind.stored.append(example)
        elif isinstance(example, TypedQuery):
            by_kind.typed.append(example)
        elif isinstance(example, RecordedQuery):
            by_kind.recorded.append(example)
        elif isinstance(example, str | Path | bytes | FileQuery):
            label = f"example {number}" if len(examples) > 1 else ""
            try:
                by_kind.recorded.append(_recorded(example, label))
            except InvalidInput as error:
                problems.append(error)
        else:
            problems.append(InvalidInput(_not_a_query(example)))
    if problems:
        raise InvalidInput("; ".join(map(str, problems)))
    return by_kind


def _not_a_query(given: object) -> str:
    return (
        "a query must be a path, bytes, FileQuery, StoredQuery, TypedQuery or several of these, "
        f"got {type(given).__name__}"
    )


def _typed_message(examples: _Examples) -> search_pb2.TypedQuery:
    """Raises InvalidInput."""
    if examples.recorded or len(examples.typed) > 1:
        raise InvalidInput(
            "a typed query must be one text, with or without stretches of recordings, got "
            f"{len(examples.typed)} typed and {len(examples.recorded)} recorded examples"
        )
    (query,) = examples.typed
    if not 1 <= query.speakers <= MAX_SPEAKERS:
        raise InvalidInput(f"speakers must be between 1 and {MAX_SPEAKERS}, got {query.speakers}")
    if readable(query.text) != query.text:
        raise InvalidInput(f"text must be UTF-8, got {query.text!r}")
    return search_pb2.TypedQuery(
        label=(query.label or query.text)[:MAX_LABEL_CHARACTERS],
        text=query.text,
        language=query.language,
        speakers=query.speakers,
        examples=map(_stretch_message, examples.stored),
    )


def _recorded_requests(examples: _Examples) -> Iterator[search_pb2.SearchRequest]:
    for number, example in enumerate(examples.recorded):
        interval = None if example.interval is None else to_interval(*example.interval)
        header = search_pb2.QueryHeader(label=example.label, interval=interval, channel=example.channel)
        if number:
            yield search_pb2.SearchRequest(example=header)
        else:
            header.examples.extend(map(_stretch_message, examples.stored))
            yield search_pb2.SearchRequest(query=header)
        for chunk in chunks(example.data):
            yield search_pb2.SearchRequest(chunk=chunk)


def _stretch_message(query: StoredQuery) -> search_pb2.Stretch:
    return search_pb2.Stretch(
        recording=query.recording,
        interval=to_interval(query.start, query.end),
        channel=query.channel,
        track=query.track,
    )


def _recorded(example: str | Path | bytes | FileQuery, label: str) -> RecordedQuery:
    """Returns an example with its bytes. label: of bytes, which have no path. Raises InvalidInput."""
    if isinstance(example, bytes):
        return RecordedQuery(example, label=label)
    given = example if isinstance(example, FileQuery) else FileQuery(Path(example))
    query = replace(given, path=Path(given.path))  # which may be a string, where types are not checked
    if query.start is query.end is None:
        label = path_text(query.label or query.path)
        return RecordedQuery(_whole_file(query.path), label=label, channel=query.channel)
    return _stretch(query)


class _TooLarge(InvalidInput):
    """A file is larger than a query may be."""


def _whole_file(path: Path) -> bytes:
    """Returns the file's bytes. Raises InvalidInput."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path} is not a regular file")
        if status.st_size > MAX_QUERY_BYTES:
            raise _TooLarge(
                f"the file of a query must have at most {MAX_QUERY_BYTES:,} bytes, got {path} of "
                f"{status.st_size:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def _stretch(query: FileQuery) -> RecordedQuery:
    """Returns the stretch with context as a WAV file, or where only the server can decode, the stretch and
    all of the file. Raises InvalidInput."""
    start, end = query.start or 0.0, query.end
    if end is None or not 0 <= start < end <= start + MAX_STRETCH_SECONDS:
        raise InvalidInput(
            f"the stretch of {query.path} must satisfy 0 <= start < end and be at most "
            f"{MAX_STRETCH_SECONDS:g} s long, got {query.start} to {end} s"
        )
    label = path_text(query.label or query.path)
    try:
        from wordspot.indexer.sound.audio import NoAudio, read_stretch, write_wav
    except ImportError as error:
        return RecordedQuery(_file_to_cut(query.path, error), (start, end), label, query.channel)
    first = max(start - MAX_CONTEXT_SECONDS, 0.0)
    try:
        samples = read_stretch(
            query.path,
            first,
            end + MAX_CONTEXT_SECONDS,
            max_seconds=MAX_QUERY_FILE_SECONDS,
            channel=query.channel,
        )
    except NoAudio as error:
        raise InvalidInput(f"{query.path} ends before {start:g} s, where the query is to begin") from error
    check_stretch_inside((start, end), first + len(samples) / SAMPLE_RATE, str(query.path))
    return RecordedQuery(write_wav(samples), (start - first, end - first), label)


def _file_to_cut(path: Path, error: ImportError) -> bytes:
    """Returns the bytes of a file of which the server is to cut a stretch. Raises InvalidInput."""
    try:
        return _whole_file(path)
    except _TooLarge as refusal:
        raise InvalidInput(
            f"{refusal}; to cut the stretch here needs the decoder of the package wordspot, which is "
            f"not installed here ({error}): pip install wordspot"
        ) from None
