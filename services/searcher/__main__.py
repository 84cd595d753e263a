"""Starts the searcher: `python -m wordspot.services.searcher`."""

from __future__ import annotations

import os

from wordspot.services import native

os.environ.update(native.missing(os.environ))

from wordspot.services import reporting, settings
from wordspot.services.access.credentials import Credentials
from wordspot.services.searcher.app import run
from wordspot.services.settings import SearcherSettings, ServerSettings


def main() -> None:
    """Serves as the environment says."""
    settings.arm_faults(os.environ)
    run(
        ServerSettings.read(os.environ),
        SearcherSettings.read(
            os.environ,
            home=settings.home(os.environ),
            credentials=Credentials.read(os.environ),
        ),
    )


if __name__ == "__main__":
    reporting.run(main)
