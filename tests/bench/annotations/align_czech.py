"""Makes `fillets_cs_words.jsonl.gz`: where each word of the Czech subtitles is said.

    pip install pocketsphinx==5.1.1
    python -m tests.bench.annotations.align_czech

pocketsphinx is needed here only, and brings the English acoustic model. Czech is spelled nearly as it is
spoken, so each letter becomes the English phone next to it; a clip is left out when its subtitle cannot be
aligned entirely or a word is said implausibly fast or slowly.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder, get_model_path

from tests.bench.material import ANNOTATIONS, RATE, Samples, Word, read
from wordspot.models.datasets.speech import Clip, clips

OUTPUT = ANNOTATIONS / "fillets_cs_words.jsonl.gz"
FRAMES_PER_SECOND = 100
# Clips are cut closely, and the aligner may lose a last word that has no silence after it; to others silence
# does harm. The first of these that gives a plausible alignment is taken.
SILENCES_S = (0.3, 0.0)
SILENCE_LEVEL = 3e-4
# Words of fewer phones may be mumbled.
FEWEST_PHONES = 4
SHORTEST_PHONE_S, LONGEST_PHONE_S = 0.035, 0.25
# What one phone may last beside, for a drawl at the end of a phrase.
DRAWL_S = 0.2

# Longest spelling first; ě, and i after d, t, n, soften the consonant before.
SPELLINGS = {
    "ch": "HH", "ou": "OW", "au": "AW", "dž": "JH",
    "dě": "D Y EH", "tě": "T Y EH", "ně": "N Y EH", "mě": "M N Y EH",
    "di": "D Y IH", "ti": "T Y IH", "ni": "N Y IH", "dí": "D Y IY", "tí": "T Y IY", "ní": "N Y IY",
    "a": "AA", "á": "AA", "b": "B", "c": "T S", "č": "CH", "d": "D", "ď": "D Y", "e": "EH", "é": "EH",
    "ě": "Y EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "í": "IY", "j": "Y", "k": "K", "l": "L", "m": "M",
    "n": "N", "ň": "N Y", "o": "AO", "ó": "AO", "p": "P", "q": "K", "r": "R", "ř": "R ZH", "s": "S",
    "š": "SH", "t": "T", "ť": "T Y", "u": "UH", "ú": "UW", "ů": "UW", "v": "V", "w": "V", "x": "K S",
    "y": "IH", "ý": "IY", "z": "Z", "ž": "ZH",
}  # fmt: skip
SPELLING = re.compile("|".join(sorted(SPELLINGS, key=len, reverse=True)))
# Voiced consonants lose their voice at the end of a word, unless the next begins with a voiced one.
DEVOICED = {"B": "P", "D": "T", "G": "K", "V": "F", "Z": "S", "ZH": "SH"}


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def phones_of(word: str) -> list[str]:
    """Raises ValueError for a word with other characters than Czech letters."""
    if SPELLING.sub("", word):
        raise ValueError(f"{word!r} has characters that are no Czech letters")
    return " ".join(SPELLINGS[found] for found in SPELLING.findall(word)).split()


def pronunciations(word: str) -> Iterator[str]:
    phones = phones_of(word)
    yield " ".join(phones)
    if phones[-1] in DEVOICED:
        yield " ".join([*phones[:-1], DEVOICED[phones[-1]]])


def align(decoder: Decoder, clip: Clip) -> list[Word] | str:
    """The words with their times, or why there are none."""
    texts = words_of(clip.text or "")
    if not texts:
        return "no subtitle"
    try:
        spoken = {text: list(pronunciations(text)) for text in texts}
    except ValueError:
        return "not spelled in Czech"
    for text, ways in spoken.items():
        for number, phones in enumerate(ways, start=1):
            name = text if number == 1 else f"{text}({number})"
            if decoder.lookup_word(name) is None:
                decoder.add_word(name, phones, True)
    samples = read(clip.path)
    for silence_s in SILENCES_S:
        found = [
            Word(text, within(start - silence_s, clip), within(end - silence_s, clip))
            for text, start, end in force(decoder, texts, padded(samples, silence_s))
        ]
        if [word.text for word in found] == texts and all(plausible(word) for word in found):
            return found
    return "not aligned"


def force(decoder: Decoder, texts: list[str], samples: Samples) -> list[tuple[str, float, float]]:
    """What of the words could be aligned, with start and end in seconds."""
    decoder.set_align_text(" ".join(texts))
    decoder.start_utt()
    decoder.process_raw((samples * 32_767).astype(np.int16).tobytes(), no_search=False, full_utt=True)
    decoder.end_utt()
    return [
        (
            segment.word.split("(")[0],
            segment.start_frame / FRAMES_PER_SECOND,
            (segment.end_frame + 1) / FRAMES_PER_SECOND,
        )
        for segment in decoder.seg() or ()
        if segment.word[0] not in "<["
    ]


def padded(samples: Samples, silence_s: float) -> Samples:
    """Near silence on both sides; digital silence has no logarithm."""
    noise = np.random.default_rng(0).normal(scale=SILENCE_LEVEL, size=(2, round(silence_s * RATE)))
    return np.concatenate([noise[0], samples, noise[1]]).astype(np.float32)


def within(seconds: float, clip: Clip) -> float:
    return round(min(max(seconds, 0.0), clip.seconds), 2)


def plausible(word: Word) -> bool:
    phones = len(phones_of(word.text))
    shortest = SHORTEST_PHONE_S * phones if phones >= FEWEST_PHONES else 0.02
    return shortest <= word.end - word.start <= LONGEST_PHONE_S * phones + DRAWL_S


def main() -> None:
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    model = f"{get_model_path()}/en-us/en-us"
    decoder = Decoder(hmm=model, lm=None, dict=None, samprate=RATE, beam=1e-80, wbeam=1e-60, loglevel="FATAL")
    outcomes: Counter[str] = Counter()
    rows = []
    for clip in clips("fillets_cs", home):
        found = align(decoder, clip)
        outcomes["aligned" if isinstance(found, list) else found] += 1
        if isinstance(found, list):
            words = [[word.text, word.start, word.end] for word in found]
            rows.append({"id": clip.id.removeprefix("fillets_cs/"), "words": words})
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    OUTPUT.write_bytes(gzip.compress(content.encode(), mtime=0))
    print(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))


if __name__ == "__main__":
    main()
