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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from wordspot.models.audio import SAMPLE_RATE
from wordspot.models.datasets import speech, tuxpaint
from wordspot.models.datasets.espeak import Espeak, Span, Spoken, Voice, words_of
from wordspot.models.datasets.package import DatasetError, fetch, unpack
from wordspot.models.datasets.speech import Clip, Take

NAME = "synthetic"
HOURS = 3.0
SEED = 0
CACHE_VERSION = 1
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
    """name: unique, the clip's name but for the voice. voice_language: as espeak names it."""

    name: str
    language: str
    voice_language: str
    content: str


def clips(home: Path) -> list[Clip]:
    """The clips in order of id, synthesised on first use; what was synthesised otherwise is kept.

    home: state folder (WORDSPOT_HOME). Raises DatasetError.
    """
    return speech.read_clips(_ready(home))


def words(home: Path) -> dict[str, tuple[Span, ...]]:
    """By clip id the words in order, with start and end in seconds."""
    return _table(home, "words")


def phones(home: Path) -> dict[str, tuple[Span, ...]]:
    """By clip id the phones in order, with start and end in seconds, by espeak's names."""
    return _table(home, "phones")


def synthesise(home: Path, hours: float = HOURS, seed: int = SEED, packages: Path | None = None) -> Path:
    """The folder with at least so many hours of speech; same arguments, same bytes.

    packages: as in `package.fetch`. Raises DatasetError.
    """
    folder = home / "datasets" / NAME
    stamp = _stamp(hours, seed)
    if speech.read_stamp(folder) == stamp:
        return folder
    rng = np.random.default_rng(seed)
    with speech.building(folder, stamp) as made:
        texts = _draw_texts(_captions(packages), rng)
        rows: list[Clip] = []
        with (made / "words.jsonl").open("w", encoding="utf-8") as table:
            for text, voice, spoken in _speak(texts, _draw_voices(rng), rng):
                rows.append(clip := speech.write(_take(text, voice, spoken), NAME, made))
                row = {"id": clip.id, "words": _rounded(spoken.words), "phones": _rounded(spoken.phones)}
                table.write(json.dumps(row, ensure_ascii=False) + "\n")
                complete = len(rows) % VOICES_PER_TEXT == 0
                if complete and sum(clip.seconds for clip in rows) >= hours * 3_600:
                    break
            else:
                raise DatasetError(f"the texts last for less than {hours} hours")
        speech.write_clips(rows, made)
    return folder


def _ready(home: Path) -> Path:
    folder = home / "datasets" / NAME
    return folder if speech.read_stamp(folder) else synthesise(home)


def _table(home: Path, column: str) -> dict[str, tuple[Span, ...]]:
    with (_ready(home) / "words.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["id"]: tuple((what, start, end) for what, start, end in row[column]) for row in rows}


def _captions(packages: Path | None) -> dict[str, list[str]]:
    """Different captions by locale, in order of their stamps."""
    found: dict[str, dict[str, None]] = {locale: {} for locale in LANGUAGES}
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        unpack(fetch(tuxpaint.PACKAGE, root, packages), root)
        for path in sorted((root / tuxpaint.FOLDER).rglob("*.txt")):
            for locale, caption in tuxpaint.read_captions(path.read_text(encoding="utf-8")).items():
                if locale in found and speakable(caption):
                    found[locale][unicodedata.normalize("NFC", caption)] = None
    return {locale: list(captions) for locale, captions in found.items()}


def speakable(caption: str) -> bool:
    """Short, and free of digits, symbols and brackets, which are read as other words than are written."""
    allowed = all(c.isalpha() or c in " .,'’!?-" or unicodedata.category(c)[0] == "M" for c in caption)
    return allowed and 3 <= len(caption) <= LONGEST_TEXT


def _draw_texts(captions: dict[str, list[str]], rng: np.random.Generator) -> list[Text]:
    """Captions and single words, the languages by turns until each has run out."""
    queues = [_language_texts(locale, captions[locale], rng) for locale in LANGUAGES]
    longest = max(len(queue) for queue in queues)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _language_texts(locale: str, captions: list[str], rng: np.random.Generator) -> list[Text]:
    vocabulary = sorted(
        {word for caption in captions for word in words_of(caption) if len(word) >= SHORTEST_WORD}
    )
    alone = min(len(vocabulary), int(len(captions) * SHARE_OF_WORDS))
    chosen = [vocabulary[index] for index in rng.permutation(len(vocabulary))[:alone]]
    contents = captions + chosen
    return [
        Text(f"{locale}/{number:04}", locale.split("_")[0], LANGUAGES[locale], contents[index])
        for number, index in enumerate(rng.permutation(len(contents)))
    ]


def _draw_voices(rng: np.random.Generator) -> list[Voice]:
    return [Voice(variant, int(rng.integers(25, 76)), int(rng.integers(120, 201))) for variant in VARIANTS]


def _speak(
    texts: list[Text], voices: list[Voice], rng: np.random.Generator
) -> Iterator[tuple[Text, Voice, Spoken]]:
    """Every text by VOICES_PER_TEXT voices in turn; texts in which these say different words are left out."""
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
        samples=_resample(spoken.samples, spoken.rate),
        rate=SAMPLE_RATE,
        text=text.content,
    )


def _resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """samples: float32 (n,) at `rate` Hz, to the front end's rate, at most 1 in size."""
    common = gcd(rate, SAMPLE_RATE)
    wave = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    return np.asarray(np.clip(wave, -1.0, 1.0), dtype=np.float32)


def _rounded(spans: tuple[Span, ...]) -> list[tuple[str, float, float]]:
    """To the tenth of a millisecond, as a clip's duration."""
    return [(what, round(start, 4), round(end, 4)) for what, start, end in spans]


def _stamp(hours: float, seed: int) -> str:
    try:
        loader = metadata.version("espeakng-loader")
    except metadata.PackageNotFoundError as error:
        raise DatasetError(f"{NAME} needs the extra `synthesis`: pip install wordspot[synthesis]") from error
    content = {
        "source": NAME,
        "hours": hours,
        "seed": seed,
        "espeakng-loader": loader,
        "texts": tuxpaint.PACKAGE.file_name,
        "cache_version": CACHE_VERSION,
    }
    return json.dumps(content, indent=1)
