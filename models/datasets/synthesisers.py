"""The same words and short phrases by several synthesisers, each a clip of its own.

Texts: single words out of the captions of the Tux Paint stamps (tuxpaint-stamps-default, GPL-2), and short
captions. Voices: Pico's of English, German, Spanish, French and Italian (see `pico`), flite's of English
(see `flite`), and variants of espeak-ng (see `espeak`). Split: all train. A clip's group is its text; the
clips of one group differ in the speaker alone. `words` has one span a clip: the whole text, from its first
sound to its last. Its words are those of `synthetic` in part, so that more pairs lie between the two.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models import espeak
from wordspot.models.audio import SAMPLE_RATE
from wordspot.models.datasets import flite, pico, speech, synthetic, tuxpaint
from wordspot.models.datasets.flite import Flite
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.pico import Pico
from wordspot.models.datasets.source import register
from wordspot.models.datasets.speech import Clip, Take
from wordspot.models.datasets.synthetic import SynthesisedSource
from wordspot.models.espeak import Espeak, TimedLabel, words_of

NAME = "synthesisers"
HOURS = 1.5
SEED = 0
ESPEAK_VOICES_PER_TEXT = 2
FLITE_VOICES_PER_TEXT = 2
SHARE_OF_WORDS = 0.75
MOST_WORDS_OF_A_PHRASE = 4
MARGIN_SECONDS = 0.3
QUIET_DECIBELS = 40.0
ENERGY_SECONDS = 0.01
PICO_PITCH = (0.85, 1.2)
PICO_SPEED = (0.8, 1.25)
FLITE_STRETCH = (0.85, 1.2)


@dataclass(frozen=True)
class Cast:
    """The voices of a language.

    Attributes:
        espeak: The name of the language in espeak.
        pico: Pico's voices.
        flite: Flite's voices.
    """

    espeak: str
    pico: tuple[str, ...]
    flite: tuple[str, ...] = ()


CASTS = {
    "en": Cast("en-us", ("en-US", "en-GB"), flite.VOICES),
    "de": Cast("de", ("de-DE",)),
    "es": Cast("es", ("es-ES",)),
    "fr": Cast("fr", ("fr-FR",)),
    "it": Cast("it", ("it-IT",)),
}


@dataclass(frozen=True)
class PicoVoice:
    """A voice of Pico.

    Attributes:
        name: As `Pico.speak` takes it.
        pitch: Factor, as `Pico.speak` takes it.
        speed: Factor, as `Pico.speak` takes it.
    """

    name: str
    pitch: float
    speed: float


@dataclass(frozen=True)
class FliteVoice:
    """A voice of Flite.

    Attributes:
        name: As `Flite.speak` takes it.
        stretch: Factor of the duration, as `Flite.speak` takes it.
    """

    name: str
    stretch: float


@dataclass(frozen=True)
class EspeakVoice:
    """A voice of espeak in a language, by espeak's name."""

    language: str
    voice: espeak.Voice


SpeakerVoice = PicoVoice | FliteVoice | EspeakVoice


@dataclass(frozen=True)
class TrimmedUtterance:
    """An utterance with a margin around it.

    Attributes:
        samples: float32 (n,) at SAMPLE_RATE.
        start: Where the speech in it begins, in seconds.
        end: Where the speech in it ends, in seconds.
    """

    samples: NDArray[np.float32]
    start: float
    end: float


@dataclass(frozen=True)
class SynthesisersSource(SynthesisedSource):
    """Texts that several synthesisers speak, with the times of their words."""

    def convert_into(self, folder: Path, root: Path) -> None:
        rng = np.random.default_rng(self.seed)
        texts = _draw_texts(synthetic.read_captions(root), rng)
        rows: list[Clip] = []
        with (folder / "words.jsonl").open("w", encoding="utf-8") as table:
            for takes in _speak(texts, root, rng):
                for take, utterance in takes:
                    rows.append(clip := speech.write(take, self.name, folder))
                    spans = synthetic.rounded(
                        ((" ".join(words_of(take.text or "")), utterance.start, utterance.end),)
                    )
                    table.write(json.dumps({"id": clip.id, "words": spans}, ensure_ascii=False) + "\n")
                if sum(clip.seconds for clip in rows) >= self.hours * 3_600:
                    break
            else:
                raise DatasetError(f"the texts last for less than {self.hours} hours")
        speech.write_clips(rows, folder)

    def made_with(self) -> dict[str, Any]:
        return {"packages": [package.file_name for package in self.packages]}


SYNTHESISERS = register(
    SynthesisersSource(
        NAME,
        (tuxpaint.PACKAGE, pico.PACKAGE, *flite.PACKAGES),
        "texts: GPL-2, Tux Paint; voices: each synthesiser's own",
        "trains",
        HOURS,
        SEED,
    )
)


def clips(home: Path) -> list[Clip]:
    """Returns the clips in order of id, synthesised on first use; what was synthesised otherwise is kept.

    home: state folder (WORDSPOT_HOME). Raises DatasetError.
    """
    return speech.read_clips(SYNTHESISERS.ready(home))


def words(home: Path) -> dict[str, tuple[TimedLabel, ...]]:
    """Returns by clip id one span: the text's words, and their start and end in seconds."""
    return synthetic.read_spans(SYNTHESISERS.ready(home), "words")


