"""How a process ends: each test starts one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

FULL = Path("/dev/full")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a program of `program()` under `process.run`, in a folder of its own."""
    processes: list[subprocess.Popen[str]] = []

    def begin(text: str, stdout: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        text += "\nfrom wordspot.services import process\nprocess.run(program)"
        started = subprocess.Popen(
            [sys.executable, "-c", text],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
            | {"TMPDIR": str(tmp_path)},
        )
        processes.append(started)
        return started

    yield begin
    for each in processes:
        with each:
            each.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [
        ("return 7", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no such thing')", 1, "no such thing\n"),
    ],
)
def test_the_status_is_that_of_the_interpreter(start: Start, end: str, status: int, message: str) -> None:
    assert ended(start(f"import sys\ndef program():\n    {end}")) == (status, "", message)


def test_an_exception_shows_its_traceback(start: Start) -> None:
    status, _, errors = ended(start("def program():\n    raise ValueError('this')"))
    assert status == 1
    assert errors.startswith("Traceback")
    assert errors.endswith("ValueError: this\n")


def test_what_was_written_and_logged_arrives_and_exit_functions_run(start: Start, tmp_path: Path) -> None:
    program = """
import atexit, logging, logging.handlers, sys

def program():
    atexit.register(print, "registered", end="")
    target = logging.FileHandler("log")
    memory = logging.handlers.MemoryHandler(1000, target=target)
    logging.getLogger().addHandler(memory)
    logging.error("kept in memory until the end")
    sys.stdout.write("x" * 100_000)
"""
    assert ended(start(program)) == (0, "x" * 100_000 + "registered", "")
    assert (tmp_path / "log").read_text() == "kept in memory until the end\n"


def test_what_a_library_writes_to_standard_output_is_not_among_the_program_s_texts(start: Start) -> None:
    process = start(
        """
import os, sys
def program():
    print("ours")
    os.write(1, b"Ooops! count 4")
    print("é ours, too")
    os.system("echo a child")
"""
    )
    assert process.communicate()[0] == "ours\né ours, too\n"
    assert process.returncode == 0


def test_a_thread_that_nobody_ended_does_not_hold_the_process(start: Start) -> None:
    program = """
import threading
def program():
    threading.Thread(target=threading.Event().wait).start()
"""
    assert ended(start(program)) == (0, "", "")


def test_child_processes_that_are_left_end_with_it(start: Start) -> None:
    program = """
import subprocess, sys
def program():
    for session in (True, False):
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(command, start_new_session=session)
        print(child.pid)
"""
    status, output, _ = ended(start(program))
    assert status == 0
    pids = [int(line) for line in output.split()]
    assert len(pids) == 2
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(60)


HOLDING = """
import threading
from pathlib import Path
from typing import IO
from wordspot.models.temporary import temporary_folder

def program():
    with temporary_folder():
        try:
            print("ready", flush=True)
            threading.Event().wait()
        finally:
            print("closing", flush=True)
            {last}
            Path("closed").touch()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_the_program_and_then_ends_the_process(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(HOLDING.format(last=""))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert ended(process) == (-number, "closing\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]


def test_a_second_signal_does_not_cut_off_the_cleaning_up(start: Start, tmp_path: Path) -> None:
    process = start(HOLDING.format(last="import os, signal; os.kill(os.getpid(), signal.SIGTERM)"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (-signal.SIGTERM, "closing\n", "")
    assert (tmp_path / "closed").exists()


def test_a_signal_whose_exception_is_lost_is_raised_again(start: Start) -> None:
    """As when it interrupts a destructor."""
    program = """
import os, signal, sys, threading

sys.unraisablehook = lambda lost: print(type(lost.exc_value).__name__, "lost", flush=True)

class Ended:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def program():
    ended = Ended()
    del ended
    print("goes on", flush=True)
    threading.Event().wait()
"""
    assert ended(start(program)) == (-signal.SIGTERM, "Terminated lost\ngoes on\n", "")


@pytest.mark.parametrize("length", [1_000, 100_000], ids=["in the buffer", "beyond the buffer"])
def test_nobody_reading_any_more_is_no_error(start: Start, length: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        status, _, errors = ended(start(f"def program():\n    print('x' * {length})", stdout=output))
    assert (status, errors) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="needs the device of the full disk")
@pytest.mark.parametrize("length", [1_000, 100_000], ids=["in the buffer", "beyond the buffer"])
def test_output_that_cannot_be_written_is_told_in_one_line(start: Start, length: int) -> None:
    with FULL.open("wb") as output:
        status, _, errors = ended(start(f"def program():\n    print('x' * {length})", stdout=output))
    assert (status, errors) == (2, "wordspot: output cannot be written: No space left on device\n")
