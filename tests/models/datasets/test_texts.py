from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wordspot.models.datasets import analogies, catalogue, chitchat, gcide, tang, texts, wikipedia, wordnet
from wordspot.models.datasets.analogies import Analogy
from wordspot.models.datasets.package import DatasetError, PythonPackage
from wordspot.models.datasets.source import find
from wordspot.models.datasets.texts import TextSource


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_words_are_letters_and_apostrophes_within() -> None:
    text = "It’s 3 o'clock, said 'Jürgen'; 東京 isn't a_b!"
    assert texts.words(text) == ["it's", "o'clock", "said", "jürgen", "東京", "isn't", "a", "b"]


def test_a_dictionary_gives_its_meanings_without_what_is_about_the_words(tmp_path: Path) -> None:
    entry = (
        'Abuse \\A*buse"\\, n. [F. abus, L. abusus.]\n   1. Improper use.\n      [1913 Webster]\n\n'
        "         {Liberty} may be endangered.\n                                     --Madison.\n"
    )
    put(tmp_path / "usr/share/dictd/gcide.dict.dz", gzip.compress(entry.encode()))
    said = [texts.words(paragraph) for paragraph in gcide.convert(tmp_path)]
    assert said == [["abuse", "n", "improper", "use"], ["liberty", "may", "be", "endangered"]]


def test_a_gloss_follows_its_words(tmp_path: Path) -> None:
    line = '00002098 00 a 02 unable 0 not_able 0 001 ! 00001740 a 0101 | lacking power; "unable to go"  \n'
    for part in wordnet.PARTS:
        put(tmp_path / f"usr/share/wordnet/data.{part}", b"  1 This software and database\n")
    put(tmp_path / "usr/share/wordnet/data.adj", f"  1 This software\n{line}".encode())
    (gloss,) = wordnet.convert(tmp_path)
    assert texts.words(gloss) == ["unable", "not", "able", "lacking", "power", "unable", "to", "go"]


def test_a_turn_and_its_answer_are_one_text(tmp_path: Path) -> None:
    turns = [["hi", "there"], ["hello"], ["bye"]]
    content = {"x": {"messages": [[{"text": text} for text in turn] for turn in turns]}}
    put(tmp_path / "chitchat_dataset/dataset.json", json.dumps(content).encode())
    assert list(chitchat.convert(tmp_path)) == ["hi there hello", "bye"]


def test_articles_lose_their_markup(tmp_path: Path) -> None:
    body = (
        "{{Infobox {{nested}} | x}}\n'''Anarchism''' is a [[political philosophy|philosophy]]."
        "&lt;ref&gt;note&lt;/ref&gt;\n"
        "[[File:a.png|thumb]] See [[Greece]] http://example.org now."
    )
    xml = f'<mediawiki xmlns="http://x/"><page><revision><text>{body}</text></revision></page></mediawiki>'
    put(tmp_path / wikipedia.FILE, bz2.compress(xml.encode()))
    said = [found for line in wikipedia.convert(tmp_path) if (found := texts.words(line))]
    assert said == [["anarchism", "is", "a", "philosophy"], ["see", "greece", "now"]]


def test_poems_are_characters_and_doubtful_ones_are_left_out(tmp_path: Path) -> None:
    poems = [{"paragraphs": ["秦川雄帝宅，", "函谷。"]}, {"paragraphs": ["□谷。"]}]
    put(tmp_path / "package/dist/quantangshi/poet.tang.0.json", json.dumps(poems).encode())
    assert [texts.words(poem) for poem in tang.convert(tmp_path)] == [list("秦川雄帝宅函谷")]


@pytest.fixture
def some_text(only: Callable[..., None]) -> list[int]:
    """A source without packages; how often it was converted."""
    converted: list[int] = []

    def convert(root: Path) -> Iterator[str]:
        converted.append(1)
        yield from ("One word, another!", "...", "Last")

    only(TextSource("some", (), "MIT", "trains", convert))
    return converted


def test_a_text_is_converted_once_and_again_when_its_licence_changes(
    some_text: list[int], tmp_path: Path, only: Callable[..., None]
) -> None:
    for _ in range(2):
        assert list(texts.lines("some", tmp_path)) == [["one", "word", "another"], ["last"]]
    assert len(some_text) == 1
    assert {entry.name: entry.fetched for entry in catalogue.entries(tmp_path)}["some"]
    only(dataclasses.replace(find("some", TextSource), licence="GPL"))
    assert catalogue.fetch("some", tmp_path) == tmp_path / "datasets/some"
    assert len(some_text) == 2


def test_a_text_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no text 'novels'; there are chitchat, gcide"):
        list(texts.lines("novels", tmp_path))


def test_analogies_come_by_section_and_pairs_by_test(tmp_path: Path) -> None:
    folder = analogies.ANALOGIES.folder(tmp_path)
    put(folder / "source.json", analogies.ANALOGIES.stamp.encode())
    put(folder / "questions-words.txt", b": family\nKing Queen Man Woman\n: gram\nhot hotter big bigger\n")
    for name in analogies.FILES[1:]:
        put(folder / name, b"# about\n# Word 1\tWord 2\tMean\nLove\tsex\t6.77\n")
    assert analogies.sections(tmp_path) == {
        "family": [Analogy("king", "queen", "man", "woman")],
        "gram": [Analogy("hot", "hotter", "big", "bigger")],
    }
    assert analogies.likeness(tmp_path) == {
        "wordsim353": [("love", "sex", 6.77)],
        "simlex999": [("love", "sex", 6.77)],
    }


def test_a_wheel_is_asked_for_by_its_tags_whatever_python_this_is() -> None:
    plain = PythonPackage("chitchat-dataset", "0.9.0", "")
    assert plain.file_name == "chitchat_dataset-0.9.0-py3-none-any.whl"
    assert plain.download[-1] == "chitchat-dataset==0.9.0"
    assert "--platform" not in plain.download
    compiled = PythonPackage(
        "gensim", "4.4.0", "", tags="cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64"
    )
    at = compiled.download.index("--python-version")
    assert compiled.download[at : at + 8] == [
        *("--python-version", "311", "--abi", "cp311"),
        *("--platform", "manylinux_2_24_x86_64", "--platform", "manylinux_2_28_x86_64"),
    ]
