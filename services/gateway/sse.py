"""Server-sent events: `event: NAME`, `data: JSON`, a comment when nothing happens for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from wordspot.services.gateway.problems import of_unknown, request_id_of

HEARTBEAT_S = 15.0
MEDIA_TYPE = "text/event-stream"

Event = tuple[str, Any]
"""Name and data of an event."""


def encoded(name: str, data: Any) -> bytes:
    """Returns an event as it is sent."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()


async def event_response(request: Request, events: AsyncIterator[Event]) -> StreamingResponse:
    """Returns the answer that sends events as they come.

    What goes wrong before the first is raised, so that it has its status; afterwards it is an event `error`
    with a problem, the last. The last event otherwise is `end`, unless the events have one of that name.
    """
    try:
        first = await anext(events)
    except StopAsyncIteration:
        first = ("end", {})
    stream = _stream(request, first, events)
    return StreamingResponse(stream, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})


async def _stream(request: Request, first: Event, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    name = first[0]
    yield encoded(*first)
    stopping: asyncio.Event = request.app.state.stopping
    stopped = asyncio.ensure_future(stopping.wait())
    waiting: asyncio.Future[Event] = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait(
                (waiting, stopped), timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting in done:
                name, data = waiting.result()
                yield encoded(name, data)
                waiting = asyncio.ensure_future(anext(events))
            elif stopped in done:  # the server ends; the browser asks again
                return
            else:
                yield b": nothing new\n\n"
    except StopAsyncIteration:
        if name != "end":
            yield encoded("end", {})
    except Exception as error:
        yield encoded("error", of_unknown(error).body(request_id_of(request.scope)))
    finally:
        stopped.cancel()
        waiting.cancel()
