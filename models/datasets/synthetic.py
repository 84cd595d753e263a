"""Synthetic speech: the same words said by several voices in some thirty languages, with exact times.

Texts: the captions of the Tux Paint stamps (tuxpaint-stamps-default, GPL-2), and single words of them.
Voices: variants of espeak-ng, each with a pitch and a pace of its own (see `espeak`). Split: all train.
A clip's group is its text: the clips of one group differ in the voice alone, so the spans of their words
are pairs of the same word by different speakers. Czech and Slovak are left out for judging.
"""

from __future__ import annotations

import json
import multiprocessing
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from wordspot.models.audio import SAMPLE_RATE
from wordspot.models.datasets import speech, tuxpaint
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.source import Source, register
from wordspot.models.datasets.speech import Clip, Take
from wordspot.models.espeak import Espeak, Spoken, TimedLabel, Voice, words_of

NAME = "synthetic"
HOURS = 3.0
SEED = 0
VOICES_PER_TEXT = 4
SHARE_OF_WORDS = 0.25
LONGEST_TEXT = 90
SHORTEST_WORD = 5

# Caption's locale: espeak's name. Over Germanic, Romance, Slavic, Baltic, Celtic, Greek, Albanian, Armenian,
# Indic, Dravidian, Iranian, Uralic, Turkic, Semitic, Kartvelian, Basque, Korean, Sinitic, Austroasiatic,
# Austronesian, Bantu and a constructed one.
LANGUAGES = {
    "en": "en-us",
    "en_GB": "en-gb-x-rp",
    "de": "de",
    "nl": "nl",
    "sv": "sv",
    "da": "da",
    "is": "is",
    "af": "af",
    "fr": "fr",
    "es": "es",
    "it": "it",
    "pt_BR": "pt-br",
    "ro": "ro",
    "ca": "ca",
    "ru": "ru",
    "pl": "pl",
    "uk": "uk",
    "bg": "bg",
    "hr": "hr",
    "lv": "lv",
    "cy": "cy",
    "ga": "ga",
    "el": "el",
    "sq": "sq",
    "hy": "hy",
    "hi": "hi",
    "gu": "gu",
    "ml": "ml",
    "fa": "fa",
    "fi": "fi",
    "hu": "hu",
    "tr": "tr",
    "ar": "ar",
    "am": "am",
    "ka": "ka",
    "eu": "eu",
    "ko": "ko",
    "zh_CN": "cmn",
    "vi": "vi",
    "id": "id",
    "sw": "sw",
    "eo": "eo",
}
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"),
    *("klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6"),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Gene", "Hugo", "Jacky", "Lee", "Mario"),
    *("Michael", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david"),
    *("ed", "edward", "grandma", "grandpa", "gustave", "ian", "iven", "john", "linda", "marcelo", "max"),
    *("miguel", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph"),
    *("travis", "victor", "zac"),
)


@dataclass(frozen=True)
class Text:
    """A text that is to be synthesised.

    Attributes:
        name: Unique, the clip's name but for the voice.
        language: ISO 639-1.
        voice_language: The language as espeak names it.
        content: What is to be said.
    """

    name: str
    language: str
    voice_language: str
    content: str


@dataclass(frozen=True)
class SynthesisedSource(Source):
    """Speech that is made, not fetched.

    Attributes:
        hours: How much speech there is at least.
        seed: Of what is random; same hours and seed, same bytes.
    """

    hours: float
    seed: int

    kind = "synthetic speech"

    def ready(self, home: Path) -> Path:
        """Returns the folder, synthesised on first use; what was synthesised otherwise is kept.

        Raises DatasetError.
        """
        return self.folder(home) if self.is_fetched(home) else self.fetch(home)

    def made_from(self) -> dict[str, Any]:
        try:
            loader = metadata.version("espeakng-loader")
        except metadata.PackageNotFoundError as error:
            raise DatasetError(
                f"{self.name} needs the extra `synthesis`: pip install wordspot[synthesis]"
            ) from error
        return {
            "source": self.name,
            "hours": self.hours,
            "seed": self.seed,
            "espeakng-loader": loader,
            **self.made_with(),
            "cache_version": self.CACHE_VERSION,
        }

    @abstractmethod
    def made_with(self) -> dict[str, Any]:
        """Returns the files of the texts and voices, for the stamp."""


@dataclass(frozen=True)
class SyntheticSource(SynthesisedSource):
    """Texts that espeak-ng speaks, with the times of words and phones."""

    def convert_into(self, folder: Path, root: Path) -> None:
        rng = np.random.default_rng(self.seed)
        texts = _draw_texts(read_captions(root), rng)
        rows: list[Clip] = []
        with (folder / "words.jsonl").open("w", encoding="utf-8") as table:
            for text, voice, spoken in _speak(texts, draw_voices(rng), rng):
                rows.append(clip := speech.write(_take(text, voice, spoken), self.name, folder))
                row = {"id": clip.id, "words": rounded(spoken.words), "phones": rounded(spoken.phones)}
                table.write(json.dumps(row, ensure_ascii=False) + "\n")
                complete = len(rows) % VOICES_PER_TEXT == 0
                if complete and sum(clip.seconds for clip in rows) >= self.hours * 3_600:
                    break
            else:
                raise DatasetError(f"the texts last for less than {self.hours} hours")
        speech.write_clips(rows, folder)

    def made_with(self) -> dict[str, Any]:
        return {"texts": self.packages[0].file_name}


SYNTHETIC = register(
    SyntheticSource(NAME, (tuxpaint.PACKAGE,), "texts: GPL-2, Tux Paint", "trains", HOURS, SEED)
)


def clips(home: Path) -> list[Clip]:
    """Returns the clips in order of id, synthesised on first use; what was synthesised otherwise is kept.

    home: state folder (WORDSPOT_HOME). Raises DatasetError.
    """
    return speech.read_clips(SYNTHETIC.ready(home))


def words(home: Path) -> dict[str, tuple[TimedLabel, ...]]:
    """Returns by clip id the words in order, with start and end in seconds."""
    return _table(home, "words")


def phones(home: Path) -> dict[str, tuple[TimedLabel, ...]]:
    """Returns by clip id the phones in order, with start and end in seconds, by espeak's names."""
    return _table(home, "phones")


def synthesise(home: Path, hours: float = HOURS, seed: int = SEED, packages: Path | None = None) -> Path:
    """Returns the folder with at least so many hours of speech; same arguments, same bytes.

    packages: as in `package.fetch`. Raises DatasetError.
    """
    return replace(SYNTHETIC, hours=hours, seed=seed).fetch(home, packages)


def _table(home: Path, column: str) -> dict[str, tuple[TimedLabel, ...]]:
    return read_spans(SYNTHETIC.ready(home), column)


def read_spans(folder: Path, column: str) -> dict[str, tuple[TimedLabel, ...]]:
    """Returns by clip id the spans that `words.jsonl` has under a name, with start and end in seconds."""
    with (folder / "words.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["id"]: tuple((what, start, end) for what, start, end in row[column]) for row in rows}


def read_captions(root: Path) -> dict[str, list[str]]:
    """Returns different captions by locale, in order of their stamps.

    root: folder into which tuxpaint.PACKAGE was unpacked.
    """
    captions: dict[str, dict[str, None]] = {locale: {} for locale in LANGUAGES}
    for path in sorted((root / tuxpaint.FOLDER).rglob("*.txt")):
        for locale, caption in tuxpaint.read_captions(path.read_text(encoding="utf-8")).items():
            if locale in captions and speakable(caption):
                captions[locale][unicodedata.normalize("NFC", caption)] = None
    return {locale: list(different) for locale, different in captions.items()}


def speakable(caption: str) -> bool:
    """Returns whether a caption is short and free of digits, symbols and brackets, which are read as other
    words than are written."""
    allowed = all(c.isalpha() or c in " .,'’!?-" or unicodedata.category(c)[0] == "M" for c in caption)
    return allowed and 3 <= len(caption) <= LONGEST_TEXT


def _draw_texts(captions: dict[str, list[str]], rng: np.random.Generator) -> list[Text]:
    """Returns captions and single words, the languages by turns until each has run out."""
    queues = [_language_texts(locale, captions[locale], rng) for locale in LANGUAGES]
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _language_texts(locale: str, captions: list[str], rng: np.random.Generator) -> list[Text]:
    vocabulary = vocabulary_of(captions)
    word_count = min(len(vocabulary), int(len(captions) * SHARE_OF_WORDS))
    chosen = [vocabulary[index] for index in rng.permutation(len(vocabulary))[:word_count]]
    contents = captions + chosen
    return [
        Text(f"{locale}/{number:04}", locale.split("_")[0], LANGUAGES[locale], contents[index])
        for number, index in enumerate(rng.permutation(len(contents)))
    ]


def vocabulary_of(captions: list[str]) -> list[str]:
    """Returns different words of SHORTEST_WORD letters or more, in order."""
    return sorted({word for caption in captions for word in words_of(caption) if len(word) >= SHORTEST_WORD})


def draw_voices(rng: np.random.Generator) -> list[Voice]:
    """Returns one voice of each of VARIANTS, its pitch 25 to 75 and its speed 120 to 200 words a minute."""
    return [Voice(variant, int(rng.integers(25, 76)), int(rng.integers(120, 201))) for variant in VARIANTS]


def _speak(
    texts: list[Text], voices: list[Voice], rng: np.random.Generator
) -> Iterator[tuple[Text, Voice, Spoken]]:
    """Yields every text by VOICES_PER_TEXT voices in turn; texts in which these say different words are left
    out."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, initializer=_load) as synthesiser:
        for text in texts:
            chosen = [voices[index] for index in rng.permutation(len(voices))[:VOICES_PER_TEXT]]
            takes = synthesiser.submit(_speak_once, text, chosen).result()
            if takes[0].words and len({tuple(word for word, _, _ in take.words) for take in takes}) == 1:
                yield from ((text, voice, take) for voice, take in zip(chosen, takes, strict=True))


_espeak: Espeak | None = None


def _load() -> None:
    global _espeak
    _espeak = Espeak()


def _speak_once(text: Text, voices: list[Voice]) -> list[Spoken]:
    assert _espeak is not None
    return [_espeak.speak(text.content, text.voice_language, voice) for voice in voices]


def _take(text: Text, voice: Voice, spoken: Spoken) -> Take:
    return Take(
        name=f"{text.name}-{voice.variant}",
        speaker=voice.variant,
        language=text.language,
        group=text.name,
        samples=resample(spoken.samples, spoken.rate),
        rate=SAMPLE_RATE,
        text=text.content,
    )


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resamples float32 (n,) at `rate` Hz to the front end's rate, at most 1 in size."""
    common = gcd(rate, SAMPLE_RATE)
    wave = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    return np.asarray(np.clip(wave, -1.0, 1.0), dtype=np.float32)


def rounded(spans: tuple[TimedLabel, ...]) -> list[tuple[str, float, float]]:
    """Rounds times to the tenth of a millisecond, as a clip's duration."""
    return [(what, round(start, 4), round(end, 4)) for what, start, end in spans]
