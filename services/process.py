"""The end of a process: it releases what it holds, then exits without the interpreter's clean-up.

The interpreter would go on to free every object of every library, one by one. On a loaded machine that takes
seconds and changes nothing that outlives the process.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

OUTPUT_LOST = 2  # exit status
RAISED_AGAIN_S = 0.5
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
SIGNAL_STATUS = 128  # added to a signal's number, as shells do


class Terminated(SystemExit):
    """The process was told to end by a signal, its number; raised in the main thread."""

    def __init__(self, number: int) -> None:
        super().__init__(SIGNAL_STATUS + number)
        self.number = number


def run(program: Callable[[], object]) -> NoReturn:
    """Runs a program and ends this process as the program ended.

    SIGTERM and SIGHUP are raised in it as Terminated: what holds files, folders or processes is a context
    manager and lets go of them on the way out. In this order follow the functions registered with `atexit`,
    child processes that are left, and the standard streams. Only `sys.stdout` writes to standard output.
    """
    request = _Request()
    _take_output()
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has SIGHUP ignored
            signal.signal(number, request.receive)
    try:
        program()
    except SystemExit as end:
        leave(_status(end), end.number if isinstance(end, Terminated) else None)
    except BaseException as error:
        leave(_report(error))
    leave(0)


def leave(status: int, signal_number: int | None = None) -> NoReturn:
    """Ends this process now, with this status or by this signal, once nothing is left to be lost."""
    for number in (*ENDING, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the end is under way
    atexit._run_exitfuncs()  # logging, pools of multiprocessing, temporary files
    for child in children():
        _kill(child)
    errors = [_flush(stream) for stream in (sys.stdout, sys.stderr)]
    if status == 0 and (error := errors[0] or errors[1]):
        status = _report(error)
    if signal_number is not None:
        # As if the signal had not been caught, so that who sent it sees it obeyed.
        signal.signal(signal_number, signal.SIG_DFL)
        os.kill(os.getpid(), signal_number)
    os._exit(status)  # also the first process of a container, which no signal ends


def children() -> list[int]:
    """Returns the ids of this process's children; none where the kernel does not tell."""
    pids: list[int] = []
    for thread in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids.extend(map(int, thread.read_text().split()))
    return pids


def _take_output() -> None:
    """Leaves the descriptor of standard output to nobody but `sys.stdout`.

    libsndfile writes there what it thinks of damaged files, amid the JSON that others read.
    """
    shared = sys.stdout
    try:
        own = os.dup(shared.fileno())
    except (AttributeError, OSError, ValueError):  # none, closed, or no file
        return
    shared.flush()
    private = os.fdopen(own, "w", encoding=shared.encoding, errors=shared.errors)
    if isinstance(shared, io.TextIOWrapper):
        private.reconfigure(line_buffering=shared.line_buffering, write_through=shared.write_through)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, shared.fileno())
    os.close(null)
    sys.stdout = private


class _Request:
    """Turns signals into Terminated, again and again until it unwinds the main thread.

    What a handler raises is lost where it interrupts code whose exceptions nobody gets: a destructor, a
    callback of a library.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handles each signal, and the alarm that it sets."""
        if self._number is None:
            self._number = number
        if not _is_unwinding():
            signal.setitimer(signal.ITIMER_REAL, RAISED_AGAIN_S)
            raise Terminated(self._number)


def _is_unwinding() -> bool:
    """Returns whether this thread runs what cleans up after a Terminated."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Terminated):
        error = error.__context__
    return error is not None


def _status(end: SystemExit) -> int:
    """Returns the exit status as the interpreter derives it; prints a text on standard error."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


def _kill(child: int) -> None:
    """Kills a child, with its forks if it leads a session of its own."""
    with suppress(OSError):
        if os.getpgid(child) == child:
            os.killpg(child, signal.SIGKILL)
        else:
            os.kill(child, signal.SIGKILL)


def _flush(stream: TextIO | None) -> OSError | None:
    """Flushes a stream. Returns the error that kept output from being written."""
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        return error
    except ValueError:  # closed
        pass
    return None


def _report(error: BaseException) -> int:
    """Prints what ended the program; returns the exit status."""
    if isinstance(error, BrokenPipeError):
        return 0  # nobody reads any more, nothing is missed
    with suppress(OSError):
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.stderr.write(f"wordspot: output cannot be written: {error.strerror}\n")
            return OUTPUT_LOST
        sys.excepthook(type(error), error, error.__traceback__)
    return 1
