"""What every service shares: servers, errors, deadlines."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from wordspot.services import errors
from wordspot.services.access.guard import CallGuard, open_guard
from wordspot.services.access.tls import ServerCertificate
from wordspot.services.admission import CallLimit
from wordspot.services.channels import MESSAGE_OPTIONS
from wordspot.services.channels import chunks as chunks
from wordspot.services.channels import open_channel as open_channel
from wordspot.services.errors import CallEnded, DeadlinePassed, MalformedRequest, Overloaded, PeerUnavailable
from wordspot.services.idle import IdleWatch
from wordspot.services.interception import CallInterceptor, current_call, watched_call
from wordspot.services.limits import (
    MAX_CHUNK_BYTES,
    MAX_STREAMS_PER_CONNECTION,
    RETRY_DELAYS_S,
)
from wordspot.services.readiness import Readiness
from wordspot.services.settings import ServerSettings, SettingsError
from wordspot.services.telemetry.observation import Observation
from wordspot.services.telemetry.tracing import Tracer

if TYPE_CHECKING:
    from wordspot.services.telemetry.calls import CallFigures

T = TypeVar("T")

_LOGGER = logging.getLogger("wordspot.services")

SPARE_THREADS = 16
HEALTH_THREADS = 16
_SERVER_OPTIONS = (
    *MESSAGE_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    # Two servers on one port would share the calls between them; the second is to fail instead.
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True)
class Service:
    """One gRPC service.

    name: with its package, for health and reflection.
    register: adds the servicer to a server.
    check: raises an exception while the service cannot be used: its peers, its database or its disk.
    """

    name: str
    register: Callable[[grpc.Server], None]
    check: Callable[[], None] = lambda: None


def create_server(
    services: Sequence[Service], settings: ServerSettings, private_socket: str = ""
) -> tuple[Server, int]:
    """Returns a bound server that does not run yet, and its port (0 on a Unix socket).

    private_socket: as of Server. Raises ServiceError where the address is taken.
    """
    server = Server(services, settings, private_socket)
    return server, server.port


class Server:
    """Servicers with health, reflection, limits and the error table around them."""

    def __init__(
        self, services: Sequence[Service], settings: ServerSettings, private_socket: str = ""
    ) -> None:
        """private_socket: path of a Unix socket to listen on besides; "" for none."""
        check_exposure(settings)
        self._observation = Observation(_figures(settings), _tracer(settings, services))
        self._settings = settings
        # Spare threads turn calls away while all others are taken.
        self._pool = ThreadPoolExecutor(settings.max_calls + SPARE_THREADS, thread_name_prefix="rpc")
        self._health_pool = ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")
        self._watch = IdleWatch(settings.stream_idle_seconds)
        self._server = grpc.server(
            self._pool,
            interceptors=[
                CallInterceptor(
                    CallLimit(settings.max_calls),
                    self._watch,
                    self._health_pool,
                    _guard(settings),
                    self._observation,
                )
            ],
            options=(
                *_SERVER_OPTIONS,
                ("grpc.max_connection_idle_ms", round(settings.connection_idle_seconds * 1000)),
            ),
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in services:
            service.register(self._server)
        self._readiness = Readiness({service.name: service.check for service in services}, self._health)
        if settings.reflection:
            names = [service.name for service in services]
            reflection.enable_server_reflection(
                [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
            )
        try:
            self.port = _listen(self._server, settings)
            if private_socket:
                self._server.add_insecure_port(f"unix:{private_socket}")
        except RuntimeError as error:
            raise errors.ServiceError(f"cannot listen at {settings.address}: {error}") from error
        self.address = settings.address if settings.socket else f"{settings.host}:{self.port}"

    @property
    def figures(self) -> CallFigures | None:
        """Of its calls; None where the settings have nobody read them."""
        return self._observation.figures

    def start(self) -> None:
        """Takes calls from now on."""
        self._readiness.start()
        self._watch.start()
        self._server.start()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Takes no new calls, gives those in progress some seconds, then cancels them."""
        self._readiness.stop()
        self._health.enter_graceful_shutdown()
        self._server.stop(self._settings.grace_seconds if grace_seconds is None else grace_seconds).wait()
        self._watch.stop()
        for pool in (self._pool, self._health_pool):
            pool.shutdown(wait=False)
        self._observation.close()


def serve(server: Server, beside: Beside | None = None) -> None:
    """Runs until SIGTERM or SIGINT; prints the address as a line once calls are taken.

    beside: runs as long; starts after the server and ends before it.
    """
    stop_requested = stop_request()
    server.start()
    try:
        with nullcontext() if beside is None else beside:
            sys.stdout.write(f"wordspot listens at {server.address}\n")
            if beside is not None:
                sys.stdout.write(f"wordspot's page is at {beside.url}\n")
            sys.stdout.flush()
            stop_requested.wait()
    finally:
        server.stop()


def stop_request() -> threading.Event:
    """Returns the event that SIGTERM and SIGINT set from now on."""
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    return stop_requested


