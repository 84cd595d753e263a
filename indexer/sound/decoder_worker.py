"""The child process of IsolatedDecoder: decodes what it is told to until its connection closes.

It imports nothing but the decoding libraries. It may not write files, and may not hold more memory than it
was given; it is killed by its own alarm should a block take too long and nobody be left to kill it.

A request is a JSON message, followed by the file's bytes for `decode_bytes` and by its descriptor otherwise:
what is decoded is what the parent has opened. A reply is any number of messages, the first byte of each
telling its kind.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound import audio
from wordspot.indexer.sound.opened import OpenFile
from wordspot.indexer.sound.original import OriginalSound
from wordspot.indexer.sound.survey import HeardTrack

READY, DATA, NOTES, REFUSED, END = b"R", b"D", b"N", b"E", b"."
ORIGINAL_HEADER = struct.Struct("<II")  # rate and channels, before the samples of a sound
OUT_OF_MEMORY = 77  # exit status
ALARM_MARGIN_SECONDS = 5.0
MAX_STARVED_WAITS = 3  # times the seconds of a block, while other work keeps the child from running


def answers(request: dict[str, Any], connection: Connection) -> Iterator[bytes]:
    """Yields the messages before the last: JSON for probe and survey, float32 samples otherwise (empty ones
    while a place is sought; behind rate and channels for read_original), and what was noted of them as JSON.
    """
    match request.pop("call"):
        case "probe":
            with _received(request, connection) as file:
                yield DATA + json.dumps(asdict(audio.probe(file, **request))).encode()
        case "survey":
            with _received(request, connection) as file:
                for found in audio.survey_with_pauses(file, **request):
                    yield DATA + (json.dumps(asdict(found)).encode() if found else b"")
        case "decode_bytes":
            yield DATA + audio.decode_bytes(connection.recv_bytes(), **request).tobytes()
        case "read_original":
            with _received(request, connection) as file:
                for sound in audio.original_with_pauses(file, **request):
                    yield DATA + (_original_message(sound) if sound else b"")
        case "read_blocks":
            warnings: list[str] = []
            heard: list[HeardTrack] = []
            with _received(request, connection) as file:
                for block in audio.read_with_pauses(file, warnings=warnings, heard=heard, **request):
                    yield DATA + block.tobytes()
            yield NOTES + json.dumps([warnings, list(map(asdict, heard))]).encode()


def _original_message(sound: OriginalSound) -> bytes:
    return ORIGINAL_HEADER.pack(sound.rate, sound.samples.shape[1]) + sound.samples.tobytes()


@contextmanager
def _received(request: dict[str, Any], connection: Connection) -> Iterator[OpenFile]:
    """Gives the file whose descriptor follows the request, and takes what names it out of the request."""
    descriptor = recv_handle(connection)
    try:
        yield OpenFile(descriptor, request.pop("name"), request.pop("suffix"))
    finally:
        os.close(descriptor)


def answer(request: dict[str, Any], connection: Connection, block_seconds: float) -> None:
    """Sends the messages of one call; an alarm ends the process if one of them takes too long."""
    messages = answers(request, connection)
    while True:
        signal.setitimer(signal.ITIMER_REAL, block_seconds * MAX_STARVED_WAITS + ALARM_MARGIN_SECONDS)
        try:
            message = next(messages)
        except StopIteration:
            message = END
        except InvalidInput as refusal:
            message = REFUSED + str(refusal).encode(errors="surrogateescape")
        except MemoryError:
            raise
        except Exception as error:  # of whatever kind: it is this file's failure, and no other's
            message = REFUSED + f"the decoder failed ({type(error).__name__}: {error})".encode(
                errors="surrogateescape"
            )
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send_bytes(message)
        if message[:1] in (REFUSED, END):
            return


def main() -> None:
    """Answers calls until the parent closes the connection.

    Arguments of the process: descriptor of the connection, seconds a block may take, bytes of memory.
    """
    descriptor, block_seconds, memory_bytes = sys.argv[1:]
    connection = Connection(int(descriptor))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    try:
        connection.send_bytes(READY)
        while True:
            answer(json.loads(connection.recv_bytes()), connection, float(block_seconds))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
