from __future__ import annotations

import os
from pathlib import Path

import pytest

from wordspot.services.interchange.names import FileNames, safe_stem, shortened


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("/a/b/talk.one.wav", "talk.one"),
        ("talk", "talk"),
        ("/a/x\x1b[31m\x00\n.wav", "x_[31m__"),
        ("/a/caf\udce9.wav", "caf%E9"),
        ("/a/cafe\u0301.wav", "caf\u00e9"),
        ('/a/a:b*c?"<>|\\d.wav', "a_b_c______d"),
        ("/a/CON.wav", "_CON"),
        ("/a/com1.x.wav", "_com1.x"),
        ("/a/-rf.wav", "_-rf"),
        ("/a/ a . .wav", "a"),
        ("/a/\u202egpj.wav", "_gpj"),
        ("", "recording"),
        ("/", "recording"),
    ],
)
def test_a_stem_is_safe_everywhere(path: str, stem: str) -> None:
    assert safe_stem(path) == stem


def test_names_differ_also_where_capitals_and_forms_do_not() -> None:
    names = FileNames()
    taken = [names.take(stem, ".eaf") for stem in ("Talk", "talk", "TALK", "ﬁ", "fi")]
    assert taken == ["Talk.eaf", "talk_2.eaf", "TALK_3.eaf", "ﬁ.eaf", "fi_2.eaf"]


@pytest.mark.parametrize("stem", ["x" * 300, "日" * 100, "\U0001f600" * 80])
def test_long_names_are_shortened_between_characters(tmp_path: Path, stem: str) -> None:
    names = FileNames()
    for _ in range(11):
        name = names.take(stem, ".TextGrid")
        assert 250 <= len(os.fsencode(name)) <= 255
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == 11


def test_nothing_fits_into_nothing() -> None:
    assert shortened("日本", 2) == ""
    assert shortened("日本", 5) == "日"
    assert shortened("日本", -1) == ""
