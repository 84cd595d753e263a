"""Decoding of files that may be hostile, in child processes that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np

from wordspot.indexer.audio import AudioInfo
from wordspot.indexer.decoder_worker import DATA, END, OUT_OF_MEMORY, READY
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import Samples

START_SECONDS = 60.0
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class IsolatedDecoder:
    """A Decoder whose work is done by long-lived child processes.

    idle: children kept waiting. More are started while more calls are under way, so that a call never waits
        for another; the surplus ends with its call.
    block_seconds: how long a child may take over one block (for decode_bytes, over everything).
    memory_bytes: address space of a child, of which its libraries take about 400 MB.

    A child that crashes, takes too long or needs too much memory is killed and replaced, and its caller gets
    InvalidInput. The caller of read_blocks who stops early costs a child, too. Close it to end the children.
    """

    def __init__(self, *, idle: int = 2, block_seconds: float = 20.0, memory_bytes: int = 1 << 30) -> None:
        self._wanted = idle
        self._block_seconds = block_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._busy: set[_Child] = set()
        self._idle = [self._start() for _ in range(idle)]

    def probe(self, path: Path) -> AudioInfo:
        (body,) = self._ask({"call": "probe", "path": str(Path(path).absolute())}, str(path))
        return AudioInfo(**json.loads(bytes(body)))

    def read_blocks(
        self, path: Path, *, max_seconds: float, start: float = 0.0, stop: float | None = None
    ) -> Iterator[Samples]:
        request: dict[str, object] = {"call": "read_blocks", "path": str(Path(path).absolute())}
        request |= {"max_seconds": max_seconds, "start": start, "stop": stop}
        for body in self._ask(request, str(path)):
            yield np.frombuffer(body, np.float32).copy()  # aligned and writable

    def read_stretch(self, path: Path, start: float, stop: float, *, max_seconds: float) -> Samples:
        return np.concatenate(list(self.read_blocks(path, max_seconds=max_seconds, start=start, stop=stop)))

    def decode_bytes(self, data: bytes, *, max_seconds: float) -> Samples:
        request = {"call": "decode_bytes", "max_seconds": max_seconds}
        (body,) = self._ask(request, "the audio", data)
        return np.frombuffer(body, np.float32).copy()

    def close(self) -> None:
        """Ends every child; calls under way get InvalidInput, later ones FailedPrecondition."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = tuple(self._busy)
        for child in idle:
            child.dismiss()
        for child in busy:
            child.kill()

    def __enter__(self) -> IsolatedDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self, request: dict[str, object], name: str, payload: bytes | None = None
    ) -> Iterator[memoryview]:
        child = self._take()
        answered = False
        try:
            child.send(request, payload)
            while True:
                kind, body = child.receive()
                if kind == DATA:
                    yield body
                    continue
                answered = True
                if kind == END:
                    return
                raise InvalidInput(str(body, "utf-8"))
        except BlockingIOError:
            raise InvalidInput(f"{name}: decoding stalled for {self._block_seconds:g} s, stopped") from None
        except (EOFError, OSError):
            raise InvalidInput(f"{name}: {child.obituary()}") from None
        finally:
            self._give_back(child, answered)

    def _start(self) -> _Child:
        return _Child(self._block_seconds, self._memory_bytes)

    def _take(self) -> _Child:
        with self._lock:
            if self._closed:
                raise FailedPrecondition("the decoder is closed")
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    break
                child.dismiss()
            else:
                child = self._start()
            self._busy.add(child)
            return child

    def _give_back(self, child: _Child, usable: bool) -> None:
        with self._lock:
            self._busy.remove(child)
            if usable and not self._closed and len(self._idle) < self._wanted:
                self._idle.append(child)
                return
            if not self._closed and len(self._idle) < self._wanted:
                self._idle.insert(0, self._start())  # last in line: it needs a moment to start
        child.dismiss()


class _Child:
    """One child process and the parent's end of its connection. Used by one thread at a time."""

    def __init__(self, block_seconds: float, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = map(str, (theirs.fileno(), block_seconds, memory_bytes))
            # Its own session: an interrupt at the terminal is the parent's to handle.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "wordspot.indexer.decoder_worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | SINGLE_THREAD,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        # The kernel times every read and write, also in the middle of a message.
        patience = struct.pack("ll", int(block_seconds), int(block_seconds % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, patience)
        self._connection = Connection(ours.detach())
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, request: dict[str, object], payload: bytes | None) -> None:
        """Raises BlockingIOError when the child does not read, OSError when it is gone."""
        if not self._ready:
            if not self._connection.poll(START_SECONDS):
                raise BlockingIOError
            self._ready = self._connection.recv_bytes() == READY
        self._connection.send_bytes(json.dumps(request).encode())
        if payload is not None:
            self._connection.send_bytes(payload)

    def receive(self) -> tuple[bytes, memoryview]:
        """Kind and body; raises BlockingIOError when none comes in time, EOFError when the child is gone."""
        message = self._connection.recv_bytes()
        return message[:1], memoryview(message)[1:]

    def obituary(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)  # its connection closes a moment before it ends
        self.kill()
        status = self._process.returncode
        if status == OUT_OF_MEMORY:
            return f"decoding needed more than the {self._memory_bytes >> 20} MiB allowed, stopped"
        if status < 0:
            return f"the decoder crashed ({signal.Signals(-status).name})"
        return f"the decoder failed (exit status {status})"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def dismiss(self) -> None:
        self.kill()
        self._connection.close()
