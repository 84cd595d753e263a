"""A list of keywords searched at once: how often each is found in each recording."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.search_schemas import (
    ColumnBody,
    KeywordBody,
    MatrixAnswerBody,
    MatrixBody,
    ResultBody,
)
from wordspot.services.gateway.searching import read_query, results
from wordspot.services.gateway.sse import Event, event_response

api = APIRouter(prefix="/archives/{archive}/matrix", tags=["search"])


@dataclass
class Matrix:
    """Counts of keywords by recordings, row after row.

    min_p: an undetected hit counts as uncertain from this probability.
    """

    min_p: float
    keywords: list[KeywordBody] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, list[int]]] = field(default_factory=list)

    def add(self, result: ResultBody) -> dict[str, list[int]]:
        """Adds a row and returns its counts, detected and uncertain, by recording."""
        row: dict[str, list[int]] = {}
        for hit in result.hits:
            if hit.detected or hit.p_correct >= self.min_p:
                self.paths.setdefault(hit.recording, hit.path)
                row.setdefault(hit.recording, [0, 0])[0 if hit.detected else 1] += 1
        self.keywords.append(KeywordBody(label=result.label, problem=result.problem))
        self.rows.append(row)
        return row

    def body(self) -> MatrixAnswerBody:
        """Returns it with the recordings in the order of their paths."""
        columns = sorted(self.paths, key=lambda recording: (self.paths[recording], recording))
        return MatrixAnswerBody(
            keywords=self.keywords,
            recordings=[ColumnBody(id=column, path=self.paths[column]) for column in columns],
            counts=[
                [(counts[0], counts[1]) for counts in (row.get(column, [0, 0]) for column in columns)]
                for row in self.rows
            ],
        )


@api.post("", response_model=MatrixAnswerBody, operation_id="count_keywords")
async def matrix(archive: str, body: MatrixBody, peers: ThePeers) -> Any:
    """Counts where keywords are detected, and where they are uncertain, by recording."""
    table = Matrix(body.min_p)
    queries = [read_query(query, f"queries[{number}]") for number, query in enumerate(body.queries)]
    async for result in results(peers, archive, body, queries):
        table.add(result)
    return table.body()


@api.post("/stream", operation_id="count_keywords_stream", response_class=StreamingResponse)
async def matrix_stream(
    archive: str, body: MatrixBody, peers: ThePeers, request: Request
) -> StreamingResponse:
    """Counts the same: for each an event `keyword` with counts by recording, then `end` with the matrix."""
    queries = [read_query(query, f"queries[{number}]") for number, query in enumerate(body.queries)]

    async def events() -> AsyncIterator[Event]:
        table = Matrix(body.min_p)
        async for result in results(peers, archive, body, queries):
            yield "keyword", {"label": result.label, "problem": result.problem, "counts": table.add(result)}
        yield "end", table.body().model_dump()

    return await event_response(request, events())
