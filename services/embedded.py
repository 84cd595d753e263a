"""All services in one process: behind one port for `wordspot serve all`, behind a private Unix socket for
the command line without a server.

The searcher calls segmenter and model host directly: no audio is sent from this process to itself.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from wordspot.services.modelhost import hosting, metrics
from wordspot.services.modelhost.scheduler import Encoders
from wordspot.services.runtime import Server, create_server, serve
from wordspot.services.settings import ModelHostSettings, SearcherSettings, SegmenterSettings, ServerSettings
from wordspot.services.within import LocalEncoders, LocalSegmenter
from wordspot.v1.segmentation_pb2 import DETECTOR_UNSPECIFIED

LONGEST_SOCKET = 100  # bytes; the kernel allows 107


@dataclass(frozen=True)
class Settings:
    """searcher.segmenter and searcher.modelhost are not used.

    server: None for a private Unix socket.
    """

    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    modelhost: ModelHostSettings = field(default_factory=ModelHostSettings)
    searcher: SearcherSettings = field(default_factory=SearcherSettings)
    server: ServerSettings | None = None

    @classmethod
    def of_home(cls, home: Path, environment: Mapping[str, str]) -> Settings:
        """For one user's own files: any path may be added, decoding needs no process of its own."""
        return cls(
            segmenter=SegmenterSettings.read(environment),
            modelhost=ModelHostSettings.read(environment, home=home),
            searcher=SearcherSettings.read(environment, home=home, roots=(Path("/"),), isolate=False),
        )


class Embedded:
    """A context manager; `address` is where it listens, `metrics_port` where Prometheus finds figures, if
    anywhere. encoders: None loads those of the settings."""

    def __init__(self, settings: Settings, encoders: Encoders | None = None) -> None:
        from wordspot.services.modelhost import __main__ as modelhost
        from wordspot.services.searcher import __main__ as searcher
        from wordspot.services.segmenter import __main__ as segmenter

        with ExitStack() as leaving:
            folder = _private_folder()
            leaving.callback(shutil.rmtree, folder, ignore_errors=True)
            encoders = encoders or modelhost.load_encoders(settings.modelhost)
            leaving.callback(encoders.close)
            models = hosting.load_models(settings.modelhost, encoders)
            leaving.callback(models.close)
            listening = settings.server or ServerSettings(socket=str(folder / "socket"))
            figures = (encoders.statistics, models.statistics)
            self.metrics_port = leaving.enter_context(
                metrics.served(figures, listening.host, settings.modelhost.metrics_port)
            )
            segmenters = segmenter.segmenters(settings.segmenter)
            archive = searcher.Searcher(
                settings.searcher,
                LocalSegmenter(lambda: segmenters(DETECTOR_UNSPECIFIED)),
                LocalEncoders(encoders).get,
            )
            leaving.callback(archive.close)
            services = [
                segmenter.service(segmenters),
                modelhost.service(encoders),
                modelhost.model_service(models),
                modelhost.inference_service(models, encoders, settings.modelhost),
                *archive.services,
            ]
            self.server: Server
            self.server, _ = create_server(services, listening)
            self._closing = leaving.pop_all()

    @property
    def address(self) -> str:
        return self.server.address

    def __enter__(self) -> Embedded:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop(0)
        self.close()

    def close(self) -> None:
        """After the server has stopped."""
        self._closing.close()


def run(settings: Settings) -> None:
    """Serves until asked to end; prints the address once ready."""
    embedded = Embedded(settings)
    try:
        serve(embedded.server)
    finally:
        embedded.close()


@contextmanager
def serving_models(settings: ModelHostSettings) -> Iterator[str]:
    """The address of a model service in this process, which needs no archive."""
    from wordspot.services.modelhost import __main__ as modelhost

    folder = _private_folder()
    try:
        with closing(hosting.load_models(settings)) as models:
            listening = ServerSettings(socket=str(folder / "socket"))
            server, _ = create_server([modelhost.model_service(models)], listening)
            server.start()
            try:
                yield server.address
            finally:
                server.stop(0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _private_folder() -> Path:
    """Only this user may enter it. A socket's path must be short, whatever TMPDIR says."""
    folder = Path(tempfile.mkdtemp(prefix="wordspot-"))
    if len(str(folder / "socket").encode()) <= LONGEST_SOCKET:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="wordspot-", dir="/tmp"))
