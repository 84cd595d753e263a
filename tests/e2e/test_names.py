"""Files of any name: they are indexed, found, saved and shown, and no name steers a terminal."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Ended, Sample, Wordspot

NAMES = (
    b"caf\xe9.flac",
    b"esc\x1b[31m\x07.flac",
    b"new\nline.flac",
    b"-x.flac",
    "separators\u2028\u2029\x85.flac".encode(),
    "right\u202ecalf.flac".encode(),
    b"n" * 250 + b".flac",
    "日".encode() * 83 + b".flac",
)


@pytest.fixture
def folder(sample: Sample, tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name, source in zip(NAMES, sample.dozen, strict=False):
        (folder / os.fsdecode(name)).write_bytes(source.read_bytes())
    return folder


def steers(ended: Ended) -> set[str]:
    """What was printed that a terminal obeys."""
    text = (ended.output + ended.errors).replace("\n", "")
    return {character for character in text if not character.isprintable()}


def saved_files(clips: Path) -> list[str]:
    """The file of each hit that was saved."""
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        return [row["file"] for row in csv.DictReader(file) if row["file"]]


def found(answers: list[Any]) -> set[bytes]:
    return {os.fsencode(Path(hit["path"]).name) for answer in answers for hit in answer["hits"]}


def test_names_of_all_kinds_are_indexed_found_saved_and_shown(
    wordspot: Wordspot, folder: Path, sample: Sample, tmp_path: Path
) -> None:
    report = wordspot.ask("index", folder, "--encoder", "naive")
    assert (report["indexed"], report["problems"]) == (len(NAMES), {})
    clips, query = tmp_path / "clips", sample.query("password")
    options = ("--all-hits", "--top", 10_000)
    ended = wordspot.run("search", query, *options, "--json", "--save-clips", clips)
    assert (ended.code, ended.errors, steers(ended)) == (0, "", set())
    assert found(ended.answers) == set(NAMES)
    for hit in ended.answers[0]["hits"]:
        assert Path(hit["path"]).is_file()
    assert len(saved_files(clips)) == len(ended.answers[0]["hits"])
    assert {path.name for path in clips.glob("*.wav")} == set(saved_files(clips))
    assert all(path.name.isprintable() for path in clips.iterdir())
    ended = wordspot.run("search", query, *options)
    assert (ended.code, ended.errors, steers(ended)) == (0, "", set())
    assert r"caf\xe9.flac" in ended.output
    assert r"esc\x1b[31m\x07.flac" in ended.output
    for flags in ((), ("--json",)):
        ended = wordspot.run("archive", "show", *flags)
        assert (ended.code, steers(ended)) == (0, set())
    paths = [recording["path"] for recording in ended.answers[0]["recording_list"]]
    assert {os.fsencode(Path(path).name) for path in paths} == set(NAMES)


def test_queries_may_have_any_name_also_in_a_batch(dozen: Wordspot, folder: Path, tmp_path: Path) -> None:
    batch = tmp_path / "queries"
    names = [name for name in NAMES if b"\n" not in name]
    lines = b"".join(bytes(folder) + b"/" + name + b"\t0.2\t0.8\r\n" for name in names)
    batch.write_bytes(b"\xef\xbb\xbf" + lines)
    for flags in (("--json",), ()):
        ended = dozen.run("search", "--batch", batch, "--top", 1, *flags)
        assert steers(ended) == set()
        assert "could not be read" not in ended.output
        if flags:
            assert [os.fsencode(answer["query"].split("\t")[0]) for answer in ended.answers] == [
                bytes(folder) + b"/" + name for name in names
            ]
            assert not any("cannot read" in answer.get("problem", "") for answer in ended.answers)
    for name in NAMES:
        ended = dozen.run("search", folder / os.fsdecode(name), "--start", 0.2, "--end", 0.8, "--json")
        assert "cannot read" not in ended.errors


def test_a_file_that_cannot_be_indexed_does_not_steer_the_terminal(
    wordspot: Wordspot, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).write_text("prose")
    for flags in (("--json",), ()):
        ended = wordspot.run("index", folder, "--encoder", "naive", *flags)
        assert (ended.code, steers(ended)) == (2, set())
        assert ended.errors.count("\n") == len(NAMES)
        assert "Traceback" not in ended.errors
        if flags:
            problems = json.loads(ended.output)["problems"]
            assert {os.fsencode(Path(path).name) for path in problems} == set(NAMES)
    missing = wordspot.refuse("index", tmp_path / "no\x1b[2Jthing")
    assert r"no\x1b[2Jthing" in missing


def test_a_clip_that_is_lost_is_named_and_the_others_are_saved(
    wordspot: Wordspot, folder: Path, sample: Sample, tmp_path: Path
) -> None:
    wordspot.ask("index", folder, "--encoder", "naive")
    (folder / os.fsdecode(NAMES[0])).unlink()
    (folder / os.fsdecode(NAMES[3])).write_bytes(b"changed")
    arguments = ("search", sample.query("password"), "--all-hits", "--top", 10_000, "--json")
    ended = wordspot.run(*arguments, "--save-clips", tmp_path / "clips")
    assert (ended.code, steers(ended)) == (2, set())
    hits = ended.answers[0]["hits"]
    lost = [hit for hit in hits if os.fsencode(Path(hit["path"]).name) in (NAMES[0], NAMES[3])]
    assert lost
    assert len(saved_files(tmp_path / "clips")) == len(hits) - len(lost)
    *named, summary = ended.errors.splitlines()
    assert 1 < len(named) <= len(lost)  # hits that overlap share a clip
    assert summary == f"wordspot: {len(named)} clips could not be saved"


def test_what_is_left_out_of_folders_is_told(wordspot: Wordspot, folder: Path, sample: Sample) -> None:
    data = sample.dozen[0].read_bytes()
    for name in (".Trash-1000", ".snapshots", "@eaDir", ".hidden\x1b"):
        (folder / name).mkdir()
        (folder / name / "x.flac").write_bytes(data)
    (folder / "loop").symlink_to(folder)
    report = wordspot.ask("index", folder, "--encoder", "naive")
    assert report["indexed"] == len(NAMES)
    assert {Path(path).name for path in report["skipped"]} == {
        ".Trash-1000", ".snapshots", "@eaDir", ".hidden\x1b", "loop"
    }  # fmt: skip
    ended = wordspot.run("index", folder)
    assert (ended.code, steers(ended)) == (0, set())
    assert f"1 left out, deleted files: {folder}/.Trash-1000" in ended.output
    assert f"1 left out, a hidden folder: {folder}/.hidden\\x1b" in ended.output
    assert wordspot.ask("index", folder / ".snapshots")["already_present"] == 1
