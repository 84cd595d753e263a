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
from wordspot.services.settings import (
    ModelHostSettings,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)


class Which(StrEnum):
    all = "all"
    segmenter = "segmenter"
    modelhost = "modelhost"
    searcher = "searcher"


PORTS = {Which.all: 50051, Which.searcher: 50051, Which.segmenter: 50052, Which.modelhost: 50053}


def serve(
    which: Annotated[Which, typer.Argument(metavar="[all|segmenter|modelhost|searcher]")] = Which.all,
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
    metrics_port: Annotated[
        int | None, typer.Option(help="Of the model host: where Prometheus finds figures; default nowhere.")
    ] = None,
) -> None:
    """Serve until interrupted; prints the address once ready."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    environment: Mapping[str, str] = os.environ
    home = settings.home(environment)
    default_port = {} if environment.get("WORDSPOT_PORT") else {"port": PORTS[which]}
    server = ServerSettings.read(
        environment, **(default_port | _given(host=host, port=port, reflection=reflection))
    )
    segmenting = SegmenterSettings.read(environment, detector=detector)
    hosting = ModelHostSettings.read(environment, home=home, device=device, metrics_port=metrics_port)
    searching = SearcherSettings.read(
        environment, home=home, roots=tuple(root) if root else None, segmenter=segmenter, modelhost=modelhost
    )
    if which is Which.segmenter:
        from wordspot.services.segmenter import __main__ as segmenter_main

        segmenter_main.run(server, segmenting)
    elif which is Which.modelhost:
        from wordspot.services.modelhost import __main__ as modelhost_main

        modelhost_main.run(server, hosting)
    elif which is Which.searcher:
        from wordspot.services.searcher import __main__ as searcher_main

        searcher_main.run(server, searching)
    else:
        from wordspot.services import embedded

        embedded.run(embedded.Settings(segmenting, hosting, searching, server))


def _given(**flags: Any) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}
