"""wordspot serve: the services, in one process or each in its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.escapes import EscapingFormatter
from wordspot.services.settings import (
    ModelHostSettings,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)


class ServiceName(StrEnum):
    """What runs in the process."""

    all = "all"
    segmenter = "segmenter"
    modelhost = "modelhost"
    searcher = "searcher"


PORTS = {
    ServiceName.all: 50051,
    ServiceName.searcher: 50051,
    ServiceName.segmenter: 50052,
    ServiceName.modelhost: 50053,
}


def serve(
    which: Annotated[
        ServiceName, typer.Argument(metavar="[all|segmenter|modelhost|searcher]")
    ] = ServiceName.all,
    host: Annotated[str | None, typer.Option(help="Where to listen; default 127.0.0.1.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="0 for any; default 50051, segmenter 50052, modelhost 50053."),
    ] = None,
    reflection: Annotated[
        bool | None, typer.Option("--reflection/--no-reflection", help="Let clients list the services.")
    ] = None,
    segmenter: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the searcher finds the segmenter.")
    ] = None,
    modelhost: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the searcher finds the model host.")
    ] = None,
    root: Annotated[
        list[Path] | None, typer.Option(help="Files below this folder may be added by path; repeatable.")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Of speech: silero, energy or none.")] = None,
    device: Annotated[str | None, typer.Option(help="For the models: cpu, cuda or auto.")] = None,
    wait: console.Wait = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Of the model host: where Prometheus finds figures; default nowhere.")
    ] = None,
) -> None:
    """Serve until interrupted; prints the address once ready."""
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # of builds that it tries in turn
    environment: Mapping[str, str] = os.environ
    home = settings.home(environment)
    default_port = {} if environment.get("WORDSPOT_PORT") else {"port": PORTS[which]}
    server = ServerSettings.read(
        environment, **(default_port | _set_flags(host=host, port=port, reflection=reflection))
    )
    segmenting = SegmenterSettings.read(environment, detector=detector)
    hosting = ModelHostSettings.read(environment, home=home, device=device, metrics_port=metrics_port)
    searching = SearcherSettings.read(
        environment,
        home=home,
        roots=tuple(root) if root else None,
        segmenter=segmenter,
        modelhost=modelhost,
        wait_seconds=wait,
    )
    _run(which, server, segmenting, hosting, searching)


def _run(
    which: ServiceName,
    server: ServerSettings,
    segmenting: SegmenterSettings,
    hosting: ModelHostSettings,
    searching: SearcherSettings,
) -> None:
    """Runs a service, or all of them, until it is interrupted."""
    if which is ServiceName.segmenter:
        from wordspot.services.segmenter import app as segmenter_app

        segmenter_app.run(server, segmenting)
    elif which is ServiceName.modelhost:
        from wordspot.services.modelhost import app as modelhost_app

        modelhost_app.run(server, hosting)
    elif which is ServiceName.searcher:
        from wordspot.services.searcher import app as searcher_app

        searcher_app.run(server, searching)
    else:
        from wordspot.services import embedded

        embedded.run(embedded.EmbeddedSettings(segmenting, hosting, searching, server))


def _set_flags(**flags: Any) -> dict[str, Any]:
    """Returns the flags that are not None."""
    return {name: value for name, value in flags.items() if value is not None}
