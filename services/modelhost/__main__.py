"""Starts the model host: `python -m wordspot.services.modelhost`."""

from __future__ import annotations

import os

from wordspot.services import native

os.environ.update(native.missing(os.environ))

from wordspot.services import reporting, settings
from wordspot.services.modelhost.app import run
from wordspot.services.settings import ModelHostSettings, ServerSettings


def main() -> None:
    """Serves as the environment says."""
    settings.arm_faults(os.environ)
    run(
        ServerSettings.read(os.environ),
        ModelHostSettings.read(os.environ, home=settings.home(os.environ)),
    )


if __name__ == "__main__":
    reporting.run(main)
