"""Runs tasks in one forked process after another, with the interposer loaded; started by processes.py.

Reads a request a line from standard input and answers each with a line: the exit code, minus the signal, or
null for one that had to be killed because it did not end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.forks import warm_up
from wordspot.indexer.errors import ArchiveError
from wordspot.services import cli
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings

PATIENCE_S = 120.0
Request = dict[str, Any]


def command(request: Request) -> None:
    """The command line."""
    sys.argv = ["wordspot", *request["arguments"]]
    cli.main()


def session(request: Request) -> None:
    """A server and one client, which goes on whatever fails; prints what was acknowledged."""
    failed = 0
    settings = EmbeddedSettings.of_home(Path(os.environ["WORDSPOT_HOME"]), os.environ)
    with EmbeddedServer(settings) as server, Client(server.address) as client:
        steps: dict[str, Callable[[Any], object]] = {
            "create": lambda _: client.ensure_archive(),
            "upload": lambda path: client.add(path),
            "index": lambda encoder: client.index([], encoder=encoder),
            "delete": lambda recording: client.delete(recording),
            "compact": lambda _: client.compact(),
            "verify": lambda _: list(client.verify()),
            "search": lambda query: client.search(Path(query)),
        }
        for step, value in request["steps"]:
            acknowledge("begun", step, value)
            try:
                steps[step](value)
                acknowledge("done", step, value)
            except ArchiveError as error:
                failed = 2
                sys.stderr.write(f"wordspot: {error}\n")
        if request.get("abandoned"):
            os._exit(failed)
    sys.exit(failed)


def acknowledge(what: str, step: str, value: object) -> None:
    os.write(1, (json.dumps([what, step, value]) + "\n").encode())


def inspect(request: Request) -> None:
    """All that a caller can learn of a home."""
    with warnings.catch_warnings(record=True), Client(home=Path(os.environ["WORDSPOT_HOME"])) as client:
        names = [archive.name for archive in client.archives()]
        found: dict[str, Any] = {"archives": names, "quarantined": [], "problems": [], "recordings": []}
        found["answers"] = []
        if "default" in names:
            found["quarantined"] = [segment.problem for segment in client.archive().quarantined]
            found["problems"] = [check.problem for check in client.verify() if check.problem]
            found["recordings"] = [console.as_dict(recording) for recording in client.recordings()]
        if any(recording["state"] == "indexed" for recording in found["recordings"]):
            for query in request["queries"]:
                hits = client.search(Path(query), top=1_000, all_hits=True)
                found["answers"].append([[hit.path, hit.start, hit.end, hit.score] for hit in hits])
        console.print_json(found)


def ask(request: Request) -> None:
    """Only searches: a line a query with its hits and warnings, or with what was said instead."""
    with Client(home=Path(os.environ["WORDSPOT_HOME"])) as client:
        for query in request["queries"]:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                try:
                    hits = client.search(Path(query), top=1_000, all_hits=True)
                    found = sorted([hit.path, hit.start, hit.end, hit.score] for hit in hits)
                    console.print_json({"hits": found, "said": [str(one.message) for one in warned]})
                except ArchiveError as error:
                    console.print_json({"hits": None, "said": [str(error)]})


TASKS: dict[str, Callable[[Request], None]] = {
    task.__name__: task for task in (command, session, inspect, ask)
}


def run(request: Request) -> None:
    """Never returns."""
    for stream, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    ctypes.CDLL(None).faults_configure()
    code = 1
    try:
        TASKS[request["task"]](request)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except ArchiveError as error:
        code = 2
        sys.stderr.write(f"wordspot: {error}\n")
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def ended(child: int) -> int | None:
    """The exit code; None if it had to be killed."""
    latest = time.monotonic() + PATIENCE_S
    while time.monotonic() < latest:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(request)
        print(json.dumps(ended(child)), flush=True)


if __name__ == "__main__":
    warm_up()
    serve()
