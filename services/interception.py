"""What surrounds every handler: the limit on calls, the watch over idle callers, the error table.

Requests that are one message are read here as streams of one, which on the wire is the same: gRPC would
otherwise hold a thread until the message comes, unwatched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health
from grpc_status import rpc_status

from wordspot.services import errors
from wordspot.services.access.guard import CallGuard
from wordspot.services.admission import CallLimit
from wordspot.services.errors import MalformedRequest, Overloaded
from wordspot.services.idle import IdleWatch, WatchedCall
from wordspot.services.telemetry.observation import Observation

Behaviour = Callable[..., Any]

current_call: ContextVar[grpc.ServicerContext | None] = ContextVar("call", default=None)
"""The call that this thread serves."""
watched_call: ContextVar[WatchedCall | None] = ContextVar("watched call", default=None)
"""The same, as it is watched."""

_LOGGER = logging.getLogger("wordspot.services")


class CallInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Admits calls, watches them, and turns what handlers raise into statuses.

    Args:
        limit: of calls under way; those of the health service do not count.
        watch: over calls whose callers are idle.
        health_pool: threads of the health service.
        guard: who may call; the health service answers anybody.
        observation: what is told of calls.
    """

    def __init__(
        self,
        limit: CallLimit,
        watch: IdleWatch,
        health_pool: ThreadPoolExecutor,
        guard: CallGuard,
        observation: Observation,
    ) -> None:
        self._observation = observation
        self._guard = guard
        self._limit = limit
        self._watch = watch
        self._health_pool = health_pool

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the handler of a method, admitted, watched and translated; None where there is none."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        single, method = not handler.request_streaming, handler_call_details.method
        if method.startswith(f"/{health.SERVICE_NAME}/"):
            behaviour = self._of_health(handler)
        elif handler.response_streaming:
            behaviour = self._streaming(method, handler.stream_stream or handler.unary_stream, single)
        else:
            behaviour = self._answering(method, handler.stream_unary or handler.unary_unary, single)
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(
            behaviour,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    @contextmanager
    def _admitted(self, method: str, context: grpc.ServicerContext) -> Iterator[WatchedCall]:
        current_call.set(context)
        try:
            with (
                self._observation.observed(method, context.invocation_metadata()),
                self._guard.entered(method, context),
                self._limit.admitted(),
                self._watch.watched(context) as call,
            ):
                watched_call.set(call)
                yield call
        except Overloaded:
            if self._limit.full:
                self._watch.make_room()
            raise

    def _answering(self, method: str, behaviour: Behaviour, single: bool) -> Behaviour:
        def answer(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            try:
                with self._admitted(method, context) as call:
                    return behaviour(_request(call, requests, single), context)
            except Exception as error:
                _abort(context, error)

        return answer

    def _streaming(self, method: str, behaviour: Behaviour, single: bool) -> Behaviour:
        def answers(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                with self._admitted(method, context) as call:
                    yield from call.sent(behaviour(_request(call, requests, single), context))
            except Exception as error:
                _abort(context, error)

        return answers

    def _of_health(self, handler: Any) -> Behaviour:
        """Returns the health service's behaviour, in threads of its own; Watch holds none while it waits."""
        behaviour = handler.unary_stream or handler.unary_unary

        def answer(requests: Iterator[Any], context: grpc.ServicerContext, *send: Any, **sends: Any) -> Any:
            try:
                with self._watch.watched(context) as call:
                    request = _request(call, requests, single=True)
                return behaviour(request, context, *send, **sends)
            except Exception as error:
                _abort(context, error)

        answer.experimental_thread_pool = self._health_pool  # type: ignore[attr-defined]
        answer.experimental_non_blocking = handler.response_streaming  # type: ignore[attr-defined]
        return answer


def _request(call: WatchedCall, requests: Iterator[Any], single: bool) -> Any:
    """Returns the message, or the stream of messages.

    Raises MalformedRequest, of a stream while it is read.
    """
    messages = map(_decoded, call.received(requests))
    if not single:
        return messages
    for message in messages:
        return message
    raise MalformedRequest("the call must have one message, got none")


@dataclass(frozen=True)
class _Undecodable:
    """Stands for a message that could not be decoded, for which gRPC itself would answer INTERNAL."""

    size_bytes: int


def _tolerant(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError:
            return _Undecodable(len(data))

    return decode


def _decoded(request: Any) -> Message:
    """Returns the message. Raises MalformedRequest."""
    if isinstance(request, _Undecodable):
        raise MalformedRequest(f"a message of {request.size_bytes} bytes is not of the type of this call")
    message: Message = request
    return message


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
    status = errors.to_status(error)
    if status is None:
        # A request stream raises RpcError when the caller goes away: nobody is left to tell.
        if not isinstance(error, grpc.RpcError) or context.is_active():
            _LOGGER.exception("unexpected error while serving a call", exc_info=error)
        status = errors.internal_status()
    context.abort_with_status(rpc_status.to_status(status))