def synthesise(home: Path, hours: float = HOURS, seed: int = SEED, packages: Path | None = None) -> Path:
    """Returns the folder with at least so many hours of speech; same arguments, same bytes.

    packages: as in `package.fetch`. Raises DatasetError.
    """
    return replace(SYNTHESISERS, hours=hours, seed=seed).fetch(home, packages)


def speech_bounds(samples: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Returns start and end in seconds of what is at most QUIET_DECIBELS below the loudest stretch of
    ENERGY_SECONDS; 0 and 0 where all is silent. samples: float32 (n,) without noise, at `rate` Hz."""
    hop = int(ENERGY_SECONDS * rate)
    power = np.square(samples[: len(samples) // hop * hop]).reshape(-1, hop).mean(axis=1)
    if not power.any():
        return 0.0, 0.0
    loud = np.flatnonzero(power > power.max() * 10.0 ** (-QUIET_DECIBELS / 10.0))
    return float(loud[0]) * ENERGY_SECONDS, float(loud[-1] + 1) * ENERGY_SECONDS


def _draw_texts(captions: dict[str, list[str]], rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Returns language, name and content; the languages by turns until each has run out."""
    queues = []
    for language in CASTS:
        vocabulary = synthetic.vocabulary_of(captions[language])
        phrases = [
            caption for caption in captions[language] if 2 <= len(words_of(caption)) <= MOST_WORDS_OF_A_PHRASE
        ]
        count = min(len(phrases), int(len(vocabulary) * (1 / SHARE_OF_WORDS - 1)))
        chosen = [phrases[index] for index in rng.permutation(len(phrases))[:count]]
        contents = vocabulary + chosen
        queues.append(
            [
                (language, f"{language}/{number:04}", contents[index])
                for number, index in enumerate(rng.permutation(len(contents)))
            ]
        )
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _draw_cast(cast: Cast, variants: list[espeak.Voice], rng: np.random.Generator) -> dict[str, SpeakerVoice]:
    """Returns who says a text, by speaker."""
    chosen: dict[str, SpeakerVoice] = {}
    for name in cast.pico:
        chosen[f"pico-{name}"] = PicoVoice(name, rng.uniform(*PICO_PITCH), rng.uniform(*PICO_SPEED))
    for index in rng.permutation(len(cast.flite))[:FLITE_VOICES_PER_TEXT]:
        chosen[f"flite-{cast.flite[index]}"] = FliteVoice(cast.flite[index], rng.uniform(*FLITE_STRETCH))
    for index in rng.permutation(len(variants))[:ESPEAK_VOICES_PER_TEXT]:
        chosen[f"espeak-{variants[index].variant}"] = EspeakVoice(cast.espeak, variants[index])
    return chosen


def _speak(
    texts: list[tuple[str, str, str]], root: Path, rng: np.random.Generator
) -> Iterator[list[tuple[Take, TrimmedUtterance]]]:
    """Yields what all speakers of a text say; texts that one of them cannot say are left out."""
    variants = synthetic.draw_voices(rng)
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, initializer=_load, initargs=(root,)) as synthesiser:
        for language, name, content in texts:
            cast = _draw_cast(CASTS[language], variants, rng)
            utterances = synthesiser.submit(_speak_once, content, list(cast.values())).result()
            if all(utterance.end > utterance.start for utterance in utterances):
                yield [
                    (
                        Take(
                            f"{name}-{speaker}",
                            speaker,
                            language,
                            name,
                            utterance.samples,
                            SAMPLE_RATE,
                            content,
                        ),
                        utterance,
                    )
                    for speaker, utterance in zip(cast, utterances, strict=True)
                ]


@dataclass(frozen=True)
class _Synthesisers:
    espeak: Espeak
    pico: Pico
    flite: Flite


_loaded: _Synthesisers | None = None


def _load(root: Path) -> None:
    global _loaded
    _loaded = _Synthesisers(Espeak(), Pico(root), Flite(root))


def _speak_once(text: str, voices: list[SpeakerVoice]) -> list[TrimmedUtterance]:
    assert _loaded is not None
    return [_say(_loaded, text, voice) for voice in voices]


def _say(synthesisers: _Synthesisers, text: str, voice: SpeakerVoice) -> TrimmedUtterance:
    if isinstance(voice, PicoVoice):
        samples = synthesisers.pico.speak(text, voice.name, voice.pitch, voice.speed)
        return _trimmed(samples, pico.RATE, *speech_bounds(samples, pico.RATE))
    if isinstance(voice, FliteVoice):
        spoken = synthesisers.flite.speak(text, voice.name, voice.stretch)
    else:
        spoken = synthesisers.espeak.speak(text, voice.language, voice.voice)
    start, end = (spoken.phones[0][1], spoken.phones[-1][2]) if spoken.phones else (0.0, 0.0)
    return _trimmed(spoken.samples, spoken.rate, start, end)


def _trimmed(samples: NDArray[np.float32], rate: int, start: float, end: float) -> TrimmedUtterance:
    """Returns the speech from start to end in seconds with at most MARGIN_SECONDS around it."""
    first, last = max(0.0, start - MARGIN_SECONDS), end + MARGIN_SECONDS
    speech_samples = samples[int(first * rate) : int(last * rate)]
    resampled = synthetic.resample(speech_samples, rate)
    return TrimmedUtterance(resampled, start - first, min(end - first, len(resampled) / SAMPLE_RATE))
