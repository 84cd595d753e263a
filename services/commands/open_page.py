"""wordspot open: the page, in a browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import replace
from typing import Annotated

import typer

from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.commands.serve import gateway_beside, host_and_port
from wordspot.services.gateway.notes import NOTE, served_page
from wordspot.services.settings import ModelHostSettings, SearcherSettings, SegmenterSettings, ServerSettings


def open(
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where the page is to be; default 127.0.0.1:8080."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or only print the address.")
    ] = True,
    wait: console.Wait = None,
) -> None:
    """Open the page: search, listen, confirm and export in a browser.

    Where a process already serves WORDSPOT_HOME with its page, that is opened; otherwise this command
    serves it until it is interrupted.
    """
    if http is not None:
        host_and_port(http, "--http")
    home = settings.home(os.environ)

    def show(url: str) -> None:
        console.print_line(f"wordspot's page is at {url}")
        sys.stdout.flush()
        if browser and _has_screen():
            webbrowser.open(url)

    running = served_page(home / NOTE)
    if running is not None:
        show(running)
        return
    from wordspot.services import embedded

    server = ServerSettings.read(os.environ)
    embedded.open_page(
        embedded.EmbeddedSettings(
            SegmenterSettings.read(os.environ),
            ModelHostSettings.read(os.environ, home=home),
            SearcherSettings.read(os.environ, home=home, wait_seconds=wait),
            None,
            gateway_beside(os.environ, http, replace(server, port=50051)),
        ),
        show,
    )


def _has_screen() -> bool:
    """Returns whether there is a browser with a window; one in a terminal would take the terminal."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform == "darwin" or any(os.environ.get(name) for name in names)
