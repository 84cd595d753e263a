"""Commands and servers let go of all they hold before their process ends, whenever it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import ENVIRONMENT, Sample, Wordspot

# Writes what the process still holds when it is about to leave.
OBSERVED = """
import json, os, tempfile, threading
from pathlib import Path
from wordspot.services import cli, process

leave = process.leave

def observe(status, signal_number=None):
    # Compiling fills a cache and is done anew by the next process.
    ended = (threading.main_thread().name, "kernels")
    threads = [t.name for t in threading.enumerate() if not t.daemon and t.name not in ended]
    Path(os.environ["HELD"]).write_text(json.dumps({
        "threads": threads, "children": process.children(), "folders": os.listdir(tempfile.gettempdir()),
    }))
    leave(status, signal_number)

process.leave = observe
cli.run()
"""
NOTHING: dict[str, list[Any]] = {"threads": [], "children": [], "folders": []}
PATIENCE_S = 120.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder of temporary files of the processes started; short, for sockets lie in it."""
    folder = tmp_path / "t"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path, temporary: Path) -> Iterator[Start]:
    """Runs `wordspot` so that `held` tells what it held at its end."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, home: Path = tmp_path / "home") -> subprocess.Popen[str]:
        variables = {
            "WORDSPOT_HOME": str(home),
            "TMPDIR": str(temporary),
            "HELD": str(tmp_path / "held.json"),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", OBSERVED, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT
            | variables
            | {"WORDSPOT_DEFAULT_ENCODER": "naive", "WORDSPOT_DETECTOR": "energy"},
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with process:
            process.kill()


def held(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "held.json").read_text())


def wait_until(reached: Callable[[], object]) -> None:
    latest = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < latest
        time.sleep(0.01)


def using(folder: Path) -> list[psutil.Process]:
    """The processes whose folder of temporary files this is."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(folder):
                processes.append(process)
    return processes


@pytest.mark.parametrize("command", ["index", "search", "missing"])
def test_a_command_holds_nothing_at_its_end(
    command: str, start: Start, dozen: Wordspot, sample: Sample, tmp_path: Path
) -> None:
    home = dozen.copy(tmp_path / "home").home
    arguments: dict[str, tuple[object, ...]] = {
        "index": ("index", *sample.recordings[:14]),
        "search": ("search", sample.query("password")),
        "missing": ("archive", "show", "--archive", "missing"),
    }
    process = start(*arguments[command], home=home)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (2 if command == "missing" else 0)
    assert held(tmp_path) == NOTHING


@pytest.mark.parametrize("service", ["all", "searcher"])
def test_a_server_holds_nothing_once_it_has_drained(service: str, start: Start, tmp_path: Path) -> None:
    server = start("serve", service, "--port", "0")
    assert server.stdout is not None
    assert server.stdout.readline().startswith("wordspot listens at ")
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE_S) == 0
    assert held(tmp_path) == NOTHING


def test_a_server_that_is_told_to_end_while_it_starts_leaves_nothing_behind(
    start: Start, temporary: Path
) -> None:
    server = start("serve", "all", "--port", "0")
    wait_until(lambda: list(temporary.glob("wordspot-*")))
    server.send_signal(signal.SIGTERM)
    server.wait(PATIENCE_S)
    assert list(temporary.iterdir()) == []
    _, alive = psutil.wait_procs(using(temporary), PATIENCE_S)
    assert alive == []
    again = start("archive", "list", "--json")
    again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0


def test_a_command_that_is_told_to_end_leaves_nothing_behind(
    start: Start, sample: Sample, temporary: Path, tmp_path: Path
) -> None:
    indexing = start("index", *sample.recordings)
    wait_until(lambda: list((tmp_path / "home").glob("segments/*")))
    indexing.send_signal(signal.SIGTERM)
    assert indexing.wait(PATIENCE_S) in (-signal.SIGTERM, 0)
    assert held(tmp_path) == NOTHING
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_server_is_removed_by_the_next_start(start: Start, temporary: Path) -> None:
    server = start("serve", "all", "--port", "0")
    assert server.stdout is not None
    server.stdout.readline()
    (folder,) = temporary.iterdir()
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    assert folder.is_dir()
    start("archive", "list", "--json").communicate(timeout=PATIENCE_S)
    assert list(temporary.iterdir()) == []
