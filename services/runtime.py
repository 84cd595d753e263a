"""What every service shares: servers, channels, limits, errors, deadlines.

Limits: messages of at most 16 MB both ways, chunk fields of at most 256 KiB, a query's file of at most
32 MiB.

`service_config.json` is the retry policy of every channel opened here. Calls that read, and calls that a
request id or their nature makes harmless to repeat, are tried up to four times on UNAVAILABLE with
exponential backoff. Uploads, embedding and segmentation send more than a channel buffers for a retry;
their callers repeat them. Nothing is retried on any other status.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from wordspot.services import errors
from wordspot.services.errors import CallEnded, DeadlinePassed, MalformedRequest, Overloaded, PeerUnavailable
from wordspot.services.settings import ServerSettings

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_CHUNK_BYTES = 256 * 1024
MAX_QUERY_BYTES = 32 * 1024 * 1024
MAX_EXAMPLES = 16  # of one query
MAX_SPEAKERS = 8  # of what was typed

PATIENCE = (0.2, 0.5, 1.0, 2.0)  # seconds between attempts at a service that is busy

T = TypeVar("T")

_LOGGER = logging.getLogger("wordspot.services")
_MESSAGE_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
_SERVER_OPTIONS = (
    *_MESSAGE_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Two servers on one port would share the calls between them; the second is to fail instead.
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True)
class Service:
    """name: with its package, for health and reflection. register: adds the servicer to a server."""

    name: str
    register: Callable[[grpc.Server], None]


def create_server(services: Sequence[Service], settings: ServerSettings) -> tuple[Server, int]:
    """A bound server that does not run yet, and its port (0 on a Unix socket). Raises ServiceError."""
    server = Server(services, settings)
    return server, server.port


class Server:
    """Servicers with health, reflection, limits and the error table around them."""

    def __init__(self, services: Sequence[Service], settings: ServerSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.max_calls, thread_name_prefix="rpc")
        # As many calls as threads: a call is turned away rather than left waiting for another to end.
        self._server = grpc.server(
            self._pool,
            interceptors=[_ErrorInterceptor()],
            options=_SERVER_OPTIONS,
            maximum_concurrent_rpcs=settings.max_calls,
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in services:
            service.register(self._server)
            self._health.set(service.name, health_pb2.HealthCheckResponse.SERVING)
        if settings.reflection:
            names = [service.name for service in services]
            reflection.enable_server_reflection(
                [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
            )
        try:
            self.port = self._server.add_insecure_port(settings.address)
        except RuntimeError as error:
            raise errors.ServiceError(f"cannot listen at {settings.address}: {error}") from error
        self.address = settings.address if settings.socket else f"{settings.host}:{self.port}"

    def start(self) -> None:
        self._server.start()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Takes no new calls, gives those under way some seconds, then cuts them off."""
        self._health.enter_graceful_shutdown()
        self._server.stop(self._settings.grace_seconds if grace_seconds is None else grace_seconds).wait()
        self._pool.shutdown(wait=False)


def serve(server: Server) -> None:
    """Runs until SIGTERM or SIGINT; prints the address as a line once calls are taken."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    server.start()
    sys.stdout.write(f"wordspot listens at {server.address}\n")
    sys.stdout.flush()
    asked.wait()
    server.stop()


def open_channel(address: str) -> grpc.Channel:
    """address: host:port or unix:PATH. Connects at the first call."""
    config = resources.files(__package__).joinpath("service_config.json").read_text()
    return grpc.insecure_channel(
        address,
        options=(
            *_MESSAGE_OPTIONS,
            ("grpc.service_config", config),
            ("grpc.enable_http_proxy", 0),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ),
    )


_call: ContextVar[grpc.ServicerContext | None] = ContextVar("call", default=None)
_NEVER = 10.0 * 365 * 24 * 3600  # gRPC gives calls without a deadline one far away


def time_remaining() -> float | None:
    """Seconds until the deadline of the call that this thread serves; None without call or deadline."""
    context = _call.get()
    remaining = None if context is None else context.time_remaining()
    return None if remaining is None or remaining > _NEVER else remaining


def ensure_wanted() -> None:
    """For long loops: raises DeadlinePassed or CallEnded once nobody waits for this thread's answer."""
    context = _call.get()
    if context is None:
        return
    if context.time_remaining() <= 0:
        raise DeadlinePassed("the deadline passed while the call was being served")
    if not context.is_active():
        raise CallEnded("the caller has gone")


def patiently(call: Callable[[], T]) -> T:
    """Repeats a call that was turned away or cut off; both services keep nothing of it."""
    for pause in PATIENCE:
        try:
            return call()
        except (Overloaded, PeerUnavailable):
            ensure_wanted()
            time.sleep(pause)
    return call()


def opening(requests: Iterator[Any], part: str) -> Any:
    """What the first message of a stream holds. Raises MalformedRequest unless that is `part`."""
    first = next(requests, None)
    found = None if first is None else first.WhichOneof("part")
    if found != part:
        raise MalformedRequest(f"the first message holds {found or 'nothing'}; {part} is allowed", "part")
    return getattr(first, part)


def following(request: Any, *parts: str) -> str:
    """Which of `parts` a later message of a stream holds. Raises MalformedRequest if none."""
    found: str | None = request.WhichOneof("part")
    if found not in parts:
        raise MalformedRequest(
            f"a later message holds {found or 'nothing'}; {' or '.join(parts)} is allowed", "part"
        )
    return found


def checked_chunk(chunk: bytes, field: str) -> bytes:
    """Raises MalformedRequest above MAX_CHUNK_BYTES."""
    if len(chunk) > MAX_CHUNK_BYTES:
        raise MalformedRequest(
            f"{field} holds {len(chunk)} bytes; at most {MAX_CHUNK_BYTES} are allowed", field
        )
    return chunk


def chunks(data: bytes, unit: int = 1) -> Iterator[bytes]:
    """data in pieces of at most MAX_CHUNK_BYTES, each a multiple of `unit` bytes."""
    step = max(MAX_CHUNK_BYTES // unit, 1) * unit
    for start in range(0, len(data), step):
        yield data[start : start + step]


_OURS = ("/wordspot.", "/inference.")


class _ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Turns what handlers raise into statuses and tells the thread which call it serves."""

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OURS):
            return handler
        if handler.response_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            behaviour = _guarded_stream(handler.stream_stream or handler.unary_stream)
        else:
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            behaviour = _guarded(handler.stream_unary or handler.unary_unary)
        return make(
            behaviour,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _guarded(
    behaviour: Callable[[Any, grpc.ServicerContext], Any],
) -> Callable[[Any, grpc.ServicerContext], Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        _call.set(context)
        try:
            return behaviour(request, context)
        except Exception as error:
            _abort(context, error)

    return answer


def _guarded_stream(
    behaviour: Callable[[Any, grpc.ServicerContext], Iterator[Any]],
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def answers(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _call.set(context)
        try:
            yield from behaviour(request, context)
        except Exception as error:
            _abort(context, error)

    return answers


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
    status = errors.to_status(error)
    if status is None:
        # A request stream raises RpcError when the caller goes away: nobody is left to tell.
        if not isinstance(error, grpc.RpcError) or context.is_active():
            _LOGGER.exception("unforeseen error while serving a call", exc_info=error)
        status = errors.internal_status()
    context.abort_with_status(rpc_status.to_status(status))
