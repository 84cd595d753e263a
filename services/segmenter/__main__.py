"""Starts the segmenter: `python -m wordspot.services.segmenter`."""

from __future__ import annotations

import os

from wordspot.services import native

os.environ.update(native.missing(os.environ))

from wordspot.services import reporting, settings
from wordspot.services.segmenter.app import run
from wordspot.services.settings import SegmenterSettings, ServerSettings


def main() -> None:
    """Serves as the environment says."""
    settings.arm_faults(os.environ)
    run(ServerSettings.read(os.environ), SegmenterSettings.read(os.environ))


if __name__ == "__main__":
    reporting.run(main)
