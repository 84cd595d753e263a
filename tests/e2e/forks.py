"""Runs the command `wordspot` in one forked process after another: what all of them import, they share.

Reads a request a line from standard input and answers each with a line: the exit code, or minus the signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import typer

import wordspot.indexer.archive.library
import wordspot.indexer.search.finder
import wordspot.services.cli  # before gRPC, which it keeps quiet
import wordspot.services.embedded  # noqa: F401
from wordspot.indexer.search import dtw
from wordspot.models.encoders import load_encoder
from wordspot.services import cli


def warm_up() -> None:
    """What each command would do anew."""
    torch.set_num_threads(1)
    dtw.warm_up()
    load_encoder("naive")  # imports the class of every model
    with suppress(typer.BadParameter):
        cli.app(["search"], standalone_mode=False)
    # Threads do not survive a fork, but the locks that they hold stay locked.
    assert len(list(Path("/proc/self/task").iterdir())) == 1


def serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            command(request)
        if request["kill_after"] is not None:
            kill(child, request["kill_after"])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def kill(child: int, seconds: float) -> None:
    """Unless it ends sooner."""
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)


def command(request: dict[str, Any]) -> None:
    """Never returns."""
    for stream, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    sys.argv = ["wordspot", *request["arguments"]]
    code = 1
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    warm_up()
    serve()
