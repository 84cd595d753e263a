"""The Asterisk prompts by other speakers, at 8 kHz: the same phrases under the same names as in `asterisk`.

Packages: asterisk-prompt-fr-armelle, asterisk-prompt-it-menardi-wav, asterisk-prompt-es-co.
Licences: fr: BSD-like, © 2006 Michel Gutierrez, the voice of Armelle Desjardins, GSM; it: CC BY-SA 3.0 Italy,
© 2006-2011 Marco Menardi and Paola Dal Zot, who made the sound files, from http://www.voip.ammdomus.it; es:
GPL-2, © 2006 Avatar Ltda., the Colombian voice of July E. Jiménez, GSM. Split: all train.

A clip's name behind its source's is the prompt's: `asterisk_fr_armelle/vm-goodbye` and
`asterisk_fr/vm-goodbye` are the same phrase said by two speakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordspot.models.datasets import asterisk
from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import Take, source

RATE = 8_000

ARMELLE = Package(
    "asterisk-prompt-fr-armelle",
    "20070613-2.2",
    "162570b1a9b3512a98f06b89f60c7c17cf1b9b52297315adca9a4e5be728bea3",
)
MENARDI = Package(
    "asterisk-prompt-it-menardi-wav",
    "1:1.4.22+mm20110907-3.1",
    "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21",
)
COLOMBIAN = Package(
    "asterisk-prompt-es-co",
    "0.20070403-2.1",
    "6702696e045514699e87dc8fb70f370717e5df91f821f7bec8dd0df1be008e83",
)


@source("asterisk_fr_armelle", packages=(ARMELLE,), licence="BSD-like", held_out=0)
def french(root: Path) -> Iterator[Take]:
    """Yields the French prompts that Armelle speaks."""
    return gsm_prompts(root, "fr", "Armelle")


@source("asterisk_it_menardi", packages=(MENARDI,), licence="CC BY-SA 3.0", held_out=0)
def italian(root: Path) -> Iterator[Take]:
    """Yields the Italian prompts."""
    return asterisk.prompts(root, "it", {})


@source("asterisk_es_co", packages=(COLOMBIAN,), licence="GPL-2", held_out=0)
def colombian(root: Path) -> Iterator[Take]:
    """Yields the Colombian prompts."""
    return gsm_prompts(root, "es", "July")


def gsm_prompts(root: Path, language: str, speaker: str) -> Iterator[Take]:
    """Yields every prompt of a folder named by its language, but tones."""
    folder = root / asterisk.SOUNDS / language
    for path in sorted(folder.rglob("*.gsm")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if asterisk.is_speech(name):
            yield Take(name, speaker, language, "prompts", load_gsm(path), RATE)


def load_gsm(path: Path) -> NDArray[np.float32]:
    """Returns samples float32 (n,) at RATE of a file of bare GSM 06.10 frames."""
    samples, _ = soundfile.read(
        path, dtype="float32", samplerate=RATE, channels=1, format="RAW", subtype="GSM610"
    )
    return np.asarray(samples, dtype=np.float32)
