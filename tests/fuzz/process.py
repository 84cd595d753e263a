"""Child processes under test: their memory, what they log, and how they end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_EVIDENCE_BYTES = 20_000


class Process:
    """A Python process with its standard error in a file."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._read_to = log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )

    @property
    def ended(self) -> str:
        """How it ended; empty while it runs."""
        code = self.popen.poll()
        if code is None:
            return ""
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def line(self, seconds: float) -> str | None:
        """Returns the next line of its standard output, empty at the end; None if none comes in time."""
        output = self.popen.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        return output.readline().decode()

    def logged(self) -> str:
        """What it wrote since this was last called."""
        with self.log.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        self._read_to += len(text)
        return text[-MAX_EVIDENCE_BYTES:].decode("utf-8", "replace")

    def resident_bytes(self) -> int:
        """0 once it has ended."""
        return self._status("VmRSS")

    def descriptors(self) -> int:
        """0 once it has ended."""
        with suppress(OSError):
            return sum(1 for _ in Path(f"/proc/{self.popen.pid}/fd").iterdir())
        return 0

    def begin_peak(self) -> None:
        """Forgets the peak so far, where the kernel lets one."""
        with suppress(OSError):
            Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Of all its threads since it started; unlike a clock it does not run while others have the cores."""
        with suppress(OSError):
            fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def peak_bytes(self) -> int:
        return self._status("VmHWM")

    def close(self) -> None:
        """Asks it to end, then ends it."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def _status(self, field: str) -> int:
        with suppress(OSError):
            for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) << 10
        return 0
