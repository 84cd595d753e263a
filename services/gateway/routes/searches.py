"""Searches: as JSON, as a form with files, as a stream of results."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from wordspot.services.examples import RecordedQuery
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.problems import Problem, of_validation
from wordspot.services.gateway.search_schemas import SearchAnswerBody, SearchBody, SearchForm, SearchSettings
from wordspot.services.gateway.searching import LabelledQuery, read_query, results
from wordspot.services.gateway.sse import Event, event_response
from wordspot.services.limits import MAX_EXAMPLES, MAX_QUERY_BYTES, MAX_STORED_HITS

api = APIRouter(prefix="/archives/{archive}/search", tags=["search"])

Body = TypeVar("Body", bound=BaseModel)

_FORM = "multipart/form-data"
_JSON = "application/json"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"$ref": "#/components/schemas/SearchBody"}},
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["query"],
                    "properties": {
                        "query": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_EXAMPLES,
                            "items": {"type": "string", "format": "binary"},
                        },
                        "options": {"$ref": "#/components/schemas/SearchForm"},
                    },
                },
            },
        },
    }
}


@api.post("", response_model=SearchAnswerBody, operation_id="search", openapi_extra=_BODY)
async def search(archive: str, request: Request, peers: ThePeers) -> Any:
    """Finds where queries are said: JSON, or a form whose files `query` are examples of the same words."""
    settings, queries = await _read(request)
    if len(queries) * settings.top > MAX_STORED_HITS:
        raise Problem(
            422,
            f"queries times top must be at most {MAX_STORED_HITS:,}, got {len(queries)} times "
            f"{settings.top}; search/stream takes more",
            field="queries",
            limit=MAX_STORED_HITS,
        )
    return SearchAnswerBody(results=[item async for item in results(peers, archive, settings, queries)])


@api.post("/stream", operation_id="search_stream", response_class=StreamingResponse, openapi_extra=_BODY)
async def search_stream(archive: str, request: Request, peers: ThePeers) -> StreamingResponse:
    """Finds the same, one event `result` a query, in order, each as soon as it is known."""
    settings, queries = await _read(request)

    async def events() -> AsyncIterator[Event]:
        async for item in results(peers, archive, settings, queries):
            yield "result", item.model_dump()

    return await event_response(request, events())


async def _read(request: Request) -> tuple[SearchSettings, Sequence[LabelledQuery]]:
    """Raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _FORM:
        return await _read_form(request)
    if kind != _JSON:
        raise Problem(415, f"Content-Type must be {_JSON} or {_FORM}, got {kind!r}", field="Content-Type")
    body = parsed(SearchBody, await request.body())
    return body, [read_query(query, f"queries[{number}]") for number, query in enumerate(body.queries)]


async def _read_form(request: Request) -> tuple[SearchSettings, Sequence[LabelledQuery]]:
    async with request.form(max_files=MAX_EXAMPLES, max_fields=1, max_part_size=MAX_QUERY_BYTES) as form:
        files = form.getlist("query")
        if unknown := set(form) - {"query", "options"}:
            raise Problem(422, f"the form must have the parts query and options, got {min(unknown)!r}")
        options = form.get("options", "{}")
        if isinstance(options, UploadFile):
            options = (await options.read()).decode("utf-8", "replace")
        settings = parsed(SearchForm, options.encode(), "options")
        if not files:
            raise Problem(422, "the form must have one file `query` or more, got none", field="query")
        data = [await _read_file(file, number) for number, file in enumerate(files)]
        names = [file.filename or "" if isinstance(file, UploadFile) else "" for file in files]
    interval = _interval(settings)
    examples = [
        RecordedQuery(sound, interval, name or f"example {number}")
        for number, (sound, name) in enumerate(zip(data, names, strict=True), 1)
    ]
    return settings, [LabelledQuery(settings.label or names[0], examples)]


def _interval(settings: SearchForm) -> tuple[float, float] | None:
    """Raises Problem."""
    if (settings.start is None) != (settings.end is None):
        raise Problem(422, "options.start and options.end go together", field="options.start")
    if settings.start is None or settings.end is None:
        return None
    return settings.start, settings.end


async def _read_file(file: UploadFile | str, number: int) -> bytes:
    """Raises Problem."""
    if isinstance(file, str):
        raise Problem(422, f"query[{number}] must be a file, got a field", field=f"query[{number}]")
    if (file.size or 0) > MAX_QUERY_BYTES:
        raise Problem(
            413,
            f"query[{number}] must have at most {MAX_QUERY_BYTES:,} bytes, got {file.size:,}",
            field=f"query[{number}]",
            limit=MAX_QUERY_BYTES,
        )
    return await file.read()


def parsed(model: type[Body], data: bytes, prefix: str = "") -> Body:
    """Returns the value that JSON holds. prefix: of names in errors. Raises Problem."""
    try:
        return model.model_validate(json.loads(data))
    except ValidationError as error:
        raise of_validation(error.errors(), prefix) from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"{prefix or 'the body'} must be JSON: {error}", field=prefix or "body") from None
