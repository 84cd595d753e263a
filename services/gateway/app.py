"""The wiring of the gateway: the application, and the server that runs it beside others in a process."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from importlib import metadata
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI

from wordspot.models.temporary import temporary_folder
from wordspot.services.errors import ServiceError
from wordspot.services.gateway import openapi, problems
from wordspot.services.gateway.connection import watched_protocol
from wordspot.services.gateway.guard import RequestGuard
from wordspot.services.gateway.notes import forget, note
from wordspot.services.gateway.page import mount_page
from wordspot.services.gateway.peers import Addresses, Peers
from wordspot.services.gateway.routes import (
    archives,
    embeddings,
    exports,
    matrix,
    models,
    operations,
    recordings,
    searches,
    status,
    tags,
    uploads,
)
from wordspot.services.gateway.spool import Spool
from wordspot.services.gateway.uploads import Uploads
from wordspot.services.limits import MAX_HEAD_BYTES, MAX_JSON_BYTES, MAX_MEDIA_BODY_BYTES
from wordspot.services.runtime import check_exposure, stop_request
from wordspot.services.settings import GatewaySettings, ServerSettings

PREFIX = "/api/v1"
START_TIMEOUT_S = 30.0
BACKLOG = 512
SWEEP_S = 600.0  # between looks for uploads that have expired
_MEDIA = re.compile(rf"{PREFIX}/(archives/[^/]+/(search|matrix|export|import)|models/)")
_UPLOADS = re.compile(rf"{PREFIX}/archives/[^/]+/uploads(/|$)")
_LOGGER = logging.getLogger("wordspot.services.gateway")


def create_app(addresses: Addresses, settings: GatewaySettings | None = None) -> FastAPI:
    """Returns the application, a client of the services at the addresses."""
    settings = settings or GatewaySettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.stopping = asyncio.Event()
        app.state.peers = Peers(addresses, settings.credentials)
        with ExitStack() as leaving:
            spool = Spool(settings.spool or leaving.enter_context(temporary_folder()))
            app.state.uploads = Uploads(spool)
            sweeping = asyncio.create_task(_sweep(spool))
            try:
                yield
            finally:
                sweeping.cancel()
                await app.state.peers.close()

    app = FastAPI(
        title="wordspot",
        version=metadata.version("wordspot"),
        description="Say a word, find every place it was said. Errors are problem+json.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    problems.install(app)
    app.include_router(status.router)
    api = APIRouter(prefix=PREFIX)
    for module in (
        status,
        archives,
        recordings,
        tags,
        uploads,
        operations,
        searches,
        matrix,
        exports,
        models,
        embeddings,
    ):
        api.include_router(module.api)
    app.include_router(api)
    openapi.install(app)
    mount_page(app)
    app.add_middleware(RequestGuard, names=settings.http_names, body_limit=_body_limit)
    return app


async def _sweep(spool: Spool) -> None:
    while True:
        await asyncio.to_thread(spool.sweep)
        await asyncio.sleep(SWEEP_S)


def _body_limit(path: str) -> int | None:
    if _UPLOADS.match(path):
        return None
    return MAX_MEDIA_BODY_BYTES if _MEDIA.match(path) else MAX_JSON_BYTES


class Gateway:
    """The application on a socket, in a thread of its own; a context manager that starts and stops it.

    url: where a browser finds it.

    Args:
        addresses: of the services.
        settings: where to listen, and limits.

    Raises:
        ServiceError: the address is taken.
    """

    def __init__(self, addresses: Addresses, settings: GatewaySettings) -> None:
        listening = replace(settings.security, host=settings.http_host, port=settings.http_port, socket="")
        check_exposure(listening)
        self._socket = _open_socket(settings)
        port = self._socket.getsockname()[1]
        shown = "127.0.0.1" if settings.http_host in ("0.0.0.0", "::", "") else settings.http_host
        scheme = "http" if listening.tls_certificate is None else "https"
        self.url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
        self._note = settings.note
        self._app = create_app(addresses, settings)
        config = uvicorn.Config(
            self._app,
            http=watched_protocol(settings.stream_idle_seconds),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            **_tls(listening),
            timeout_keep_alive=round(settings.connection_idle_seconds),
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        )
        self._server = _Server(config, self._app)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    def start(self) -> None:
        """Takes requests from now on. Raises ServiceError."""
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._thread.start()
        if not self._server.ready.wait(START_TIMEOUT_S):
            raise ServiceError(f"HTTP did not start within {START_TIMEOUT_S:g} s")
        if self._note is not None:
            note(self._note, self.url)

    def stop(self) -> None:
        """Takes no new requests, ends streams of events, gives other requests some seconds."""
        if self._note is not None:
            forget(self._note)
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """Says when it takes requests, and has streams of events end before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.stopping.set()
        await super().shutdown(sockets)


def _open_socket(settings: GatewaySettings) -> socket.socket:
    """Raises ServiceError."""
    try:
        return _listening_socket(settings.http_host, settings.http_port)
    except ServiceError as error:
        if not settings.any_port:
            raise
        _LOGGER.warning("%s; another port serves HTTP", error)
        return _listening_socket(settings.http_host, 0)


def _listening_socket(host: str, port: int) -> socket.socket:
    """Raises ServiceError."""
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][
            0
        ]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServiceError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error


def _tls(settings: ServerSettings) -> dict[str, Any]:
    """Returns what has connections encrypted where the settings say so."""
    if settings.tls_certificate is None:
        return {}
    options: dict[str, Any] = {"ssl_certfile": settings.tls_certificate, "ssl_keyfile": settings.tls_key}
    if settings.tls_client_authority is not None:
        options |= {"ssl_ca_certs": str(settings.tls_client_authority), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options


def run(addresses: Addresses, settings: GatewaySettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    stop_requested = stop_request()
    with Gateway(addresses, settings) as gateway:
        sys.stdout.write(f"wordspot's page is at {gateway.url}\n")
        sys.stdout.flush()
        stop_requested.wait()
