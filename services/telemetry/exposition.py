"""Figures for Prometheus: http://HOST:PORT/metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wordspot.services.errors import ServiceError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector


@contextmanager
def served(
    collectors: Callable[[], Iterable[Collector | None]], host: str, port: int | None
) -> Iterator[int | None]:
    """Serves figures in the context, and yields the port.

    Args:
        collectors: gives what collects the figures; called, as the library is imported, only with a port.
        host: where to listen.
        port: 0 for any; None serves none.

    Raises:
        ServiceError: the port is taken.
    """
    if port is None:
        yield None
        return
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    for collector in collectors():
        if collector is not None:
            registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ServiceError(f"cannot serve metrics at {host}:{port}: {error}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
