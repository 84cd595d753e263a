"""Speech synthesis of typed queries: espeak-ng speaks them in several voices.

    with Synthesiser() as synthesiser:
        speech = synthesiser.speak("conference", "en", 4)

Workers wait with espeak loaded, and each text is spoken by a fork of one of them: espeak keeps its state in
globals, and only the first utterances after its start are always the same. What a text makes of it ends with
that fork. Recent utterances are cached.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import astuple, dataclass
from difflib import get_close_matches
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.sound.audio import write_wav
from wordspot.indexer.sound.decoder import SINGLE_THREAD
from wordspot.models import espeak
from wordspot.models.errors import SynthesisError
from wordspot.models.espeak import Voice
from wordspot.services.answers import Synthesis
from wordspot.services.examples import RecordedQuery
from wordspot.services.limits import (
    DEFAULT_SPEAKERS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_UTTERANCE_SECONDS,
    MAX_WORKER_START_SECONDS,
)
from wordspot.services.runtime import ensure_wanted

DEFAULT_LANGUAGE = "en"
# Women and men by turns, high and low, slow and quick; espeak's own names.
SPEAKERS = (
    Voice("m3", 40, 150),
    Voice("f2", 60, 170),
    Voice("m7", 50, 190),
    Voice("f5", 50, 140),
    Voice("m1", 45, 165),
    Voice("f1", 55, 155),
    Voice("m5", 55, 180),
    Voice("f3", 45, 175),
)
SILENCE_SECONDS = 0.1  # before and after: encoders are trained on words with silence around them

_Key = tuple[str, str, int]
"""Text, language and number of speakers."""


@dataclass(frozen=True)
class SynthesisedSpeech:
    """A text, spoken by several voices.

    Attributes:
        synthesis: who spoke.
        utterances: one for each voice, whose name is the label.
    """

    synthesis: Synthesis
    utterances: tuple[RecordedQuery, ...]

    @property
    def size(self) -> int:
        """Bytes of sound."""
        return sum(len(utterance.data) for utterance in self.utterances)


class Synthesiser:
    """Speaks texts in worker processes. Safe to call from several threads; close it to end its workers.

    A worker starts when it is first needed. One that crashes or takes too long is killed, the next text gets
    another, and the caller gets InvalidInput.

    Args:
        seconds, memory_bytes: what one text may take.
        max_workers: texts spoken at the same time; None for the number of cores.
        cache_bytes: of sound that was spoken last.
    """

    def __init__(
        self,
        *,
        seconds: float = 20.0,
        memory_bytes: int = 1 << 29,
        max_workers: int | None = None,
        cache_bytes: int = 1 << 25,
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._worker_slots = threading.Semaphore(max_workers or len(os.sched_getaffinity(0)))
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[_Key, SynthesisedSpeech] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[_SynthesisWorker] = []
        self._busy: set[_SynthesisWorker] = set()

    def speak(
        self, text: str, language: str = DEFAULT_LANGUAGE, speakers: int = DEFAULT_SPEAKERS
    ) -> SynthesisedSpeech:
        """Returns the text spoken by the first so many SPEAKERS; the same arguments give the same bytes.

        Args:
            text: 1 to 100 characters.
            language: a code of espeak-ng such as `en`, `en-us`, `cmn`.
            speakers: 1 to 8.

        Raises:
            InvalidInput: the text is empty, too long or cannot be spoken, or the language is unknown.
            FailedPrecondition: the extra `synthesis` is not installed, or the synthesiser is closed.
        """
        text, language = _checked_text(text), _checked_language(language)
        if not 1 <= speakers <= len(SPEAKERS):
            raise InvalidInput(f"speakers must be between 1 and {len(SPEAKERS)}, got {speakers}")
        key = (text, language, speakers)
        if speech := self._cached(key):
            return speech
        with self._worker_slots:
            ensure_wanted()
            speech = self._cached(key) or self._synthesise(*key)
        self._put_into_cache(key, speech)
        return speech

    def close(self) -> None:
        """Ends every worker; calls in progress raise InvalidInput, later ones FailedPrecondition."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = tuple(self._busy)
        for worker in idle:
            worker.dismiss()
        for worker in busy:
            worker.kill()

    def __enter__(self) -> Synthesiser:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _cached(self, key: _Key) -> SynthesisedSpeech | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _put_into_cache(self, key: _Key, speech: SynthesisedSpeech) -> None:
        with self._lock:
            self._cache[key] = speech
            while sum(speech.size for speech in self._cache.values()) > self._cache_bytes:
                self._cache.popitem(last=False)

    def _synthesise(self, text: str, language: str, speakers: int) -> SynthesisedSpeech:
        voices = SPEAKERS[:speakers]
        request = {
            "text": text,
            "language": language,
            "voices": [astuple(voice) for voice in voices],
            "max_seconds": MAX_UTTERANCE_SECONDS,
        }
        answer = self._call_worker(request)
        if "failed" in answer:
            raise InvalidInput(f"speaking {text!r} failed ({_exit_reason(answer['failed'])})")
        if "refused" in answer:
            raise InvalidInput(answer["refused"])
        utterances = [
            _utterance(voice, sound) for voice, sound in zip(voices, answer["utterances"], strict=True)
        ]
        names = tuple(voice.variant for voice in voices)
        synthesis = Synthesis(f"espeak-ng {answer['version']}", language, names)
        return SynthesisedSpeech(synthesis, tuple(utterances))

    def _call_worker(self, request: dict[str, Any]) -> dict[str, Any]:
        worker = self._acquire_worker()
        answer = None
        try:
            answer = worker.request(request, self._seconds)
            return answer
        except TimeoutError:
            raise InvalidInput(
                f"speaking {request['text']!r} took more than {self._seconds:g} s, stopped"
            ) from None
        except (EOFError, OSError):
            return {"failed": worker.kill()}
        finally:
            self._release_worker(worker, usable=answer is not None)

    def _acquire_worker(self) -> _SynthesisWorker:
        with self._lock:
            if self._closed:
                raise FailedPrecondition("the synthesiser is closed")
            worker = None
            while self._idle and worker is None:
                worker = self._idle.pop()
                if not worker.alive:
                    worker.dismiss()
                    worker = None
            worker = worker or _SynthesisWorker(self._seconds, self._memory_bytes)
            self._busy.add(worker)
            return worker

    def _release_worker(self, worker: _SynthesisWorker, usable: bool) -> None:
        with self._lock:
            self._busy.remove(worker)
            if usable and not self._closed:
                self._idle.append(worker)
                return
        worker.dismiss()


