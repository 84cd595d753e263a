from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot.indexer.sound.audio import write_wav
from wordspot.services import cli

Run = Callable[..., tuple[int, str, str]]
TABLE = "path;place;speaker\ntea.wav;Gent;Anna\nboth.wav;Aalst;Ben\nlost.wav;Gent;Ben\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WORDSPOT_ADDRESS", raising=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process; returns exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wordspot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    return call


@pytest.fixture
def indexed(run: Run, recordings: dict[str, Path]) -> dict[str, Path]:
    code, _, errors = run("index", recordings["tea"].parent, "--tag", "corpus=words")
    assert (code, errors) == (0, "")
    return recordings


@pytest.fixture
def tea(tmp_path: Path, say: Callable[..., np.ndarray]) -> Path:
    path = tmp_path / "query.wav"
    path.write_bytes(write_wav(say("tea", voice=9)))
    return path


def rows(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


def tagged(run: Run, *options: object) -> dict[str, dict[str, str]]:
    code, output, _ = run("archive", "recordings", "list", "--json", *options)
    assert code == 0
    return {Path(row["path"]).stem: row["tags"] for row in rows(output)}


def test_a_table_tags_while_indexing_and_what_it_names_in_vain_is_told(
    run: Run, recordings: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "tags.csv").write_text(TABLE)
    code, output, errors = run(
        "index", recordings["tea"].parent, "--tags", tmp_path / "tags.csv", "--tag", "corpus=words"
    )
    assert code == 2
    assert "indexed 4 recordings" in output
    assert errors == "wordspot: not tagged: no recording of archive 'default' has the path 'lost.wav'\n"
    assert tagged(run)["tea"] == {"corpus": "words", "place": "Gent", "speaker": "Anna"}
    assert tagged(run)["none"] == {"corpus": "words"}


def test_recordings_are_tagged_by_name_by_folder_and_by_table(
    run: Run, indexed: dict[str, Path], tmp_path: Path
) -> None:
    assert run("archive", "recordings", "tag", "tea.wav", "milk.wav", "--tag", "place=Gent")[:2] == (
        0,
        "2 recordings tagged\n",
    )
    run("archive", "recordings", "tag", "--folder", "recordings", "--untag", "corpus")
    assert tagged(run) == {"tea": {"place": "Gent"}, "milk": {"place": "Gent"}, "both": {}, "none": {}}
    (tmp_path / "tags.csv").write_text(TABLE)
    code, output, errors = run("archive", "recordings", "tag", "--tags", tmp_path / "tags.csv")
    assert (code, output) == (2, "2 recordings tagged\n")
    assert "'lost.wav'" in errors
    assert tagged(run)["both"] == {"place": "Aalst", "speaker": "Ben"}
    code, output, _ = run("archive", "recordings", "tags", "--json")
    assert rows(output)[0] == {"key": "place", "value": "Aalst", "recordings": 1}


def test_lists_are_confined_by_every_option(run: Run, indexed: dict[str, Path]) -> None:
    run("archive", "recordings", "tag", "tea.wav", "--tag", "place=Gent", "--tag", "date=2019-05")
    run("archive", "recordings", "tag", "milk.wav", "--tag", "place=Aalst")
    assert set(tagged(run, "--tag", "place=Gent")) == {"tea"}
    assert set(tagged(run, "--tag", "place=Gent", "--tag", "place=Aalst")) == {"tea", "milk"}
    assert set(tagged(run, "--path", "m*", "--path", "b*")) == {"milk", "both"}
    assert set(tagged(run, "--since", "2019", "--until", "2019-05-30")) == {"tea"}
    assert set(tagged(run, "--folder", "nowhere")) == set()
    assert len(tagged(run, "--state", "indexed")) == 4
    code, output, _ = run("archive", "recordings", "list", "--path", "tea*")
    assert code == 0
    assert "place=Gent" in output
    assert output.endswith("1 of 4 recordings\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list", "--tag", "place"), "a tag must be KEY=VALUE, got 'place'"),
        (("list", "--since", "soon"), "date_from must be YYYY"),
        (("list", "--state", "lost"), "a state must be one of added, indexed"),
        (("tag", "--tag", "a=b"), "give RECORDING, or --path and --folder"),
        (("tag", "tea.wav"), "give --tag, --untag or --replace"),
        (("tag", "x.wav", "--tag", "a=b"), "has the path 'x.wav'"),
        (("tag", "--path", "x*", "--tag", "a=b"), "matches the filter (path x*)"),
        (("tag", "tea.wav", "--tag", "Place=b"), "the key of a tag must be"),
    ],
)
def test_mistakes_end_with_one_line(
    run: Run, indexed: dict[str, Path], arguments: tuple[str, ...], told: str
) -> None:
    code, output, errors = run("archive", "recordings", *arguments)
    assert (code, output) == (2, "")
    assert told in " ".join(errors.replace("│", " ").split())


