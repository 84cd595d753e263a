from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.queen import (
    ARCHIVE,
    Dialogue,
    convert,
    read_archive,
    read_dialogue,
    whereabouts,
)

DIALOGUES = {26: Dialogue("JIM", 26), 80: Dialogue("KLUNK", 28)}


def mp3(frequency: float) -> bytes:
    stream = io.BytesIO()
    time = np.arange(11_025) / 11_025
    soundfile.write(stream, 0.3 * np.sin(2 * np.pi * frequency * time), 11_025, format="MP3")
    return stream.getvalue()


def dialogue(scene: int, number: int) -> bytes:
    return b"\0" * 20 + struct.pack(">5h", 3, scene, number, 10, 11) + b"text"


def archive(entries: dict[str, bytes]) -> bytes:
    offset = 15 + 21 * len(entries)
    table, body = b"", b""
    for name, data in entries.items():
        table += struct.pack(">12sBII", name.encode(), 1, offset + len(body), len(data))
        body += data
    return b"QTBLCEM10\0\0\0\1" + struct.pack(">H", len(entries)) + table + body


@pytest.mark.parametrize(
    ("name", "speaker", "scene"),
    [
        ("260023P3", "JIM", "dialogue 26"),
        ("260023J1", "JOE", "dialogue 26"),
        ("26XXXXP1", "JIM", "dialogue 26"),
        ("2600B5PA", "JIM", "dialogue 26"),
        ("8000CEP3", "KLUNK", "dialogue 28"),
        ("JOE00351", "JOE", "remarks 00"),
        ("C18A_181", None, "cutscene C18"),
        ("C3C__081", None, "cutscene C3"),
        ("C103F242", None, "cutscene C103"),
        ("C20F_05A", None, "cutscene C20"),
        ("CDINT102", None, "cutscene CINTR"),
        ("CINTR091", None, "cutscene CINTR"),
        ("COMIC101", None, "cutscene COMIC"),
        ("BLUEP011", None, "cutscene BLUEP"),
    ],
)
def test_a_clip_is_placed_by_its_name(name: str, speaker: str | None, scene: str) -> None:
    assert whereabouts(name, DIALOGUES) == (speaker, scene)


@pytest.mark.parametrize(
    "name", ["106SSSSS", "1000SSSS", "3SSSSSSS", "UNTITLED", "GM___011", "MIK_0019", "990001P1"]
)
def test_what_is_no_speech_of_the_game_has_no_place(name: str) -> None:
    assert whereabouts(name, DIALOGUES) is None


def test_the_header_of_a_dialogue_tells_number_scene_and_person() -> None:
    assert read_dialogue("KLUNK2.DOG", dialogue(28, 80)) == (80, Dialogue("KLUNK", 28))


def test_speech_is_decoded_and_copies_and_effects_are_dropped(tmp_path: Path) -> None:
    one, two = mp3(300), mp3(600)
    path = tmp_path / ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(
        archive(
            {
                "JIM2.DOG": dialogue(26, 26),
                "260023P3.SB": one,
                "C18A_181.SB": two,
                "C18A_182.SB": two,
                "106SSSSS.SB": mp3(900),
            }
        )
    )
    takes = list(convert(tmp_path))
    assert [(take.name, take.speaker, take.group) for take in takes] == [
        ("260023P3", "JIM", "dialogue 26"),
        ("C18A_181", None, "cutscene C18"),
    ]
    assert takes[0].rate == 11_025
    assert abs(len(takes[0].samples) / 11_025 - 1) < 0.2
    spectrum = np.abs(np.fft.rfft(takes[0].samples))
    assert abs(np.argmax(spectrum) * 11_025 / len(takes[0].samples) - 300) < 5


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(DatasetError, match="begins with b'RIFF', expected b'QTBL'"):
        read_archive(b"RIFF" + b"\0" * 40)


def test_a_cut_off_archive_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"entry a\.SB ends at byte 41 of 40"):
        read_archive(archive({"a.SB": b"12345"})[:-1])
