"""The synthesiser espeak-ng, with the times of every word and phone.

Its shared library and data come with the package espeakng-loader (the extra `synthesis`); GPL-3, and called
through ctypes. Its state outlives an utterance: the same bytes come only out of the same sequence of
utterances since the library was loaded, so a caller that needs them starts a process for each sequence.
"""

from __future__ import annotations

import ctypes
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import SynthesisError

TimedLabel = tuple[str, float, float]
"""A word or phone, its start and end in seconds."""

_SYNCHRONOUS_RETRIEVAL = 2
_PHONE_EVENTS_AND_NO_EXIT = 0x8001
_UTF_8 = 1
_AT_CHARACTER = 1
_RATE, _PITCH = 1, 3
_END, _WORD, _PHONE = 0, 1, 7


@dataclass(frozen=True)
class Voice:
    """How espeak speaks.

    Attributes:
        variant: An espeak voice variant, which shapes formants and source.
        pitch: 0 to 99.
        words_per_minute: 80 to 450.
    """

    variant: str
    pitch: int
    words_per_minute: int


@dataclass(frozen=True)
class Spoken:
    """A synthesised utterance.

    Attributes:
        samples: float32 (n,) at `rate` Hz.
        rate: Samples a second.
        words: In order, without the pauses between them; those that espeak speaks as one, such as "of the",
            are one.
        phones: In order, by espeak's own names.
    """

    samples: NDArray[np.float32]
    rate: int
    words: tuple[TimedLabel, ...]
    phones: tuple[TimedLabel, ...]


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The loaded library. There is one per process, for it keeps its state in globals; one thread uses it.

    version: of espeak-ng.
    """

    def __init__(self) -> None:
        """Raises SynthesisError without the package espeakng-loader."""
        loader = _loader()
        self._library = ctypes.CDLL(loader.get_library_path())
        data = str(loader.get_data_path()).encode()
        self._rate = int(
            self._library.espeak_Initialize(_SYNCHRONOUS_RETRIEVAL, 0, data, _PHONE_EVENTS_AND_NO_EXIT)
        )
        if self._rate <= 0:
            raise SynthesisError(f"espeak cannot be initialised: {self._rate}")
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version = self._library.espeak_Info(None).decode()
        # The noise of breath is seeded with the time of day otherwise.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._audio: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, int]] = []
        self._phones: list[tuple[str, int]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, language: str, voice: Voice) -> Spoken:
        """Returns a text as speech.

        language: as espeak names it, `en-us`, `cmn`. Raises SynthesisError for one that it does not have.
        """
        name = f"{language}+{voice.variant}"
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise SynthesisError(f"espeak has no voice {name!r}")
        self._library.espeak_SetParameter(_RATE, voice.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        for received in (self._audio, self._words, self._phones):
            received.clear()
        content = text.encode()
        self._library.espeak_Synth(content, len(content) + 1, 0, _AT_CHARACTER, 0, _UTF_8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)
        phones = self._timed_phones(len(samples))
        return Spoken(
            samples=samples.astype(np.float32) / np.float32(32_768),
            rate=self._rate,
            words=tuple(self._timed_words(text, phones, len(samples))),
            phones=tuple(
                (name, start / self._rate, stop / self._rate)
                for name, start, stop in phones
                if not name.startswith("_")
            ),
        )

    def _timed_phones(self, end: int) -> list[tuple[str, int, int]]:
        """Returns phones and pauses, whose names begin with an underscore, with start and end in samples."""
        return [
            (name, start, stop)
            for (name, start), (_, stop) in pairwise([*self._phones, ("", end)])
            if stop > start
        ]

    def _timed_words(self, text: str, phones: list[tuple[str, int, int]], end: int) -> list[TimedLabel]:
        """Returns words, each from its event to the end of the last phone before the next word's."""
        words: list[TimedLabel] = []
        events = sorted({position: start for position, start in reversed(self._words)}.items())
        for (position, start), (next_position, limit) in pairwise([*events, (len(text), end)]):
            spoken = [
                (from_, to)
                for name, from_, to in phones
                if start <= from_ < limit and not name.startswith("_")
            ]
            word = " ".join(words_of(text[position:next_position]))
            if word and spoken:
                words.append((word, spoken[0][0] / self._rate, min(spoken[-1][1], limit) / self._rate))
        return words

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self._audio.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while (event := events[index]).type != _END:
            if event.type == _WORD:
                self._words.append((event.text_position - 1, event.sample))
            elif event.type == _PHONE:
                self._phones.append((event.id.string.decode("utf-8", "replace"), event.sample))
            index += 1
        return 0


def languages() -> tuple[str, ...]:
    """Returns the names of the languages that `Espeak.speak` takes, in order.

    Raises SynthesisError without the package espeakng-loader.
    """
    return _languages(Path(_loader().get_data_path()) / "lang")


@lru_cache(maxsize=1)
def _languages(voices: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name.lower() for path in voices.rglob("*") if path.is_file()))


def _loader() -> Any:
    try:
        import espeakng_loader
    except ImportError as error:
        raise SynthesisError(
            "espeak needs the extra `synthesis`: pip install 'wordspot[synthesis]'"
        ) from error
    return espeakng_loader


def words_of(text: str) -> list[str]:
    """Returns a text's words in lower case without the punctuation around them."""
    stripped = ("".join(c if c.isalnum() or c in "'’-" or _joins(c) else " " for c in text)).split()
    return [word for word in (part.strip("'’-").lower() for part in stripped) if word]


def _joins(character: str) -> bool:
    """Returns whether a character is a combining mark or joiner, which Indic and Arabic words contain."""
    return unicodedata.category(character) in {"Mn", "Mc", "Cf"}
