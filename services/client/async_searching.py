"""Search, as a client asks for it by asyncio."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc

from wordspot.indexer.errors import InvalidInput, Overloaded
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.records import Hit, Mode
from wordspot.services.answers import SearchAnswer, from_message
from wordspot.services.client.async_connection import SEARCHES, AsyncConnection
from wordspot.services.client.matrices import (
    MATRIX_HITS,
    MIN_UNCERTAIN_P,
    KeywordMatrix,
    MatrixBuilder,
    keyword_of,
)
from wordspot.services.client.query_messages import query_requests
from wordspot.services.client.retries import Retries
from wordspot.services.client.searching import search_options
from wordspot.services.errors import PeerUnavailable, from_call
from wordspot.services.examples import Query
from wordspot.services.limits import DEFAULT_HITS
from wordspot.v1 import search_pb2


class AsyncSearchCalls(AsyncConnection):
    """What a client asks of archives."""

    async def search(
        self,
        query: Query,
        archive: str = "default",
        *,
        top: int = DEFAULT_HITS,
        min_score: float | None = None,
        all_hits: bool = False,
        recordings: Sequence[str] = (),
        encoder: str | None = None,
        speed_variants: int = 1,
        mode: str = Mode.SOUND,
        filter: RecordingFilter | None = None,
        with_verdicts: bool = False,
        channel: int = 0,
    ) -> list[Hit]:
        """Returns what `Client.search` returns."""
        answers = self.search_batch(
            [query],
            archive,
            top=top,
            min_score=min_score,
            all_hits=all_hits,
            recordings=recordings,
            encoder=encoder,
            speed_variants=speed_variants,
            mode=mode,
            filter=filter,
            with_verdicts=with_verdicts,
            channel=channel,
        )
        (answer,) = [answer async for answer in answers]
        if answer.problem:
            raise InvalidInput(answer.problem)
        for warning in answer.warnings:
            warnings.warn(warning, stacklevel=2)
        return list(answer.hits)

    async def matrix(
        self,
        queries: Iterable[Query],
        archive: str = "default",
        *,
        top: int = MATRIX_HITS,
        min_p: float = MIN_UNCERTAIN_P,
        recordings: Sequence[str] = (),
        encoder: str | None = None,
        speed_variants: int = 1,
        mode: str = Mode.SOUND,
        filter: RecordingFilter | None = None,
        with_verdicts: bool = False,
    ) -> KeywordMatrix:
        """Returns what `Client.matrix` returns."""
        asked, builder = deque(queries), MatrixBuilder(min_p)
        answers = self.search_batch(
            list(asked),
            archive,
            top=top,
            all_hits=True,
            recordings=recordings,
            encoder=encoder,
            speed_variants=speed_variants,
            mode=mode,
            filter=filter,
            with_verdicts=with_verdicts,
        )
        async for answer in answers:
            builder.add(keyword_of(asked.popleft()), answer)
        return builder.matrix()

    async def search_batch(
        self,
        queries: Iterable[Query],
        archive: str = "default",
        *,
        top: int = DEFAULT_HITS,
        min_score: float | None = None,
        all_hits: bool = False,
        recordings: Sequence[str] = (),
        encoder: str | None = None,
        speed_variants: int = 1,
        mode: str = Mode.SOUND,
        filter: RecordingFilter | None = None,
        with_verdicts: bool = False,
        channel: int = 0,
    ) -> AsyncIterator[SearchAnswer]:
        """Yields what `Client.search_batch` yields."""
        options = search_options(
            archive,
            top=top,
            min_score=min_score,
            all_hits=all_hits,
            recordings=recordings,
            encoder=encoder,
            speed_variants=speed_variants,
            mode=mode,
            filter=filter,
            with_verdicts=with_verdicts,
            channel=channel,
        )
        await self._open()
        waiting = deque(queries)
        retries = Retries(self._retry_timeout)
        while waiting:
            stream = _AsyncQueryStream(options, waiting)
            try:
                async for answer in self._answers(stream, len(waiting)):
                    waiting.popleft()
                    yield answer
                    retries = Retries(self._retry_timeout)
                problem = stream.problem
            except InvalidInput as error:
                problem = error  # as in Client.search_batch
            except (Overloaded, PeerUnavailable) as error:
                if (delay := retries.delay(error)) is None:
                    raise
                await asyncio.sleep(delay)
                continue
            if problem is not None:
                waiting.popleft()
                yield SearchAnswer(problem=str(problem))

    async def _answers(self, stream: _AsyncQueryStream, count: int) -> AsyncIterator[SearchAnswer]:
        """Yields the answers of one call. Raises what it ends with."""
        seconds = None if self._timeout is None else self._timeout * count
        call: Any = self._stubs[SEARCHES].Search(stream.requests(), timeout=seconds, metadata=self._metadata)
        try:
            async for response in call:
                yield from_message(response.result)
        except grpc.aio.AioRpcError as error:
            raise from_call(error, self.address) from error
        finally:
            call.cancel()


class _AsyncQueryStream:
    """Requests for queries, one after another, as `QueryStream`; files are read in a thread."""

    def __init__(self, options: search_pb2.SearchOptions, queries: Iterable[Query]) -> None:
        self._options = options
        self._queries = list(queries)
        self.problem: InvalidInput | None = None

    async def requests(self) -> AsyncIterator[search_pb2.SearchRequest]:
        yield search_pb2.SearchRequest(options=self._options)
        for query in self._queries:
            try:
                messages = await asyncio.to_thread(_messages, query)
            except InvalidInput as error:
                self.problem = error
                return
            for message in messages:
                yield message


def _messages(query: Query) -> list[search_pb2.SearchRequest]:
    return list(query_requests(query))
