"""Typed words as spoken examples: espeak-ng says them in several voices.

    synthesis = Synthesiser().speak("conference", "en", 4)

Each text is spoken by a process of its own: espeak keeps its state in globals, and only the first utterances
after its start are always the same. What a text makes of it ends with that process.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from wordspot.indexer.audio import write_wav
from wordspot.indexer.decoder import SINGLE_THREAD
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.models.datasets import espeak
from wordspot.models.datasets.espeak import Voice
from wordspot.models.datasets.package import DatasetError
from wordspot.services.runtime import ensure_wanted

MAX_CHARACTERS = 100
LONGEST_SECONDS = 10.0  # as of any query
LONGEST_LANGUAGE = 35
DEFAULT_LANGUAGE = "en"
DEFAULT_SPEAKERS = 4
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
SILENCE_SECONDS = 0.1  # before and after: encoders are used to words that come out of it


@dataclass(frozen=True)
class Utterance:
    """data: a WAV file. interval: where the text is said in it, in seconds."""

    speaker: str
    data: bytes
    interval: tuple[float, float]


@dataclass(frozen=True)
class Synthesis:
    """synthesiser: its name and version."""

    synthesiser: str
    language: str
    utterances: tuple[Utterance, ...]

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(utterance.speaker for utterance in self.utterances)


class Synthesiser:
    """Safe to call from several threads.

    seconds, memory_bytes: what one text may take. at_once: texts spoken at the same time; None for the cores.
    """

    def __init__(
        self, *, seconds: float = 20.0, memory_bytes: int = 1 << 29, at_once: int | None = None
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._room = threading.Semaphore(at_once or len(os.sched_getaffinity(0)))

    def speak(
        self, text: str, language: str = DEFAULT_LANGUAGE, speakers: int = DEFAULT_SPEAKERS
    ) -> Synthesis:
        """The text by the first so many SPEAKERS; the same arguments give the same bytes.

        language: an espeak code such as `en`, `en-us`, `cmn`. Raises InvalidInput for a text that is empty,
        too long or not to be spoken, and for an unknown language; FailedPrecondition without the extra.
        """
        text, language = _checked_text(text), _checked_language(language)
        if not 1 <= speakers <= len(SPEAKERS):
            raise InvalidInput(f"{speakers} speakers; 1 to {len(SPEAKERS)} are allowed")
        voices = SPEAKERS[:speakers]
        with self._room:
            ensure_wanted()
            answer = self._ask(text, language, voices)
        if "refused" in answer:
            raise InvalidInput(answer["refused"])
        utterances = [
            _utterance(voice, said) for voice, said in zip(voices, answer["utterances"], strict=True)
        ]
        return Synthesis(f"espeak-ng {answer['version']}", language, tuple(utterances))

    def _ask(self, text: str, language: str, voices: Sequence[Voice]) -> dict[str, Any]:
        request = {
            "text": text,
            "language": language,
            "voices": [astuple(voice) for voice in voices],
            "longest": LONGEST_SECONDS,
        }
        worker = (sys.executable, "-P", "-m", "wordspot.services.searcher.synthesis_worker")
        try:
            ended = subprocess.run(
                [*worker, str(self._seconds), str(self._memory_bytes)],
                input=json.dumps(request).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | SINGLE_THREAD,
                start_new_session=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InvalidInput(f"speaking {text!r} took more than {self._seconds:g} s, stopped") from None
        if ended.returncode:
            raise InvalidInput(f"speaking {text!r} failed ({_obituary(ended.returncode)})")
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer


def _checked_text(text: str) -> str:
    """With single spaces. Raises InvalidInput."""
    text = " ".join(text.split())
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise InvalidInput(f"the text has {len(text)} characters; 1 to {MAX_CHARACTERS} are allowed")
    if control := next((c for c in text if unicodedata.category(c) == "Cc"), ""):
        raise InvalidInput(f"the text holds {control!r}; no control characters are allowed")
    if not any(c.isalnum() for c in text):
        raise InvalidInput(f"the text {text!r} says nothing; a letter or digit is needed")
    return text


def _checked_language(language: str) -> str:
    """As espeak writes it. Raises InvalidInput, and FailedPrecondition without the extra."""
    try:
        known = espeak.languages()
    except DatasetError as error:
        raise FailedPrecondition(
            "typed queries need a synthesiser where the searcher runs: pip install 'wordspot[synthesis]'"
        ) from error
    if len(language) > LONGEST_LANGUAGE:
        raise InvalidInput(
            f"a language code of {len(language)} characters; at most {LONGEST_LANGUAGE} are allowed"
        )
    code = language.lower().replace("_", "-")
    if code in known:
        return code
    near = dict.fromkeys([name for name in known if name[:2] == code[:2]] + get_close_matches(code, known))
    told = f"near it are {', '.join(near)}" if near else f"all are {', '.join(known)}"
    raise InvalidInput(f"espeak-ng has no language {language!r}; {told}")


def _utterance(voice: Voice, said: dict[str, Any]) -> Utterance:
    samples = np.frombuffer(base64.b64decode(said["pcm"]), "<f4")
    silence = np.zeros(round(SILENCE_SECONDS * said["rate"]), np.float32)
    return Utterance(
        voice.variant,
        write_wav(np.concatenate([silence, samples, silence]), said["rate"]),
        (SILENCE_SECONDS + said["start"], SILENCE_SECONDS + said["end"]),
    )


def _obituary(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