def test_a_search_is_confined_and_says_what_there_is_where_nothing_matches(
    run: Run, indexed: dict[str, Path], tea: Path
) -> None:
    run("archive", "recordings", "tag", "tea.wav", "--tag", "place=Gent")
    _, output, _ = run("search", tea, "--tag", "place=Gent", "--json")
    (row,) = rows(output)
    assert {Path(hit["path"]).stem for hit in row["hits"]} == {"tea"}
    code, output, errors = run("search", tea, "--tag", "place=Gnt")
    assert (code, output) == (2, "")
    assert errors == (
        "wordspot: no recording of archive 'default' matches the filter (tag place=Gnt); its tags are "
        "place=Gent (1), corpus=words (4)\n"
    )


def test_verdicts_are_added_used_listed_and_deleted(run: Run, indexed: dict[str, Path], tea: Path) -> None:
    _, output, _ = run("search", tea, "--label", "tea", "--json")
    hits = rows(output)[0]["hits"]
    first = hits[0]
    place = (first["recording"], first["start"], first["end"])
    code, output, _ = run("verdicts", "add", *place, "--query", "tea", "--wrong", "--json")
    (stored,) = rows(output)
    assert code == 0
    assert (stored["correct"], stored["author"], stored["path"]) == (False, getpass.getuser(), first["path"])
    _, output, _ = run("search", tea, "--label", "tea", "--with-verdicts", "--json")
    left = rows(output)[0]["hits"]
    assert (first["recording"], first["start"]) not in {(hit["recording"], hit["start"]) for hit in left}
    _, output, _ = run("verdicts", "list", "--wrong")
    assert "tea" in output
    assert "wrong" in output
    _, output, _ = run("verdicts", "list", "--correct", "--json")
    assert output == ""
    code, _, errors = run("verdicts", "delete", "--query", "tea")
    assert (code, "with --yes only" in errors) == (2, True)
    assert run("verdicts", "delete", "--query", "tea", "--yes")[:2] == (0, "1 verdict deleted\n")
    assert run("verdicts", "delete", stored["id"])[0] == 2


def test_a_verdict_of_what_is_not_there_is_refused(run: Run, indexed: dict[str, Path]) -> None:
    code, _, errors = run("verdicts", "add", "nobody", "0", "1", "--query", "tea")
    assert (code, errors) == (2, "wordspot: no recording 'nobody' in archive 'default'\n")
    code, _, errors = run("verdicts", "delete")
    assert code == 2
    assert "give VERDICT" in errors


def test_a_list_of_keywords_becomes_a_matrix(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    (tmp_path / "keywords.txt").write_text(f"=tea\t{tea}\nlost\t{tmp_path / 'lost.wav'}\n")
    out = tmp_path / "matrix.csv"
    code, output, errors = run("search", "--batch", tmp_path / "keywords.txt", "--matrix", out)
    assert code == 2  # for the file that is not there
    first, last = errors.splitlines()
    assert first.startswith("wordspot: lost: cannot read ")
    assert last == "wordspot: 1 of 2 queries could not be answered"
    assert output.startswith("2 keywords in ")
    header, *lines = out.read_text(encoding="utf-8-sig").splitlines()
    assert header == "recording,path,'=tea,'=tea uncertain,lost,lost uncertain"
    assert any(line.split(",")[1] == str(indexed["tea"]) for line in lines)
    _, output, _ = run("search", "--batch", tmp_path / "keywords.txt", "--matrix", out, "--json")
    (matrix,) = rows(output)
    assert matrix["keywords"] == ["=tea", "lost"]
    assert len(matrix["counts"][0]) == len(matrix["recordings"]) == len(lines)
    _, output, _ = run("search", "--batch", tmp_path / "keywords.txt", "--matrix", "-")
    assert output.startswith("recording,path,")
