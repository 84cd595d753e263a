from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.services.commands.batch import numbered_lines


def lines_of(path: Path, data: bytes) -> list[tuple[int, str]]:
    path.write_bytes(data)
    return list(numbered_lines(path))


def test_lines_end_with_the_ends_of_unix_and_windows_only(tmp_path: Path) -> None:
    name = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh.wav"
    data = f"one.wav\r\n\n{name}\n  \r\nlast.wav".encode()
    assert lines_of(tmp_path / "queries", data) == [(1, "one.wav"), (3, name), (5, "last.wav")]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_says_the_encoding_and_is_no_text(
    tmp_path: Path, mark: bytes, encoding: str
) -> None:
    data = mark + "Übung.wav\t1\t2\r\nsay\tкаша\r\n".encode(encoding)
    assert lines_of(tmp_path / "queries", data) == [(1, "Übung.wav\t1\t2"), (2, "say\tкаша")]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "queries", b"") == []
    assert lines_of(tmp_path / "queries", codecs.BOM_UTF8) == []


def test_bytes_that_are_not_utf8_stay_what_they_are(tmp_path: Path) -> None:
    ((_, line),) = lines_of(tmp_path / "queries", b"caf\xe9.wav\n")
    assert os.fsencode(line) == b"caf\xe9.wav"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a.wav\nb\0.wav\n", "line 2 must be text, got a NUL"),
        ("a.wav\n".encode("utf-16-le"), "line 1 must be text, got a NUL"),
        (codecs.BOM_UTF16_LE + b"a", "must be text in utf-16-le"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        lines_of(tmp_path / "queries", data)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read .*nowhere: No such file"):
        list(numbered_lines(tmp_path / "nowhere"))
    with pytest.raises(InvalidInput, match="Is a directory"):
        list(numbered_lines(tmp_path))
