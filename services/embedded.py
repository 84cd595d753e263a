"""All services in one process: behind one port for `wordspot serve all`, behind a private Unix socket for
the command line without a server.

The searcher calls segmenter and model host directly: no audio is sent from this process to itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.indexer.search.dtw import load_compiled
from wordspot.models.temporary import PREFIX, temporary_folder
from wordspot.services.errors import ServiceError
from wordspot.services.local_peers import LocalEncoders, LocalSegmenter
from wordspot.services.modelhost.repository import ModelRepository, load_models
from wordspot.services.runtime import Server, create_server, serve, stop_request
from wordspot.services.settings import (
    GatewaySettings,
    ModelHostSettings,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)
from wordspot.services.telemetry.exposition import served
from wordspot.v1.segmentation_pb2 import DETECTOR_UNSPECIFIED

if TYPE_CHECKING:
    from wordspot.services.gateway.app import Gateway

MAX_SOCKET_PATH_BYTES = 100  # the kernel allows 107


@dataclass(frozen=True)
class EmbeddedSettings:
    """Settings of all services in one process.

    segmenter, modelhost, searcher: of the services; the addresses in `searcher` are not used.
    server: where they listen; None for a private Unix socket.
    gateway: where HTTP listens; None for nowhere. The addresses in it are not used.
    """

    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    modelhost: ModelHostSettings = field(default_factory=ModelHostSettings)
    searcher: SearcherSettings = field(default_factory=SearcherSettings)
    server: ServerSettings | None = None
    gateway: GatewaySettings | None = None

    @classmethod
    def of_home(
        cls,
        home: Path,
        environment: Mapping[str, str],
        *,
        wait_seconds: float | None = None,
        read_only: bool = False,
    ) -> EmbeddedSettings:
        """Returns settings for one user's own files: any path may be added and is decoded in this process.

        wait_seconds, read_only: as in SearcherSettings; None for what the environment says.
        """
        return cls(
            segmenter=SegmenterSettings.read(environment),
            modelhost=ModelHostSettings.read(environment, home=home),
            searcher=SearcherSettings.read(
                environment,
                home=home,
                roots=(Path("/"),),
                isolate=False,
                resume=False,
                scrub_hours=0,
                wait_seconds=wait_seconds,
                read_only=read_only,
            ),
        )


class EmbeddedServer:
    """All services behind one address; a context manager that starts and stops them.

    metrics_port: where Prometheus finds figures; None for nowhere.
    query_bytes: what the queries of all callers hold.
    private_address: where the services listen for this process alone.

    Args:
        settings: of the services.
        models: the repository; None for that of the settings.
    """

    def __init__(self, settings: EmbeddedSettings, models: ModelRepository | None = None) -> None:
        from wordspot.services.modelhost import app as modelhost
        from wordspot.services.searcher import app as searcher
        from wordspot.services.segmenter import app as segmenter

        with ExitStack() as leaving:
            folder = leaving.enter_context(_socket_folder())
            models = models or load_models(settings.modelhost)
            leaving.callback(models.close)
            private = str(folder / "socket")
            self.private_address = f"unix:{private}"
            listening = settings.server or ServerSettings(socket=private)
            segmenters = segmenter.segmenters(settings.segmenter)
            archive = searcher.Searcher(
                settings.searcher,
                LocalSegmenter(lambda: segmenters(DETECTOR_UNSPECIFIED)),
                LocalEncoders(models).get,
            )
            leaving.callback(archive.close)
            self.query_bytes = archive.query_bytes
            services = [
                segmenter.service(segmenters, settings.segmenter),
                *modelhost.services(models, settings.modelhost),
                *archive.services,
            ]
            self.server: Server
            besides = private if settings.gateway is not None and settings.server is not None else ""
            self.server, _ = create_server(services, listening, besides)
            self.metrics_port = leaving.enter_context(
                served(
                    lambda: [self.server.figures, modelhost.figures(models), archive.figures()],
                    listening.metrics_host,
                    listening.metrics_port,
                )
            )
            self._closing = leaving.pop_all()

    @property
    def address(self) -> str:
        """Where the services listen, host:port or unix:PATH."""
        return self.server.address

    def __enter__(self) -> EmbeddedServer:
        self.server.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.server.stop(0)
        self.close()

    def close(self) -> None:
        """Releases everything; to be called after the server has stopped."""
        self._closing.close()


def run(settings: EmbeddedSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    load_compiled()
    embedded = EmbeddedServer(settings)
    try:
        serve(embedded.server, _gateway(embedded.private_address, settings.gateway))
    finally:
        embedded.close()


def open_page(settings: EmbeddedSettings, shown: Callable[[str], None]) -> None:
    """Serves the page alone until asked to end, the services behind it for this process only.

    shown: called with the page's address once it is there.
    """
    load_compiled()
    stop_requested = stop_request()
    with EmbeddedServer(settings) as embedded:
        gateway = _gateway(embedded.private_address, settings.gateway)
        assert gateway is not None
        with gateway:
            shown(gateway.url)
            stop_requested.wait()


def _gateway(address: str, settings: GatewaySettings | None) -> Gateway | None:
    """Returns the gateway to the services at an address; None where there is to be none."""
    if settings is None:
        return None
    from wordspot.services.gateway.app import Gateway
    from wordspot.services.gateway.peers import Addresses

    return Gateway(Addresses(address, address), settings)


@contextmanager
def serving_models(settings: ModelHostSettings) -> Iterator[str]:
    """Runs a model service in this process, without an archive; yields its address."""
    from wordspot.services.modelhost import app as modelhost

    with _socket_folder() as folder, closing(load_models(settings)) as models:
        listening = ServerSettings(socket=str(folder / "socket"))
        server, _ = create_server([modelhost.model_service(models)], listening)
        server.start()
        try:
            yield server.address
        finally:
            server.stop(0)


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """Gives a folder for a socket. Raises ServiceError if none can be made."""
    with ExitStack() as leaving:
        try:
            folder = leaving.enter_context(temporary_folder(_socket_parent()))
        except OSError as error:
            raise ServiceError(
                f"temporary files cannot be written ({error.strerror}): set TMPDIR to a folder that can be"
            ) from error
        yield folder


def _socket_parent() -> Path:
    """Returns the folder of temporary files, or /tmp where a socket's path there would be too long."""
    folder = Path(tempfile.gettempdir())
    longest_path = folder / f"{PREFIX}{'x' * 8}" / "socket"
    return folder if len(str(longest_path).encode()) <= MAX_SOCKET_PATH_BYTES else Path("/tmp")
