"""How long processes take to end: commands after their last line, servers after SIGTERM.

    python -m tests.bench.exit_time [--runs 10]

Prints a table of median and longest seconds. The home is a temporary one with the sample archive.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "sample"
COMMAND = [sys.executable, "-m", "wordspot.services.cli"]
COMMANDS = {
    "--help": ("--help",),
    "models list": ("models", "list"),
    "archive show": ("archive", "show"),
    "search": ("search", str(SAMPLE / "queries" / "password.flac")),
}
SERVICES = ("all", "searcher", "segmenter", "modelhost")


def after_last_line(arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    """Seconds from the arrival of a command's last output to the end of its process."""
    arrivals = [time.monotonic()]

    def read(stream: IO[bytes]) -> None:
        while os.read(stream.fileno(), 65_536):
            arrivals.append(time.monotonic())

    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    streams = [stream for stream in (process.stdout, process.stderr) if stream]
    readers = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    for reader in readers:
        reader.start()
    assert process.wait() == 0
    end = time.monotonic()
    for reader in readers:
        reader.join()
    return max(end - max(arrivals), 0.0)


def after_sigterm(service: str, environment: dict[str, str]) -> float:
    """Seconds from SIGTERM to the end of a server that has no call under way."""
    command = [*COMMAND, "serve", service, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        return time.monotonic() - sent


def report(name: str, measure: Callable[[], float], runs: int) -> None:
    seconds = [measure() for _ in range(runs)]
    print(f"{name:16} {statistics.median(seconds):7.3f} {max(seconds):8.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"WORDSPOT_HOME": home}
        subprocess.run(
            [*COMMAND, "index", str(SAMPLE / "recordings")], env=environment, check=True, capture_output=True
        )
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {runs} runs each")
        print(f"{'process':16} {'median':>7} {'longest':>8}")
        for name, arguments in COMMANDS.items():
            report(name, lambda a=arguments: after_last_line(a, environment), runs)
        for service in SERVICES:
            report(f"serve {service}", lambda s=service: after_sigterm(s, environment), runs)


if __name__ == "__main__":
    main()