class Beside(Protocol):
    """What runs beside a server.

    url: where a browser finds it.
    """

    url: str

    def __enter__(self) -> object: ...

    def __exit__(self, *raised: Any) -> None: ...


def _listen(server: grpc.Server, settings: ServerSettings) -> int:
    """Binds a server and returns its port, 0 for a Unix socket. Raises RuntimeError, ServiceError."""
    if settings.tls_certificate is None or settings.tls_key is None or settings.socket:
        return server.add_insecure_port(settings.address)
    certificate = ServerCertificate(settings.tls_certificate, settings.tls_key, settings.tls_client_authority)
    return server.add_secure_port(settings.address, certificate.credentials())


def _guard(settings: ServerSettings) -> CallGuard:
    """Returns who may call a server. Raises ServiceError."""
    provider = None
    if settings.oidc_issuer:
        from wordspot.services.access.oidc import Provider, Verifier

        provider = Verifier(Provider(settings.oidc_issuer, settings.oidc_audience, settings.oidc_keys))
    return open_guard(settings.tokens, provider, settings.audit_log)


def _figures(settings: ServerSettings) -> CallFigures | None:
    if settings.metrics_port is None:
        return None
    from wordspot.services.telemetry.calls import CallFigures

    return CallFigures()


def _tracer(settings: ServerSettings, services: Sequence[Service]) -> Tracer | None:
    """Returns what spans go to, None for nowhere. Raises ServiceError."""
    if not settings.traces:
        return None
    names = {service.name.rpartition(".")[2] for service in services}
    return Tracer(settings.traces, f"wordspot {' '.join(sorted(names))}")


def check_exposure(settings: ServerSettings) -> None:
    """Raises SettingsError for a server that anybody in the network could call or overhear."""
    if settings.is_local:
        return
    lacking = [
        *(["TLS (WORDSPOT_TLS_CERTIFICATE, WORDSPOT_TLS_KEY)"] if settings.tls_certificate is None else []),
        *([] if settings.asks_for_tokens else ["tokens (`wordspot token create`, WORDSPOT_TOKENS)"]),
    ]
    if not lacking:
        return
    exposed = f"{settings.host} can be reached from other machines without {' and '.join(lacking)}"
    if not settings.insecure:
        raise SettingsError(
            f"{exposed}; --insecure (WORDSPOT_INSECURE=1) allows it on a network that you trust"
        )
    _LOGGER.warning(exposed)


_NEVER = 10.0 * 365 * 24 * 3600  # gRPC gives calls without a deadline one far away


def time_remaining() -> float | None:
    """Returns the seconds until the deadline of the call that this thread serves; None without either."""
    context = current_call.get()
    remaining = None if context is None else context.time_remaining()
    return None if remaining is None or remaining > _NEVER else remaining


def ensure_wanted() -> None:
    """Raises DeadlinePassed or CallEnded once nobody waits for this thread's answer; for long loops."""
    context = current_call.get()
    if context is None:
        return
    if context.time_remaining() <= 0:
        raise DeadlinePassed("the deadline passed while the call was being served")
    if not context.is_active():
        raise CallEnded("the caller has gone")


def parked(items: Iterator[T]) -> Iterator[T]:
    """Yields the items; until each comes, the call that this thread serves may end to make room."""
    call = watched_call.get()
    while True:
        with nullcontext() if call is None else call.parked():
            item = next(items, None)
        if item is None:
            return
        yield item


def with_retries(call: Callable[[], T]) -> T:
    """Returns what the call returns, after more attempts where it was turned away or cut off.

    Raises what the last attempt raises.
    """
    for delay in RETRY_DELAYS_S:
        try:
            return call()
        except (Overloaded, PeerUnavailable):
            ensure_wanted()
            time.sleep(delay)
    return call()


def first_part(requests: Iterator[Any], part: str) -> Any:
    """Returns what the first message of a stream holds. Raises MalformedRequest unless that is `part`."""
    message = next(requests, None)
    first = None if message is None else message.WhichOneof("part")
    if first != part:
        raise MalformedRequest(f"the first message must hold {part}, got {first or 'nothing'}", "part")
    return getattr(message, part)


def later_part(request: Any, *parts: str) -> str:
    """Returns which of `parts` a later message of a stream holds. Raises MalformedRequest if none."""
    part: str | None = request.WhichOneof("part")
    if part not in parts:
        raise MalformedRequest(
            f"a later message must hold {' or '.join(parts)}, got {part or 'nothing'}", "part"
        )
    return part


def checked_chunk(chunk: bytes, field: str) -> bytes:
    """Returns the chunk. field: of the message. Raises MalformedRequest above MAX_CHUNK_BYTES."""
    if len(chunk) > MAX_CHUNK_BYTES:
        raise MalformedRequest(
            f"{field} must have at most {MAX_CHUNK_BYTES:,} bytes, got {len(chunk):,}", field
        )
    return chunk
