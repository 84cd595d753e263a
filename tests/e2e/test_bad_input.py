"""What cannot be used is refused in one line, and the archive stays as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample, Wordspot

RATE = 8_000


@pytest.fixture(scope="module")
def bad(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that no query can be made of, and of one whose header lies."""
    folder = tmp_path_factory.mktemp("bad")
    speech, rate = soundfile.read(sample.query("password"), dtype="float32")
    assert rate == RATE

    def write(name: str, samples: object, subtype: str = "PCM_16") -> None:
        soundfile.write(folder / name, samples, RATE, subtype=subtype)

    (folder / "prose.wav").write_text("this is not audio\n" * 100)
    (folder / "nothing.wav").write_bytes(b"")
    whole = sample.query("password").read_bytes()
    (folder / "header.flac").write_bytes(whole[:60])
    # The length of a FLAC file in frames, the low 36 bits of bytes 18 to 25: all ones claim 99 days.
    forged = bytearray(whole)
    forged[21:26] = bytes([forged[21] | 0x0F]) + b"\xff" * 4
    (folder / "forged.flac").write_bytes(forged)
    write("silence.wav", np.zeros(RATE, np.float32))
    write("blink.wav", speech[: RATE // 20])
    write("lecture.flac", np.tile(speech, 600 * RATE // len(speech) + 1))
    write("bomb.flac", np.zeros(3_600 * RATE, np.int16))
    assert (folder / "bomb.flac").stat().st_size < 100_000
    broken = speech.copy()
    broken[100] = np.nan
    write("nan.wav", broken, "FLOAT")
    (folder / "folder.wav").mkdir()
    return folder


@pytest.fixture
def untouched(indexed: Wordspot) -> Iterator[None]:
    before = indexed.contents()
    yield
    assert indexed.contents() == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("prose.wav", "is not audio that can be decoded"),
        ("nothing.wav", "is empty, 0 bytes"),
        ("header.flac", "is not audio that can be decoded"),
        ("silence.wav", "no speech in 1.00 s of audio"),
        ("blink.wav", "must last at least 0.1 s, got 0.05 s"),
        ("lecture.flac", "is longer than the 60 s allowed"),
        ("bomb.flac", "is longer than the 60 s allowed"),
        ("nan.wav", "has the sample nan at 0.012 s, allowed are numbers within"),
        ("missing.wav", "No such file or directory"),
        ("folder.wav", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("/proc/self/mem", "Input/output error"),
    ],
)
def test_a_file_that_cannot_be_a_query_is_refused(name: str, told: str, indexed: Wordspot, bad: Path) -> None:
    line = indexed.refuse("search", bad / name)
    assert str(bad / name) in line
    assert told in line


def test_a_forged_length_is_not_believed(indexed: Wordspot, sample: Sample, bad: Path) -> None:
    assert soundfile.info(bad / "forged.flac").frames > 60_000_000_000
    honest = indexed.ask("search", sample.query("password"))["hits"]
    assert indexed.ask("search", bad / "forged.flac")["hits"] == honest != []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("search QUERY --archive attic", "no archive 'attic'"),
        ("search --recording nobody --start 0 --end 1", "no recording 'nobody' in archive 'default'"),
        ("search --recording FIRST --start 60 --end 61", "holds no audio in the stretch that is asked for"),
        (
            "search --recording FIRST --start 4 --end 5",
            "the stretch must lie within the recording, which ends at 3.29 s",
        ),
        (
            "search --recording FIRST --start 2 --end 1",
            "0 <= start < end and be at most 50 s long, got 2 to 1 s",
        ),
        ("search QUERY --start 4 --end 5", "which ends at 0.93 s, got 4 to 5 s"),
        ("search QUERY --encoder sa", "archive 'default' is indexed with encoder 'naive', not 'sa'"),
        ("search QUERY --top 0", "--top must be between 1 and 10,000, got 0"),
        ("search QUERY --top 10001", "--top must be between 1 and 10,000, got 10001"),
        ("search --say ?", "query '?': the text must have a letter or digit, got '?'"),
        ("search --say tea --language english", "espeak-ng has no language 'english'; near it are en, "),
        ("search --say tea --speakers 0", "speakers must be between 1 and 8, got 0"),
        ("search --batch missing.tsv", "cannot read missing.tsv"),
        ("index QUERY --encoder ear", "no encoder 'ear'; there are"),
        ("index missing.wav", "missing.wav, which does not exist"),
        ("index /dev/zero", "got /dev/zero, which is not a regular file"),
        ("index QUERY --archive a/b", "letter or digit, got 'a/b'"),
        ("archive show attic", "no archive 'attic'"),
        ("archive delete default --recording nobody --yes", "no recording 'nobody' in archive 'default'"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(
    arguments: str, told: str, indexed: Wordspot, sample: Sample
) -> None:
    query = str(sample.query("password"))
    first = indexed.contents()[1]["recordings"][0][1]
    for name, value in {"QUERY": query, "FIRST": first}.items():
        arguments, told = arguments.replace(name, value), told.replace(name, value)
    assert told in indexed.refuse(*arguments.split(" "))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("line", ["QUERY\t0.1", "QUERY\tsoon\tlater", "QUERY\t0\t0.5\t1", "QUERY\t0\t"])
def test_a_malformed_line_of_a_batch_is_refused_before_any_is_answered(
    line: str, indexed: Wordspot, sample: Sample, tmp_path: Path
) -> None:
    query = str(sample.query("password"))
    batch = tmp_path / "queries.tsv"
    batch.write_text(f"{query}\n{line.replace('QUERY', query)}\n")
    told = indexed.refuse("search", "--batch", batch)
    assert f"{batch}, line 2 must be " in told
    assert f"got {line.replace('QUERY', query)!r}" in told
    assert "must be a word, a path, " in told
    assert "with start and end or without, or say<TAB>text" in told


@pytest.mark.usefixtures("untouched")
def test_a_query_of_a_batch_that_cannot_be_used_leaves_the_others_their_answers(
    indexed: Wordspot, sample: Sample, bad: Path, tmp_path: Path
) -> None:
    queries = [sample.query("volume"), bad / "prose.wav", bad / "missing.wav", sample.query("password")]
    batch = tmp_path / "queries.tsv"
    batch.write_text("\n".join(map(str, queries)))
    ended = indexed.run("search", "--batch", batch, "--json")
    assert (ended.code, ended.errors) == (2, "wordspot: 2 of 4 queries could not be answered\n")
    assert [answer["query"] for answer in ended.answers] == [str(query) for query in queries]
    assert [len(answer["hits"]) for answer in ended.answers] == [10, 0, 0, 10]
    assert "is not audio" in ended.answers[1]["problem"]
    assert "No such file" in ended.answers[2]["problem"]


@pytest.mark.parametrize("name", ["prose.wav", "nan.wav", "/proc/self/mem"])
def test_a_file_that_is_no_recording_is_reported_and_leaves_nothing(
    name: str, few: Wordspot, bad: Path
) -> None:
    before = few.contents()
    ended = few.run("index", bad / name)
    assert ended.code == 2
    assert re.fullmatch(f"wordspot: not indexed: .*{re.escape(str(bad / name))}.*\n", ended.errors)
    assert few.contents() == before


def test_a_folder_is_indexed_but_for_what_cannot_be(wordspot: Wordspot, bad: Path) -> None:
    ended = wordspot.run("index", bad, "--encoder", "naive", "--json", WORDSPOT_MAX_RECORDING_SECONDS="60")
    unusable = {"prose.wav", "nothing.wav", "header.flac", "nan.wav", "bomb.flac", "lecture.flac"}
    assert ended.code == 2
    (report,) = ended.answers
    assert set(report["problems"]) == {str(bad / name) for name in unusable}
    assert ended.errors.count("\n") == ended.errors.count("wordspot: not indexed: ") == len(unusable)
    for name in ("bomb.flac", "lecture.flac"):
        assert f"{bad / name} is longer than the 60 s allowed\n" in ended.errors
    assert report["added"] == report["indexed"] == 3

    listed = wordspot.ask("archive", "show")["recording_list"]
    seconds = {Path(one["path"]).name: one["duration_seconds"] for one in listed if one["state"] == "indexed"}
    honest = soundfile.info(bad / "nan.wav").duration
    assert seconds == {"silence.wav": 1.0, "blink.wav": 0.05, "forged.flac": pytest.approx(honest)}
    failed = {Path(one["path"]).name: one["problem"] for one in listed if one["state"] == "failed"}
    assert failed == {
        name: f"{bad / name} is longer than the 60 s allowed" for name in ("bomb.flac", "lecture.flac")
    }
    found = {hit["path"] for hit in wordspot.ask("search", bad / "forged.flac", "--all-hits")["hits"]}
    assert found == {str(bad / "forged.flac")}


def test_a_file_that_failed_before_does_not_trouble_those_that_are_fine(
    wordspot: Wordspot, sample: Sample, bad: Path
) -> None:
    limit = {"WORDSPOT_MAX_RECORDING_SECONDS": "60"}
    failing = wordspot.run("index", bad / "bomb.flac", "--encoder", "naive", **limit)
    assert failing.code == 2
    report = wordspot.ask("index", sample.dozen[0], **limit)
    assert (report["added"], report["indexed"], report["problems"]) == (1, 1, {})


def test_an_unknown_encoder_is_refused_before_anything_is_added(wordspot: Wordspot, sample: Sample) -> None:
    assert "no encoder 'ear'" in wordspot.refuse("index", sample.dozen[0], "--encoder", "ear")
    assert wordspot.run("archive", "list", "--json").output == ""


@pytest.mark.parametrize("home", ["/dev/null/home", "/proc/home"])
def test_a_home_that_cannot_be_written_is_refused(home: str, wordspot: Wordspot) -> None:
    refusal = wordspot.refuse("archive", "list", WORDSPOT_HOME=home)
    assert f"must be a folder that can be written, got {home}: " in refusal


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WORDSPOT_MAX_QUERY_SECONDS", "forever", "must be a number"),
        ("WORDSPOT_MAX_RECORDING_SECONDS", "0", "must be between 1 and 604,800"),
        ("WORDSPOT_INDEX_KIND", "best", "must be one of auto, exact, ivf-sq8, ivf-pq"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(
    name: str, value: str, told: str, wordspot: Wordspot
) -> None:
    line = wordspot.refuse("archive", "list", **{name: value})
    assert name.removeprefix("WORDSPOT_").lower() in line.lower()
    assert value in line
    assert told in line
