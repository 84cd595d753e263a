"""Documents with titles, conversations with answers, from pieces of the real formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wordspot.models.datasets import conversations, headlines, package_descriptions, text_pairs
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.source import sources
from wordspot.models.datasets.text_pairs import Pair, TextPairSource


def test_an_answer_stands_behind_three_turns_at_most() -> None:
    turns = [["Hi"], ["hello", "how are you?"], ["fine"], [], ["good"], ["bye"]]
    found = list(conversations.answered(turns, "one"))
    assert found == [
        Pair("Hi", "hello how are you?", "one"),
        Pair("Hi\nhello how are you?", "fine", "one"),
        Pair("Hi\nhello how are you?\nfine", "good", "one"),
        Pair("hello how are you?\nfine\ngood", "bye", "one"),
    ]


def test_of_a_long_answer_the_first_messages_are_taken_and_addresses_are_left_out() -> None:
    long = " ".join(["word"] * 15)
    assert conversations.opening(["yes", long, "and more of it than fits"]) == f"yes {long}"
    assert conversations.opening([f"{long} {long}", "yes"]) == ""
    turns = [["look"], ["see www.example.org"], ["nice"]]
    assert [pair.answer for pair in conversations.answered(turns, "one")] == ["nice"]


def test_conversations_are_read_as_they_come(tmp_path: Path) -> None:
    (tmp_path / "chitchat_dataset").mkdir()
    messages = [[{"text": " Hi  there\n"}], [{"text": ""}, {"text": "Hey"}]]
    (tmp_path / "chitchat_dataset/dataset.json").write_text(json.dumps({"a": {"messages": messages}}))
    assert list(conversations.convert(tmp_path)) == [Pair("Hi there", "Hey", "a")]


NEWS = """\
国防部/nt  举行/v  新春/t  招待会/n
据/p  新华社/nt  北京/ns  １月/t  １６日/t  电/n  ，/w  国防部/nt  今天/t  举行/v  新春/t  招待会/n  。/w

短/a  讯/Ng
一/m  句/q  。/w
[中国/ns  政府/n]nt  发表/v  ２５％/m  公告/n
（/w  本报/r  记者/n  甲/nr  ）/w
中国/ns  政府/n  今天/t  发表/v  公告/n  说/v  ，/w  今年/t  增长/vn  快/a  ，/w  人民/n  非常/d  高兴/a  。/w
上半年/t  的/u  增长/vn  情况/n  ：/w
"""


def test_headlines_are_short_lines_before_an_article() -> None:
    found = list(headlines.articles(map(headlines.plain, NEWS.splitlines())))
    assert found == [
        ("国防部举行新春招待会", "据新华社北京1月16日电，国防部今天举行新春招待会。"),
        ("中国政府发表25%公告", "中国政府今天发表公告说，今年增长快，人民非常高兴。"),
    ]


def test_headlines_come_in_traditional_characters(tmp_path: Path) -> None:
    pytest.importorskip("opencc")
    path = tmp_path / headlines.FILE
    path.parent.mkdir(parents=True)
    path.write_text(NEWS, encoding="utf-8")
    pair = next(iter(headlines.convert(tmp_path)))
    assert pair.answer == "國防部舉行新春招待會"
    assert pair.family == "国防部举行新春招待会"


def test_without_opencc_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opencc", None)
    with pytest.raises(DatasetError, match=r"pip install 'wordspot\[titles\]'"):
        next(iter(headlines.convert(tmp_path)))


DESCRIPTIONS = """\
Package: 0ad
Description-md5: d9
Description-en: Real-time strategy game of ancient warfare
 0 A.D. (pronounced "zero ey-dee") is a free, open-source
 game of ancient warfare, and in short.
 .
 * It features a list.

Package: 0ad-data
Description-en: Real-time strategy game of ancient warfare (data files)
 This package holds the many data files that the game of ancient warfare needs.

Package: short
Description-en: Word
 This package has a title of one word and is left out for it, I say.

Package: empty
Description-en: a title without a text

"""
PACKAGES = """\
Package: 0ad-data
Source: 0ad (0.26)
Version: 1

Package: 0ad
Version: 1
"""


def test_descriptions_of_packages_are_held_together_by_their_source(tmp_path: Path) -> None:
    for package, content in (
        (package_descriptions.DESCRIPTIONS, DESCRIPTIONS),
        (package_descriptions.PACKAGES, PACKAGES),
    ):
        (tmp_path / package.file_name).write_text(content, encoding="utf-8")
    one, other = package_descriptions.convert(tmp_path)
    assert one.given.endswith("and in short. * It features a list.")
    assert one.answer == "Real-time strategy game of ancient warfare"
    assert (one.family, other.family) == ("0ad", "0ad")


def test_sources_are_told_apart_by_name() -> None:
    assert set(sources(TextPairSource)) == {"conversations", "headlines", "package-descriptions"}
    with pytest.raises(DatasetError, match="no pairs of texts 'novels'; there are conversations"):
        text_pairs.pairs("novels", Path("nowhere"))
    with pytest.raises(ValueError, match="registered already"):
        text_pairs.source("headlines", packages=(), licence="", language="zh", family="x")(lambda root: [])
