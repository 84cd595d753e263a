"""No process of wordspot's calls anybody: indexing, searching and serving where every attempt is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ENVIRONMENT, Sample

HERE = Path(__file__).parent
NAMESPACES = (("unshare", "-rnm"), ("unshare", "-nm"))  # as a user, as root
NEEDED = (
    "PATH",
    "LD_",
    "OMP_",
    "OPENBLAS_",
    "PYTHON",
)  # nothing by which a library knows a test from real use

# Runs `wordspot` and writes down which hosts Python's own libraries were asked to reach.
AUDITED = """
import os, sys

def audit(event, arguments):
    place = None
    if event in ("socket.connect", "socket.sendto"):
        place = arguments[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        place = arguments[0]
    if place is not None:
        with open(os.environ["AUDIT"], "a") as file:
            file.write(f"{event} {place}\\n")

sys.addaudithook(audit)
from wordspot.services import cli
cli.run()
"""

# Indexes, searches, and does both by a server.
USE = """
import signal, subprocess, sys

audited, recordings, query = sys.argv[1], sys.argv[2].split(), sys.argv[3]

def wordspot(*arguments):
    subprocess.run([sys.executable, "-c", audited, *arguments], check=True)

wordspot("index", *recordings)
wordspot("search", query)
serving = [sys.executable, "-c", audited, "serve", "all", "--port", "0"]
with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
    address = server.stdout.readline().split()[-1]
    wordspot("index", *recordings, "--address", address)
    wordspot("search", query, "--address", address)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
"""


@dataclass(frozen=True)
class Use:
    """user_home: HOME. audit: what Python's own libraries did. seen: the report of lonely.py; None where it
    cannot run."""

    user_home: Path
    audit: str
    seen: dict[str, Any] | None


def namespaces() -> tuple[str, ...] | None:
    """The command that makes them; None where it may not."""
    probe = [sys.executable, str(HERE / "lonely.py"), "true"]
    for command in NAMESPACES:
        try:
            ended = subprocess.run([*command, *probe], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if ended.returncode == 0:
            return command
    return None


def isolated(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any] | None:
    """The report of lonely.py on a command, which runs unseen where namespaces are not allowed."""
    isolation = namespaces()
    if isolation is None:
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return None
    lonely = [*isolation, sys.executable, str(HERE / "lonely.py"), *command]
    ended = subprocess.run(lonely, env=environment, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def environment_in(folder: Path) -> dict[str, str]:
    for name in ("user", "temporary"):
        (folder / name).mkdir()
    needed = {name: value for name, value in ENVIRONMENT.items() if name.startswith(NEEDED)}
    return needed | {
        "HOME": str(folder / "user"),
        "TMPDIR": str(folder / "temporary"),
        "WORDSPOT_HOME": str(folder / "home"),
        "AUDIT": str(folder / "audit"),
    }


@pytest.fixture(scope="module")
def use(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Use:
    """With the default encoder and detector."""
    folder = tmp_path_factory.mktemp("use")
    recordings = " ".join(map(str, sample.dozen[:3]))
    command = [sys.executable, "-c", USE, AUDITED, recordings, str(sample.query("password"))]
    seen = isolated(command, environment_in(folder))
    if seen is not None:
        assert seen["status"] == 0, seen["errors"]
    audit = folder / "audit"
    return Use(folder / "user", audit.read_text() if audit.exists() else "", seen)


def seen_of(use: Use) -> dict[str, Any]:
    if use.seen is None:
        pytest.skip("needs leave to make network namespaces (unshare)")
    return use.seen


def test_no_name_is_asked_for_and_no_other_machine_is_called(use: Use) -> None:
    seen = seen_of(use)
    assert (seen["names"], seen["calls"], seen["unrouted"]) == ([], [], 0)


def test_python_s_own_libraries_reach_for_no_host(use: Use) -> None:
    # An address of this machine is no name: nobody is asked.
    assert {line for line in use.audit.splitlines() if line != "socket.getaddrinfo 127.0.0.1"} == set()


def test_nothing_is_left_in_the_user_s_home_such_as_a_device_id(use: Use) -> None:
    assert list(use.user_home.rglob("*")) == []


def test_one_that_calls_out_is_seen(tmp_path: Path) -> None:
    program = """
import socket
socket.create_connection(("telemetry.test", 443)).close()
try:
    socket.create_connection(("192.0.2.1", 443))
except OSError:
    print("no way")
"""
    seen = isolated([sys.executable, "-c", program], environment_in(tmp_path)) if namespaces() else None
    if seen is None:
        pytest.skip("needs leave to make network namespaces (unshare)")
    assert (seen["status"], seen["output"]) == (0, "no way\n")
    assert set(seen["names"]) == {"telemetry.test"}
    assert seen["calls"] == [443]
    assert seen["unrouted"] > 0
