"""The Asterisk core prompts: telephone announcements at 8 kHz, one speaker a language, very clean.

Packages: asterisk-core-sounds-{en,es,fr,it,ru}-wav, and asterisk-core-sounds-en for the English text.
Licence: CC BY-SA 3.0 (Russian: CC BY 3.0); Allison Smith (en, es), June Wallack (fr), Carlo Flora (it),
Maxim Topal (ru). Split: French, Italian and Russian train; English never does, nor does Spanish, which
the same woman speaks.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, load_mono, source

VERSION = "1.6.1-1"
SOUNDS = Path("usr/share/asterisk/sounds")
TRANSCRIPT = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
NO_SPEECH = frozenset(
    {
        "ascending-2tone",
        "beep",
        "beeperr",
        "confbridge-join",
        "confbridge-leave",
        "descending-2tone",
        "tt-monkeys",
    }
)
SHARE_ALIKE = "CC BY-SA 3.0"


def _sounds(language: str, sha256: str) -> Package:
    return Package(f"asterisk-core-sounds-{language}-wav", VERSION, sha256)


ENGLISH = _sounds("en", "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d")
ENGLISH_TEXT = Package(
    "asterisk-core-sounds-en",
    VERSION,
    "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
)
SPANISH = _sounds("es", "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903")
FRENCH = _sounds("fr", "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e")
ITALIAN = _sounds("it", "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb")
RUSSIAN = _sounds("ru", "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201")


@source("asterisk_en", packages=(ENGLISH, ENGLISH_TEXT), licence=SHARE_ALIKE, held_out=1)
def english(root: Path) -> Iterator[Take]:
    """Yields the English prompts with their transcript."""
    return prompts(root, "en", read_transcript(gzip.decompress((root / TRANSCRIPT).read_bytes()).decode()))


@source("asterisk_es", packages=(SPANISH,), licence=SHARE_ALIKE, held_out=1)
def spanish(root: Path) -> Iterator[Take]:
    """Yields the Spanish prompts."""
    return prompts(root, "es", {})


@source("asterisk_fr", packages=(FRENCH,), licence=SHARE_ALIKE, held_out=0)
def french(root: Path) -> Iterator[Take]:
    """Yields the French prompts."""
    return prompts(root, "fr", {})


@source("asterisk_it", packages=(ITALIAN,), licence=SHARE_ALIKE, held_out=0)
def italian(root: Path) -> Iterator[Take]:
    """Yields the Italian prompts."""
    return prompts(root, "it", {})


@source("asterisk_ru", packages=(RUSSIAN,), licence="CC BY 3.0", held_out=0)
def russian(root: Path) -> Iterator[Take]:
    """Yields the Russian prompts."""
    return prompts(root, "ru", {})


def read_transcript(content: str) -> dict[str, str]:
    """Returns text by prompt name from lines `name: text`; `;` opens a comment."""
    pairs = (line.split(":", 1) for line in content.splitlines() if ":" in line and not line.startswith(";"))
    return {name.strip(): text.strip() for name, text in pairs}


def prompts(root: Path, language: str, text: dict[str, str]) -> Iterator[Take]:
    """Yields every prompt with speech; the voice's name ends its folder's (`fr_CA_f_June`)."""
    for folder in sorted((root / SOUNDS).glob(f"{language}_*")):
        for path in sorted(folder.rglob("*.wav")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if not is_speech(name):
                continue
            samples, rate = load_mono(path)
            if len(samples) == 0:  # the Russian "is" says nothing
                continue
            yield Take(
                name, folder.name.rsplit("_", 1)[-1], language, "prompts", samples, rate, text.get(name)
            )


def is_speech(name: str) -> bool:
    """Returns whether the prompt of that name is neither tones, nor silence, nor monkeys."""
    return name not in NO_SPEECH and not name.startswith("silence/")
