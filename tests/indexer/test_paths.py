from __future__ import annotations

import os
from pathlib import Path

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text, path_text, readable, readable_path, text_path

NAMES = (
    b"plain.wav",
    "каша 日本 \U0001f600.wav".encode(),
    b"caf\xe9.wav",
    b"\xff",
    b"\xed\xb3\xa9",  # a surrogate
    "\uefe9".encode(),  # the character that stands for the byte E9
    "caf\uefe9".encode() + b"\xe9\xef\xbf",
    b"\xc3",
    b"\xa9",
    b"\xc3/\xa9",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_path_is_utf8_and_leads_back_to_it(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    text = path_text(path)
    text.encode()
    assert os.fsencode(text_path(text)) == os.fsencode(path)
    assert name_of_text(text) == str(path)


def test_no_two_paths_have_one_text() -> None:
    assert len({path_text(os.fsdecode(name)) for name in NAMES}) == len(NAMES)


def test_a_usual_path_is_its_own_text() -> None:
    assert path_text("/recordings/Übung 1.wav") == "/recordings/Übung 1.wav"


def test_what_no_file_could_be_called_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be made of bytes"):
        path_text("\ud800.wav")


def test_a_message_shows_bytes_that_are_not_utf8() -> None:
    assert readable("cannot read caf\udce9.wav, é") == "cannot read caf\\xe9.wav, é"
    assert readable("\ud800") == "\\ud800"


def test_a_message_shows_the_path_of_a_text() -> None:
    assert readable_path(path_text("/r/caf\udce9 é.wav")) == "/r/caf\\xe9 é.wav"
