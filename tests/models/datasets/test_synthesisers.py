from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.models.datasets.conftest import build_package
from wordspot.models.audio import SAMPLE_RATE
from wordspot.models.datasets import synthesisers, tuxpaint
from wordspot.models.datasets.flite import Flite, read_phones
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.synthesisers import speech_bounds, synthesise
from wordspot.models.espeak import words_of

SECONDS = 14.0
CAPTION = (
    "A green garden.\nde.utf8=Ein Garten.\nes.utf8=Un castillo.\nfr.utf8=Un jardin.\nit.utf8=Un castello.\n"
)

# Says a text as one tone a letter, after half a second of silence; a text with "castillo" as silence.
PICO = b"""
import array
import math

class NanoTTS:
    def speak(self, text, voice, speed, pitch, volume):
        letters = "" if "castillo" in text else text
        length = int(2_000 * len(letters) / speed)
        tone = [int(20_000 * volume * math.sin(pitch * i / 5)) for i in range(length)]
        return array.array("h", [0] * 8_000 + tone + [0] * 8_000).tobytes()
"""
FLITE = b"""#!/usr/bin/env python3
import array
import sys
import wave

with wave.open(sys.argv[sys.argv.index("-o") + 1], "wb") as file:
    file.setparams((1, 2, 16_000, 0, "NONE", ""))
    file.writeframes(array.array("h", [3_000, -3_000] * 8_000).tobytes())
print("pau:0.200 g:0.300 aa:0.600 pau:1.000 ")
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a package of one stamp and packages of programs that speak in tones."""
    pytest.importorskip("espeakng_loader")
    packages = tmp_path_factory.mktemp("packages")
    build = partial(build_package, packages, tmp_path_factory.mktemp("built"))
    stamps = build("stamps", {f"{tuxpaint.FOLDER}/1.txt": CAPTION.encode()})
    voices = (
        build("pico", {"py_nanotts/__init__.py": PICO}),
        build("flite", {"usr/bin/flite": FLITE}, mode=0o755),
    )
    source = replace(synthesisers.SYNTHESISERS, packages=(stamps, *voices))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesisers, "SYNTHESISERS", source)
        yield packages


@pytest.fixture(scope="module")
def home(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the speech of seed 0, to be read only."""
    home = tmp_path_factory.mktemp("synthesised")
    synthesise(home, SECONDS / 3_600, 0, programs)
    return home


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_others(
    home: Path, tmp_path: Path, programs: Path
) -> None:
    first = contents(synthesisers.SYNTHESISERS.folder(home))
    again, other = (
        contents(synthesise(tmp_path / name, SECONDS / 3_600, seed, programs))
        for name, seed in (("again", 0), ("other", 1))
    )
    assert first == again
    assert first["words.jsonl"] != other["words.jsonl"]


def test_a_text_is_said_by_every_synthesiser_of_its_language(home: Path) -> None:
    speakers = defaultdict(list)
    for clip in synthesisers.clips(home):
        speakers[clip.group].append((clip.speaker or "").split("-")[0])
    kinds = {group.split("/")[0]: sorted(said) for group, said in speakers.items()}
    assert kinds["en"] == ["espeak", "espeak", "flite", "flite", "pico", "pico"]
    assert kinds["de"] == kinds["fr"] == kinds["it"] == ["espeak", "espeak", "pico"]


def test_the_whole_text_is_one_span_inside_the_clip(home: Path) -> None:
    table = synthesisers.words(home)
    for clip in synthesisers.clips(home):
        ((word, start, end),) = table[clip.id]
        assert word == " ".join(words_of(clip.text or ""))
        assert 0 <= start < end <= clip.seconds + 1e-4
        assert start <= synthesisers.MARGIN_SECONDS + 0.02
        assert soundfile.info(clip.path).samplerate == SAMPLE_RATE


def test_a_text_that_one_voice_cannot_say_is_left_out(home: Path) -> None:
    assert {clip.language for clip in synthesisers.clips(home)} == {"de", "en", "fr", "it"}


def test_more_hours_than_the_texts_last_is_an_error_and_leaves_nothing(
    tmp_path: Path, programs: Path
) -> None:
    with pytest.raises(DatasetError, match="less than 5 hours"):
        synthesise(tmp_path, 5, 0, programs)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_speech_begins_and_ends_with_what_is_loud() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[4_000:8_000] = 0.5
    samples[12_000:] = 0.001
    assert speech_bounds(samples, 16_000) == pytest.approx((0.25, 0.5))
    assert speech_bounds(np.zeros(100, np.float32), 16_000) == (0.0, 0.0)


def test_phones_are_read_without_pauses() -> None:
    assert read_phones("pau:0.215 ax:0.268 g:0.390 pau:1.208 \n") == [
        ("ax", 0.215, 0.268),
        ("g", 0.268, 0.390),
    ]


def test_a_voice_that_there_is_not_and_a_missing_program_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="flite has no voice 'xx', it has kal16, awb"):
        Flite(tmp_path).speak("a", "xx", 1.0)
    with pytest.raises(DatasetError, match="flite cannot say 'a'"):
        Flite(tmp_path).speak("a", "slt", 1.0)
