"""Servers and commands that share a home, one after another or at once, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wordspot import Client
from wordspot.indexer.sound.audio import write_wav
from wordspot.v1 import archive_pb2

DEADLINE_S = 120.0
RECORDINGS = 10
Say = Callable[..., Any]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "WORDSPOT_HOME": str(tmp_path / "home"),
        "WORDSPOT_DETECTOR": "energy",
        "WORDSPOT_DEFAULT_ENCODER": "naive",
        "WORDSPOT_COMMIT_SECONDS": "0",
        "WORDSPOT_WORKERS": "1",
        "OMP_NUM_THREADS": "1",
    }


class Servers:
    """`wordspot serve all` on one home, one process at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns the address."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wordspot.services.cli", "serve", "all", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment,
        )
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()[-1]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def servers(environment: dict[str, str]) -> Iterator[Servers]:
    started = Servers(environment)
    yield started
    started.kill()


@pytest.fixture
def many(tmp_path: Path, say: Say) -> list[Path]:
    folder = tmp_path / "many"
    folder.mkdir()
    paths = [folder / f"{number}.wav" for number in range(RECORDINGS)]
    for number, path in enumerate(paths):
        path.write_bytes(write_wav(say("some", "tea", f"number {number}", voice=number)))
    return paths


def wordspot(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wordspot.services.cli", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def followed(client: Client, operation: str, done: int) -> archive_pb2.Operation:
    """The operation once it has got further than `done`, or has succeeded."""
    latest = time.monotonic() + DEADLINE_S
    while time.monotonic() < latest:
        for state in client.watch(operation):  # which ends at once until the server has resumed it
            if state.recordings_done > done or state.state == archive_pb2.OPERATION_STATE_SUCCEEDED:
                return state
            assert state.state != archive_pb2.OPERATION_STATE_FAILED, state.problem
        time.sleep(0.02)
    raise AssertionError(f"no progress after {done} recordings")


def test_indexing_survives_a_server_that_is_killed_whenever_it_has_got_a_little_further(
    servers: Servers, many: list[Path], tmp_path: Path
) -> None:
    with Client(servers.start()) as client:
        client.ensure_archive()
        for path in many:
            client.add(path)
        request = archive_pb2.IndexArchiveRequest(archive="default")
        operation = client._archives.IndexArchive(request).operation.id
        state = followed(client, operation, 0)
    kills = 0
    while state.state != archive_pb2.OPERATION_STATE_SUCCEEDED:
        servers.kill()
        kills += 1
        with Client(servers.start()) as client:
            state = followed(client, operation, state.recordings_done)
    assert kills > 1
    assert (state.recordings_total, state.recordings_done, state.recordings_failed) == (RECORDINGS,) * 2 + (
        0,
    )
    with Client(servers.start() if kills == 0 else None, home=tmp_path / "home", read_only=True) as client:
        assert client.archive().indexed_recordings == RECORDINGS
    with closing(sqlite3.connect(tmp_path / "home" / "catalogue.db")) as catalogue:
        indexed = catalogue.execute(
            "SELECT count(*), count(DISTINCT recording_number) FROM segment_recordings"
        )
        assert indexed.fetchone() == (RECORDINGS, RECORDINGS)
    assert list((tmp_path / "home" / "attempts").iterdir()) == []


def test_commands_that_read_work_beside_a_server_and_one_that_writes_is_told_who_holds_the_home(
    servers: Servers, many: list[Path], environment: dict[str, str]
) -> None:
    with Client(servers.start()) as client:
        client.index(many)
    for command in (
        ["archive", "list"],
        ["archive", "show"],
        ["search", many[0], "--start", "0.5", "--end", "1.1"],
    ):
        ended = wordspot(environment, *command, "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert json.loads(ended.stdout.splitlines()[-1])
    for command in (["index", many[0]], ["archive", "compact"], ["resume"], ["serve", "--port", "0"]):
        ended = wordspot(environment, *command)
        assert ended.returncode == 2
        assert f"is in use by process {servers.pid} since 2" in ended.stderr
        assert "serve all --port 0)" in ended.stderr


def test_one_who_waits_goes_on_at_the_end_of_the_server(
    servers: Servers, many: list[Path], environment: dict[str, str]
) -> None:
    servers.start()
    command = [
        sys.executable,
        "-m",
        "wordspot.services.cli",
        "index",
        str(many[0]),
        "--wait",
        "100",
        "--json",
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert f"is in use by process {servers.pid}" in waiting.stderr.readline()
        servers.kill()
        output, errors = waiting.communicate()
    assert (waiting.returncode, errors) == (0, "")
    assert json.loads(output)["indexed"] == 1


def test_indexing_that_was_killed_is_resumed_by_the_command(
    many: list[Path], environment: dict[str, str]
) -> None:
    killed = wordspot(environment | {"WORDSPOT_FAULT": "batch-committed"}, "index", *many)
    assert killed.returncode == -signal.SIGKILL
    ended = wordspot(environment, "resume", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    done = json.loads(ended.stdout)
    assert (done["state"], done["recordings_done"], done["recordings_total"]) == (
        "succeeded",
        *(RECORDINGS,) * 2,
    )
    again = wordspot(environment, "resume")
    assert (again.returncode, again.stdout) == (0, "nothing was interrupted\n")
    named = wordspot(environment, "resume", done["id"])
    assert named.returncode == 2
    assert "is succeeded; only failed, cancelled, interrupted ones can be resumed" in named.stderr
