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
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path

import numpy as np

from wordspot.indexer.errors import FailedPrecondition, InvalidInput, Overloaded
from wordspot.indexer.records import Samples
from wordspot.indexer.sound.decoder_worker import (
    DATA,
    END,
    MAX_STARVED_WAITS,
    NOTES,
    ORIGINAL_HEADER,
    OUT_OF_MEMORY,
    READY,
)
from wordspot.indexer.sound.opened import AudioFile, OpenFile, opened
from wordspot.indexer.sound.original import OriginalSound
from wordspot.indexer.sound.reader import AudioInfo
from wordspot.indexer.sound.survey import HeardTrack, TrackSurvey

START_SECONDS = 60.0
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class IsolatedDecoder:
    """A Decoder whose work is done by a bounded pool of long-lived child processes.

    A child that crashes, takes too long or needs too much memory is killed and replaced, and its caller gets
    InvalidInput. The caller of read_blocks who stops early costs a child, too. Close it to end the children.

    Args:
        children: of the pool, each started when it is first needed. Calls beyond them wait in order of
            arrival.
        ready: children that are started ahead, and anew after one was killed.
        patience_s: how long a call waits for a child before it raises Overloaded; None for as long as it
            takes. Whoever holds a child while reading blocks must not call the same pool then.
        block_seconds: how long a child may take over one block (for decode_bytes, over everything).
        memory_bytes: address space of a child, of which its libraries take about 400 MB.
    """

    def __init__(
        self,
        children: int = 2,
        *,
        ready: int = 0,
        patience_s: float | None = None,
        block_seconds: float = 20.0,
        memory_bytes: int = 1 << 30,
    ) -> None:
        self._children = children
        self._ready = min(ready, children)
        self._patience_s = patience_s
        self._block_seconds = block_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._free = children  # calls that may take a child without waiting
        self._queue: deque[threading.Event] = deque()
        self._busy: set[_Child] = set()
        self._idle = [self._start() for _ in range(self._ready)]

    @property
    def waiting(self) -> int:
        """Calls that wait for a child."""
        return len(self._queue)

    def probe(self, file: AudioFile, *, track: int = 0) -> AudioInfo:
        """Returns what a file says about itself, as audio.probe."""
        with opened(file) as content:
            (body,) = self._ask(_request("probe", content, track=track), content.name, content)
        return AudioInfo(**json.loads(bytes(body)))

    def survey(self, file: AudioFile, *, max_seconds: float, track: int = 0) -> TrackSurvey:
        """Returns how the channels of a track differ, as audio.survey."""
        with opened(file) as content:
            request = _request("survey", content, max_seconds=max_seconds, track=track)
            *_, body = self._ask(request, content.name, content)
        return TrackSurvey.of(json.loads(bytes(body)))

    def read_blocks(
        self,
        file: AudioFile,
        *,
        max_seconds: float,
        start: float = 0.0,
        stop: float | None = None,
        warnings: list[str] | None = None,
        heard: list[HeardTrack] | None = None,
        track: int = 0,
        channel: int = 0,
    ) -> Iterator[Samples]:
        """Yields the blocks of a file, as audio.read_blocks."""
        with opened(file) as content:
            options = {"max_seconds": max_seconds, "start": start, "stop": stop}
            request = _request("read_blocks", content, **options, track=track, channel=channel)
            notes: list[memoryview] = []
            for body in self._ask(request, content.name, content, notes):
                if len(body):
                    yield np.frombuffer(body, np.float32).copy()  # aligned and writable
        noticed, tracks = json.loads(bytes(notes[0]))
        if warnings is not None:
            warnings += noticed
        if heard is not None:
            heard += map(HeardTrack.of, tracks)

    def read_stretch(
        self,
        file: AudioFile,
        start: float,
        stop: float,
        *,
        max_seconds: float,
        track: int = 0,
        channel: int = 0,
    ) -> Samples:
        """Returns a stretch of a file, as audio.read_stretch."""
        blocks = self.read_blocks(
            file, max_seconds=max_seconds, start=start, stop=stop, track=track, channel=channel
        )
        return np.concatenate(list(blocks))

    def decode_bytes(
        self,
        data: bytes,
        *,
        max_seconds: float,
        start: float = 0.0,
        stop: float | None = None,
        channel: int = 0,
    ) -> Samples:
        """Returns the sound of a file's bytes, as audio.decode_bytes."""
        request: dict[str, object] = {
            "call": "decode_bytes",
            "max_seconds": max_seconds,
            "start": start,
            "stop": stop,
            "channel": channel,
        }
        (body,) = self._ask(request, "the audio", data)
        return np.frombuffer(body, np.float32).copy()

    def read_original(
        self,
        file: AudioFile,
        start: float,
        stop: float,
        *,
        max_values: int,
        track: int = 0,
        channel: int = 0,
    ) -> OriginalSound:
        """Returns a stretch at the file's own rate, as audio.read_original."""
        with opened(file) as content:
            stretch = {"start": start, "stop": stop, "max_values": max_values}
            request = _request("read_original", content, **stretch, track=track, channel=channel)
            (body,) = (body for body in self._ask(request, content.name, content) if len(body))
        rate, channels = ORIGINAL_HEADER.unpack_from(body)
        samples = np.frombuffer(body, np.float32, offset=ORIGINAL_HEADER.size)
        return OriginalSound(samples.reshape(-1, channels).copy(), rate)

    def close(self) -> None:
        """Ends every child; calls under way get InvalidInput, later ones FailedPrecondition."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = tuple(self._busy)
            while self._queue:
                self._queue.popleft().set()
        # All at once: each takes a moment to end, on a loaded machine a long one.
        for child in (*idle, *busy):
            child.send_kill()
        for child in idle:
            child.dismiss()
        for child in busy:
            child.kill()

    def __enter__(self) -> IsolatedDecoder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _ask(
        self,
        request: dict[str, object],
        name: str,
        payload: bytes | OpenFile,
        notes: list[memoryview] | None = None,
    ) -> Iterator[memoryview]:
        """Yields the bodies of the DATA messages; `notes` takes those of NOTES. Raises InvalidInput."""
        child = self._take()
        answered = False
        try:
            child.send(request, payload)
            while True:
                kind, body = child.receive()
                if kind == DATA:
                    yield body
                    continue
                if kind == NOTES:
                    if notes is not None:
                        notes.append(body)
                    continue
                answered = True
                if kind == END:
                    return
                raise InvalidInput(str(body, "utf-8", "surrogateescape"))
        except BlockingIOError:
            if child.starved:
                raise Overloaded("decoding did not get enough of the processor, stopped") from None
            raise InvalidInput(f"{name}: decoding stalled for {self._block_seconds:g} s, stopped") from None
        except (EOFError, OSError):
            raise InvalidInput(f"{name}: {child.obituary()}") from None
        finally:
            self._give_back(child, answered)

    def _start(self) -> _Child:
        return _Child(self._block_seconds, self._memory_bytes)

    def _take(self) -> _Child:
        self._await_turn()
        with self._lock:
            if self._closed:
                raise FailedPrecondition("the decoder is closed")
            try:
                while self._idle:
                    child = self._idle.pop()
                    if child.alive:
                        break
                    child.dismiss()
                else:
                    child = self._start()
            except BaseException:
                self._pass_turn()
                raise
            self._busy.add(child)
            return child

    def _await_turn(self) -> None:
        with self._lock:
            if self._free and not self._queue:
                self._free -= 1
                return
            if self._closed:
                return  # as the caller sees
            turn = threading.Event()
            self._queue.append(turn)
        if turn.wait(self._patience_s):
            return
        with self._lock:
            if turn.is_set():  # between the end of the wait and here
                return
            self._queue.remove(turn)
            raise Overloaded(
                f"all {self._children} decoders were busy for {self._patience_s:g} s and "
                f"{len(self._queue)} more calls wait for one"
            )

    def _pass_turn(self) -> None:
        """Lets the next call in the queue have a child. The caller holds the lock."""
        if self._queue:
            self._queue.popleft().set()
        else:
            self._free += 1

    def _give_back(self, child: _Child, usable: bool) -> None:
        with self._lock:
            self._busy.remove(child)
            if usable and not self._closed:
                self._idle.append(child)
                self._pass_turn()
                return
        child.dismiss()
        with self._lock:
            if not self._closed and len(self._busy) + len(self._idle) < self._ready:
                self._idle.insert(0, self._start())  # last in line: it needs a moment to start
            self._pass_turn()


def _request(call: str, file: OpenFile, **options: object) -> dict[str, object]:
    return {"call": call, "name": file.name, "suffix": file.suffix} | options


class _Child:
    """One child process and the parent's end of its connection. Used by one thread at a time."""

    def __init__(self, block_seconds: float, memory_bytes: int) -> None:
        self._block_seconds = block_seconds
        self._memory_bytes = memory_bytes
        self.starved = False  # whether the machine, not the input, kept it from answering in time
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = map(str, (theirs.fileno(), block_seconds, memory_bytes))
            # Its own session: an interrupt at the terminal is the parent's to handle.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "wordspot.indexer.sound.decoder_worker", *arguments],
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

    def send(self, request: dict[str, object], payload: bytes | OpenFile) -> None:
        """Raises BlockingIOError when the child does not read, OSError when it is gone."""
        if not self._ready:
            if not self._connection.poll(START_SECONDS):
                self.starved = True
                raise BlockingIOError
            self._ready = self._connection.recv_bytes() == READY
        self._connection.send_bytes(json.dumps(request).encode())
        if isinstance(payload, OpenFile):
            send_handle(self._connection, payload.descriptor, self._process.pid)
        else:
            self._connection.send_bytes(payload)

    def receive(self) -> tuple[bytes, memoryview]:
        """Returns kind and body. Raises BlockingIOError when none comes in time, EOFError when the child
        is gone."""
        for _ in range(MAX_STARVED_WAITS):
            before = self._processor_seconds()
            if self._connection.poll(self._block_seconds):
                message = self._connection.recv_bytes()
                self.starved = False
                return message[:1], memoryview(message)[1:]
            got = self._processor_seconds() - before
            self.starved = self._runnable() and got < self._block_seconds / 2
            if not self.starved:
                break
        raise BlockingIOError

    def _processor_seconds(self) -> float:
        user, system = self._stat()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _runnable(self) -> bool:
        return self._stat()[0] == "R"

    def _stat(self) -> list[str]:
        """Returns the fields of proc_pid_stat(5) from the state on. Raises OSError when the child is gone."""
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()

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

    def send_kill(self) -> None:
        """Kills the process without waiting for its end."""
        self._process.kill()

    def kill(self) -> None:
        """Kills the process and waits for its end."""
        self._process.kill()
        self._process.wait()

    def dismiss(self) -> None:
        self.kill()
        self._connection.close()
