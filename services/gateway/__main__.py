"""Starts the gateway: `python -m wordspot.services.gateway`."""

from __future__ import annotations

import os

from wordspot.services import reporting
from wordspot.services.gateway.app import run
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings


def main() -> None:
    """Serves as the environment says."""
    settings = GatewaySettings.read(os.environ)
    run(Addresses(settings.searcher, settings.modelhost), settings)


if __name__ == "__main__":
    reporting.run(main)