class _SynthesisWorker:
    """One child process and the parent's end of its connection. Used by one thread at a time."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: its forks die with it, and an interrupt at the terminal is the parent's.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "wordspot.services.searcher.synthesis_worker"),
                    *map(str, (theirs.fileno(), seconds, memory_bytes)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | SINGLE_THREAD,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self._ready = False

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def request(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Returns the worker's answer.

        seconds: for the answer, once the worker has started. Raises TimeoutError, and EOFError or OSError
        when the worker has ended.
        """
        if not self._ready:
            self._receive(MAX_WORKER_START_SECONDS)
            self._ready = True
        self._connection.send_bytes(json.dumps(message).encode())
        answer: dict[str, Any] = json.loads(self._receive(seconds))
        return answer

    def _receive(self, seconds: float) -> bytes:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return self._connection.recv_bytes()

    def kill(self) -> int:
        """Ends it with its forks; returns how it ended, as Popen.returncode, or had ended before."""
        if self._process.returncode is None:  # until it is waited for, no other process gets its id
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def dismiss(self) -> None:
        """Ends it and closes its connection."""
        self.kill()
        self._connection.close()


def _checked_text(text: str) -> str:
    """Returns the text with single spaces. Raises InvalidInput."""
    text = " ".join(text.split())
    if not 1 <= len(text) <= MAX_TEXT_CHARACTERS:
        raise InvalidInput(
            f"the text must have between 1 and {MAX_TEXT_CHARACTERS} characters, got {len(text)}"
        )
    if control := next((c for c in text if unicodedata.category(c) == "Cc"), ""):
        raise InvalidInput(f"the text must have no control characters, got {control!r}")
    if not any(c.isalnum() for c in text):
        raise InvalidInput(f"the text must have a letter or digit, got {text!r}")
    return text


def _checked_language(language: str) -> str:
    """Returns the code as espeak-ng writes it.

    Raises InvalidInput, and FailedPrecondition without the extra.
    """
    try:
        languages = espeak.languages()
    except SynthesisError as error:
        raise FailedPrecondition(
            "typed queries need a synthesiser where the searcher runs: pip install 'wordspot[synthesis]'"
        ) from error
    if len(language) > MAX_LANGUAGE_CHARACTERS:
        raise InvalidInput(
            f"a language code must have at most {MAX_LANGUAGE_CHARACTERS} characters, got {len(language)}"
        )
    code = language.lower().replace("_", "-")
    if code in languages:
        return code
    near = dict.fromkeys(
        [name for name in languages if name[:2] == code[:2]] + get_close_matches(code, languages)
    )
    hint = f"near it are {', '.join(near)}" if near else f"all are {', '.join(languages)}"
    raise InvalidInput(f"espeak-ng has no language {language!r}; {hint}")


def _utterance(voice: Voice, sound: dict[str, Any]) -> RecordedQuery:
    samples = np.frombuffer(base64.b64decode(sound["pcm"]), "<f4")
    silence = np.zeros(round(SILENCE_SECONDS * sound["rate"]), np.float32)
    return RecordedQuery(
        write_wav(np.concatenate([silence, samples, silence]), sound["rate"]),
        (SILENCE_SECONDS + sound["start"], SILENCE_SECONDS + sound["end"]),
        voice.variant,
    )


def _exit_reason(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
