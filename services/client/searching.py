"""Search, as a client asks for it."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from wordspot.indexer.errors import InvalidInput, Overloaded
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.records import Hit, Mode
from wordspot.services.answers import SearchAnswer, from_message
from wordspot.services.client.connection import Connection
from wordspot.services.client.matrices import (
    MATRIX_HITS,
    MIN_UNCERTAIN_P,
    KeywordMatrix,
    MatrixBuilder,
    keyword_of,
)
from wordspot.services.client.query_messages import QueryStream, check_search_options, mode_value
from wordspot.services.client.retries import Retries
from wordspot.services.errors import PeerUnavailable, translated
from wordspot.services.examples import Query
from wordspot.services.limits import DEFAULT_HITS
from wordspot.services.recording_filters import filter_message
from wordspot.v1 import search_pb2


class SearchCalls(Connection):
    """What a client asks of archives."""

    def search(
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
        """Returns where a query occurs, detected hits first, each kind best first.

        Warns of what was not searched because it is damaged.

        Args:
            query: a file's path or bytes, a FileQuery or a StoredQuery, or up to 16 of them that are examples
                of the same words; or a TypedQuery, alone or with StoredQueries.
            archive: its name.
            top: hits at most, 1 to 10,000.
            min_score: only hits with at least this score; may lie below the detections' with all_hits.
            all_hits: the whole ranking, up to `top`, not only what is detected.
            recordings: search only these, by id; all where empty.
            encoder: refuse an archive with another.
            speed_variants: 1, 3, 5, 7 or 9 speeds at which each example is searched for, in so many times the
                time; finds more of other speakers.
            mode: whether places are to sound like the query ("sound"), to mean the same ("meaning"), or
                "both"; the latter two need an encoder that knows meanings.
            channel: search only this channel of recordings, from 1; 0 for all.
            filter: search only the recordings that match, as if there were no others; None for all.
            with_verdicts: use the verdicts of the query's label: places that are right join the examples,
                places that are wrong are left out.

        Raises:
            InvalidInput: the query cannot be used, or an option is outside its limits.
            NotFound: there is no such archive or recording, none that matches the filter, or none
                that has the channel by itself.
            FailedPrecondition: the archive is not indexed, or with another encoder.
        """
        (answer,) = self.search_batch(
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
        return _hits_of(answer)

    def matrix(
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
        """Returns how often each of many keywords is found in each recording.

        Args:
            queries: a keyword each, named by its label, its text or its file.
            archive: its name.
            top: hits a keyword at most, 1 to 10,000.
            min_p: an undetected hit counts as uncertain from this p_correct.
            recordings: and what follows: as `search` takes them.
            encoder: likewise.
            speed_variants: likewise.
            mode: likewise.
            filter: likewise.
            with_verdicts: likewise.

        Raises:
            ArchiveError: what `search_batch` raises. A query that cannot be used is among the problems.
        """
        asked, builder = list(queries), MatrixBuilder(min_p)
        answers = self.search_batch(
            asked,
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
        for query, answer in zip(asked, answers, strict=True):
            builder.add(keyword_of(query), answer)
        return builder.matrix()

    def search_batch(
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
    ) -> Iterator[SearchAnswer]:
        """Yields one answer a query, in order, each as soon as it is known.

        A query that cannot be used gets an answer with a problem; anything else that goes wrong is raised.
        Arguments and errors are those of `search`.
        """
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
        waiting = deque(queries)
        retries = Retries(self._retry_timeout)
        while waiting:
            stream = QueryStream(options, waiting)
            try:
                with translated(self.address):
                    seconds = None if self._timeout is None else self._timeout * len(waiting)
                    for response in self._searches.Search(stream.requests(), timeout=seconds):
                        waiting.popleft()
                        yield from_message(response.result)
                        retries = Retries(self._retry_timeout)
                problem = stream.problem
            except InvalidInput as error:
                # Of the first query without an answer; the stream may have read on to another problem.
                problem = error
            except (Overloaded, PeerUnavailable) as error:
                if not retries.pause(error):
                    raise
                continue
            if problem is not None:
                waiting.popleft()
                yield SearchAnswer(problem=str(problem))


def _hits_of(answer: SearchAnswer) -> list[Hit]:
    """Returns the hits of an answer, and warns the caller's caller. Raises InvalidInput for a problem."""
    if answer.problem:
        raise InvalidInput(answer.problem)
    for warning in answer.warnings:
        warnings.warn(warning, stacklevel=3)
    return list(answer.hits)


def search_options(
    archive: str,
    *,
    top: int,
    min_score: float | None,
    all_hits: bool,
    recordings: Sequence[str],
    encoder: str | None,
    speed_variants: int,
    mode: str,
    filter: RecordingFilter | None,
    with_verdicts: bool,
    channel: int = 0,
) -> search_pb2.SearchOptions:
    """Returns the message of the arguments of `SearchCalls.search`. Raises InvalidInput."""
    check_search_options(top, min_score)
    return search_pb2.SearchOptions(
        archive=archive,
        top_k=top,
        min_score=min_score,
        include_undetected=all_hits,
        recordings=recordings,
        encoder=encoder or "",
        voices=speed_variants,
        mode=mode_value(mode),
        filter=filter_message(filter),
        with_verdicts=with_verdicts,
        channel=channel,
    )
