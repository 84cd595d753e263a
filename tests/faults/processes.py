"""Processes with the interposer loaded, and what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.interposer import library

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("WORDSPOT_")},
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "COLUMNS": "200",
}


@dataclass(frozen=True)
class Ended:
    """code: of the exit, or minus the signal; None for a process that did not end by itself."""

    code: int | None
    output: str
    errors: str

    @property
    def lines(self) -> list[Any]:
        """The JSON values of its output; a last line that was cut off is left out."""
        whole = self.output[: self.output.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]


class Processes(AbstractContextManager["Processes"]):
    """The process of forked.py."""

    def __init__(self, folder: Path) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT | {"LD_PRELOAD": str(library())},
            cwd=Path(__file__).parents[2],
        )

    def run(self, task: str, environment: dict[str, str], **request: object) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request |= {
            "task": task,
            "environment": environment,
            "output": str(self._output),
            "errors": str(self._errors),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        return Ended(code, self._output.read_text(), self._errors.read_text())

    def command(self, environment: dict[str, str], arguments: Sequence[object]) -> Ended:
        return self.run("command", environment, arguments=[str(argument) for argument in arguments])

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()
