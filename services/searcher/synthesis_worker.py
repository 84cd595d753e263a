"""The child process that synthesises speech, each text in a fork of its own.

A fork may not write files, and may not hold more memory or use more processor time than it was given.

Once ready it sends READY. Requests and answers are JSON. Request: text, language, voices (of each variant,
pitch, words a minute), max_seconds (of an utterance). Answer: version and one utterance a voice (rate, pcm,
start and end of the text in seconds; pcm is base64 of little-endian float32), `refused` with the reason, or
`failed` with how the fork ended: its exit status, or the number of the signal, negative.
"""

from __future__ import annotations

import base64
import json
import math
import os
import resource
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from wordspot.models.espeak import Espeak, Voice

READY = b"ready"


def answer(
    espeak: Espeak, text: str, language: str, voices: Sequence[Sequence[Any]], max_seconds: float
) -> dict[str, Any]:
    """Returns the answer to one request, spoken in this process."""
    utterances = []
    for voice in voices:
        utterance = espeak.speak(text, language, Voice(*voice))
        if not utterance.phones:
            return {"refused": f"espeak-ng has no sound for {text!r} in the language {language!r}"}
        (_, start, _), (_, _, end) = utterance.phones[0], utterance.phones[-1]
        if end - start > max_seconds:
            return {
                "refused": f"{text!r} must take at most {max_seconds:g} s to speak, got {end - start:.1f} s"
            }
        pcm = base64.b64encode(utterance.samples.astype("<f4").tobytes()).decode()
        utterances.append({"rate": utterance.rate, "pcm": pcm, "start": start, "end": end})
    return {"version": espeak.version, "utterances": utterances}


def answer_in_a_fork(
    espeak: Espeak, request: bytes, connection: Connection, seconds: float, memory_bytes: int
) -> bytes:
    """Returns the answer as JSON. connection: the caller's, which the fork closes."""
    reading, writing = os.pipe()
    fork = os.fork()
    if not fork:
        status = 1
        try:
            connection.close()
            os.close(reading)
            _limit(seconds, memory_bytes)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(answer(espeak, **json.loads(request))).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer_json = pipe.read()
    _, status = os.waitpid(fork, 0)
    return json.dumps({"failed": os.waitstatus_to_exitcode(status)}).encode() if status else answer_json


def _limit(seconds: float, memory_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: math.ceil(seconds),
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def main() -> None:
    """Answers requests until the connection ends."""
    descriptor, seconds, memory_bytes = sys.argv[1:]
    connection = Connection(int(descriptor))
    espeak = Espeak()
    try:
        connection.send_bytes(READY)
        while True:
            request = connection.recv_bytes()
            connection.send_bytes(
                answer_in_a_fork(espeak, request, connection, float(seconds), int(memory_bytes))
            )
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
