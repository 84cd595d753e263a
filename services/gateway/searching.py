"""Searches as the gateway makes them: queries of JSON to messages, answers to JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import grpc

from wordspot.indexer.paths import path_text
from wordspot.services.advice import advice
from wordspot.services.answers import from_message
from wordspot.services.client.query_messages import mode_value, query_requests
from wordspot.services.examples import Example, RecordedQuery, StoredQuery, TypedQuery
from wordspot.services.gateway.messages import message_of
from wordspot.services.gateway.peers import Peers
from wordspot.services.gateway.problems import Problem, of_call, of_error
from wordspot.services.gateway.schemas import SynthesisBody
from wordspot.services.gateway.search_schemas import (
    AudioExample,
    HitBody,
    QueryBody,
    ResultBody,
    SearchSettings,
    StoredExample,
    StretchBody,
    VerdictOfHit,
)
from wordspot.services.limits import MAX_PAGE_ITEMS, MAX_QUERY_BYTES
from wordspot.v1 import archive_pb2, search_pb2

_LOGGER = logging.getLogger("wordspot.services.gateway")
MAX_WAITS = 5  # for a turn, of a query in the middle of a list
_QUERYS_OWN = (400, 404, 412)  # statuses of what is wrong with one query


@dataclass(frozen=True)
class LabelledQuery:
    """Examples of one query.

    label: as the caller gave it.
    examples: of the same words.
    """

    label: str
    examples: Sequence[Example]


def read_query(body: QueryBody, field: str) -> LabelledQuery:
    """Returns a query. field: its name in errors. Raises Problem."""
    examples: list[Example] = []
    if body.text:
        examples.append(TypedQuery(body.text, body.language or "en", body.speakers))
    for number, example in enumerate(body.examples):
        examples.append(_read_example(example, f"{field}.examples[{number}]", number))
    return LabelledQuery(body.label or body.text, examples)


def search_options(archive: str, settings: SearchSettings) -> search_pb2.SearchOptions:
    """Returns the message."""
    return search_pb2.SearchOptions(
        archive=archive,
        top_k=settings.top,
        min_score=settings.min_score,
        include_undetected=settings.all_hits,
        recordings=settings.recordings,
        voices=settings.speed_variants,
        mode=mode_value(settings.mode),
        channel=settings.channel,
        filter=None if settings.filter is None else message_of(archive_pb2.RecordingFilter, settings.filter),
        with_verdicts=settings.with_verdicts,
    )


async def results(
    peers: Peers, archive: str, settings: SearchSettings, queries: Sequence[LabelledQuery]
) -> AsyncIterator[ResultBody]:
    """Yields one result a query, in order, each as soon as it is known.

    Of several, one that cannot be used has a problem in its result; what goes wrong otherwise is raised.
    """
    response: archive_pb2.GetArchiveResponse = await peers.archives.GetArchive(
        archive_pb2.GetArchiveRequest(name=archive)
    )
    options = search_options(archive, settings)
    waiting = deque(queries)
    waits = 0
    while waiting:
        problem: Problem | None = None
        stream = _Requests(options, tuple(waiting))
        try:
            async for answer in peers.search(stream):
                waits = 0
                query = waiting.popleft()
                result = _result(query.label, answer.result, response.archive, settings)
                yield await _judged(peers, archive, result)
            problem = stream.problem
        except grpc.RpcError as error:
            problem = of_error(error)
        if not waiting:
            return
        if problem is None:
            raise Problem(503, "the search ended before all queries were answered", retry_after=1.0)
        if problem.status == 429 and len(waiting) < len(queries) and waits < MAX_WAITS:
            waits += 1
            await asyncio.sleep(problem.retry_after or 1.0)
            continue
        if len(queries) == 1 or problem.status not in _QUERYS_OWN:
            raise problem
        yield _failed(waiting.popleft().label, problem)


class _Requests:
    """The messages of queries, up to the first that cannot be used, for which `problem` then stands."""

    def __init__(self, options: search_pb2.SearchOptions, queries: Sequence[LabelledQuery]) -> None:
        self._options = options
        self._queries = queries
        self.problem: Problem | None = None

    def __iter__(self) -> Iterator[search_pb2.SearchRequest]:
        yield search_pb2.SearchRequest(options=self._options)
        for query in self._queries:
            try:
                messages = list(query_requests(query.examples))
            except Exception as error:
                self.problem = of_error(error)
                if self.problem is None:
                    raise
                return
            yield from messages


def _read_example(example: StoredExample | AudioExample, field: str, number: int) -> Example:
    """Raises Problem."""
    if isinstance(example, StoredExample):
        return StoredQuery(
            example.recording, example.start, example.end, channel=example.channel, track=example.track
        )
    try:
        data = base64.b64decode(example.audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(422, f"{field}.audio must be base64: {error}", field=f"{field}.audio") from None
    if len(data) > MAX_QUERY_BYTES:
        raise Problem(
            413,
            f"{field}.audio must have at most {MAX_QUERY_BYTES:,} bytes, got {len(data):,}",
            field=f"{field}.audio",
            limit=MAX_QUERY_BYTES,
        )
    interval = None if example.start is None or example.end is None else (example.start, example.end)
    return RecordedQuery(data, interval, example.filename or f"example {number + 1}", example.channel)


async def _judged(peers: Peers, archive: str, result: ResultBody) -> ResultBody:
    """Returns a result whose hits have what somebody said of them."""
    if not result.label or not result.hits:
        return result
    request = archive_pb2.ListVerdictsRequest(archive=archive, query=result.label, page_size=MAX_PAGE_ITEMS)
    try:
        page: archive_pb2.ListVerdictsResponse = await peers.archives.ListVerdicts(request)
    except grpc.RpcError as error:
        _LOGGER.warning("hits are shown without verdicts: %s", of_call(error).detail)
        return result
    by_recording: dict[str, list[archive_pb2.Verdict]] = {}
    for verdict in page.verdicts:
        by_recording.setdefault(verdict.recording, []).append(verdict)
    for hit in result.hits:
        for verdict in by_recording.get(hit.recording, ()):
            if _is_same_place(hit, verdict):
                hit.verdict = VerdictOfHit(id=verdict.id, correct=verdict.correct, author=verdict.author)
    return result


def _is_same_place(hit: HitBody, verdict: archive_pb2.Verdict) -> bool:
    """Returns whether they share at least half of the shorter one, as SetVerdicts decides it."""
    start, end = verdict.interval.start_seconds, verdict.interval.end_seconds
    shared = min(hit.end, end) - max(hit.start, start)
    return shared > 0 and shared >= min(hit.end - hit.start, end - start) / 2


def _result(
    label: str,
    message: search_pb2.SearchResult,
    archive: archive_pb2.Archive,
    settings: SearchSettings,
) -> ResultBody:
    answer = from_message(message)
    hits = [
        HitBody(
            recording=hit.recording,
            path=path_text(hit.path),
            start=hit.start,
            end=hit.end,
            score=hit.score,
            p_correct=hit.p_correct,
            detected=hit.detected,
            channel=hit.channel,
            track=hit.track,
            missing=hit.missing,
        )
        for hit in answer.hits
    ]
    synthesis = answer.synthesis
    return ResultBody(
        label=label,
        hits=hits,
        compared=StretchBody(start=answer.compared[0], end=answer.compared[1]),
        threshold=answer.threshold,
        p_threshold=answer.p_threshold,
        seconds=answer.seconds,
        synthesis=None
        if synthesis is None
        else SynthesisBody.model_validate(vars(synthesis) | {"speakers": list(synthesis.speakers)}),
        warnings=list(answer.warnings),
        confirmed_examples=message.confirmed_examples,
        rejected_places=message.rejected_places,
        advice=list(
            advice(
                answer,
                archive,
                min_score=settings.min_score,
                speed_variants=settings.speed_variants,
                mode=settings.mode,
            )
        ),
    )


def _failed(label: str, problem: Problem) -> ResultBody:
    return ResultBody(
        label=label,
        hits=[],
        compared=StretchBody(start=0.0, end=0.0),
        threshold=0.0,
        p_threshold=None,
        seconds=0.0,
        synthesis=None,
        warnings=[],
        advice=[],
        problem=problem.body(""),
    )
