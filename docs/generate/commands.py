"""The reference of the command line as Markdown, from its own definitions, by typer's own generator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def commands_page(source: Path) -> str:
    """Markdown of every command, its arguments and options. source: the folder on whose path wordspot lies.

    Raises RuntimeError where the command line cannot be loaded.
    """
    paths = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    made = subprocess.run(
        [sys.executable, "-m", "typer", "wordspot.services.cli", "utils", "docs", "--name", "wordspot"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"typer describes no commands: {made.stderr.strip()[-500:]}")
    return made.stdout.replace("# `wordspot`\n", "# Command line\n", 1)
