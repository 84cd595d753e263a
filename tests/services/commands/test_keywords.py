from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.services.commands.keywords import grouped, read_keywords
from wordspot.services.examples import FileQuery, TypedQuery


def typed(text: str) -> TypedQuery:
    return TypedQuery(text, "en", 3)


def read(path: Path, text: str) -> list[tuple[str, FileQuery | TypedQuery]]:
    path.write_bytes(text.encode("utf-8-sig"))
    return [(keyword.label, keyword.example) for keyword in read_keywords(path, typed)]


def test_a_line_is_a_word_a_path_or_a_label_with_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "teatime").touch()
    lines = (
        "good morning\ntea.wav\nwords/tea\nteatime\nsay\ttea.wav\ntea\ta.wav\n"
        "a.wav\t1\t1.5\ntea\ta.wav\t1\t1.5\r\n\n"
    )
    assert read(tmp_path / "keywords.txt", lines) == [
        ("", typed("good morning")),
        ("", FileQuery(Path("tea.wav"))),
        ("", FileQuery(Path("words/tea"))),
        ("", FileQuery(Path("teatime"))),
        ("", typed("tea.wav")),
        ("tea", FileQuery(Path("a.wav"))),
        ("", FileQuery(Path("a.wav"), 1.0, 1.5)),
        ("tea", FileQuery(Path("a.wav"), 1.0, 1.5)),
    ]


def test_a_table_has_labels_files_texts_languages_and_times(tmp_path: Path) -> None:
    table = (
        "Keyword;File;Text;Language;Start;End\ntea;a.wav;;;;\n;;koffie;nl;;\ntea;b.wav;;;1;1.5\n;c.wav;;;;\n"
    )
    assert read(tmp_path / "keywords.csv", table) == [
        ("tea", FileQuery(Path("a.wav"))),
        ("", TypedQuery("koffie", "nl", 3)),
        ("tea", FileQuery(Path("b.wav"), 1.0, 1.5)),
        ("", FileQuery(Path("c.wav"))),
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("k.txt", "tea.wav\na\tb\tc\n", r"line 2 must be a word, a path, .*, got 'a\\tb\\tc'"),
        ("k.txt", "a\tb\tc\td\te\n", "line 1 must be a word, a path"),
        ("k.csv", "tea,a.wav\n", "must name its columns, one of them file or path"),
        (
            "k.csv",
            "file,text\na.wav,tea\n",
            "line 2 must have either a file or a text, got 'a.wav' and 'tea'",
        ),
        ("k.csv", "label,file,start,end\ntea,a.wav,1,\n", "start and end must be seconds, got '1' and ''"),
    ],
)
def test_what_is_no_list_of_keywords_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        read(tmp_path / name, text)


def test_examples_of_one_label_are_one_keyword(tmp_path: Path) -> None:
    (tmp_path / "k.txt").write_text("tea\ta.wav\nmilk\tb.wav\ntea\tc.wav\nd.wav\nd.wav\n")
    groups = grouped(read_keywords(tmp_path / "k.txt", typed))
    assert [[keyword.label for keyword in group] for group in groups] == [
        ["tea", "tea"],
        ["milk"],
        [""],
        [""],
    ]
    (tmp_path / "k.txt").write_text("tea\ta.wav\n" * 17)
    with pytest.raises(InvalidInput, match="keyword 'tea' must have at most 16 examples, got 17"):
        grouped(read_keywords(tmp_path / "k.txt", typed))
