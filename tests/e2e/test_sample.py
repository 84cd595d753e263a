"""What the README promises, on four minutes of speech whose words are known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample, Wordspot

WORDS = ("conference", "extension", "message", "password", "volume")


def test_every_recording_of_the_folder_is_indexed(indexing: tuple[Wordspot, Any], sample: Sample) -> None:
    wordspot, report = indexing
    count = len(sample.recordings)
    assert (report["archive"], report["encoder"]) == ("default", "naive")
    assert (report["added"], report["indexed"], report["recordings"]) == (count, count, count)
    assert (report["already_present"], report["ignored"], report["problems"]) == (0, 0, {})
    seconds = sum(soundfile.info(path).duration for path in sample.recordings)
    assert report["audio_seconds"] == pytest.approx(seconds)
    archive = wordspot.ask("archive", "show")
    assert [one["path"] for one in archive["recording_list"]] == [str(path) for path in sample.recordings]
    assert archive["spans"] == report["spans"] > 5_000


@pytest.mark.parametrize("word", WORDS)
def test_four_of_the_five_best_hits_hold_the_word(word: str, indexed: Wordspot, sample: Sample) -> None:
    hits = indexed.ask("search", sample.query(word), "--all-hits", "--top", 5)["hits"]
    assert len(hits) == 5
    assert hits[0]["detected"]
    assert sum(word in sample.heard(hit) for hit in hits) >= 4


def test_a_hit_as_a_second_example_finds_the_word_as_well(indexed: Wordspot, sample: Sample) -> None:
    query = sample.query("conference")
    best = indexed.ask("search", query)["hits"][0]
    stretch = ("--recording", best["recording"], "--start", best["start"], "--end", best["end"])
    hits = indexed.ask("search", query, *stretch, "--all-hits", "--top", 5)["hits"]
    assert (hits[0]["path"], hits[0]["detected"]) == (best["path"], True)
    assert hits[0]["score"] > best["score"]
    assert sum("conference" in sample.heard(hit) for hit in hits) >= 4


def test_of_a_word_that_was_never_said_nothing_is_detected_and_the_best_places_are_shown(
    indexed: Wordspot, sample: Sample
) -> None:
    query = sample.query("glorious")
    assert "glorious" not in {word.text for words in sample.words.values() for word in words}
    assert indexed.ask("search", query, "--detected")["hits"] == []
    guesses = indexed.ask("search", query)["hits"]
    assert len(guesses) == 10
    assert not any(guess["detected"] for guess in guesses)


def test_hits_have_the_promised_fields_and_come_best_first(indexed: Wordspot, sample: Sample) -> None:
    hits = indexed.ask("search", sample.query("message"), "--detected")["hits"]
    recordings = {one["id"]: one for one in indexed.ask("archive", "show")["recording_list"]}
    for hit in hits:
        types = {name: type(value) for name, value in hit.items()}
        assert types == {
            "recording": str,
            "path": str,
            "start": float,
            "end": float,
            "score": float,
            "detected": bool,
            "p_correct": float,
            "channel": int,
            "track": int,
            "missing": bool,
        }
        recording = recordings[hit["recording"]]
        assert hit["path"] == recording["path"]
        assert 0 <= hit["start"] < hit["end"] <= recording["duration_seconds"]
        assert hit["detected"]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_as_many_hits_are_given_as_are_asked_for(indexed: Wordspot, sample: Sample) -> None:
    def found(*options: object) -> list[Any]:
        hits: list[Any] = indexed.ask("search", sample.query("volume"), *options)["hits"]
        return hits

    every = found("--all-hits", "--top", 10_000)
    assert {hit["path"] for hit in every} == {str(path) for path in sample.recordings}
    assert found("--all-hits", "--top", 10) == every[:10]
    assert found("--all-hits") == found("--top", 10_000) == every
    assert found("--top", 10_000, "--detected") == [hit for hit in every if hit["detected"]]
    least = every[4]["score"]
    assert found("--min-score", least) == [hit for hit in every if hit["score"] >= least]


def test_clips_hold_the_sound_of_the_hits(indexed: Wordspot, sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "password"
    query = sample.query("password")
    hits = indexed.ask("search", query, "--all-hits", "--top", 4, "--save-clips", folder)["hits"]
    clips = sorted(folder.glob("*.wav"))
    assert len(clips) == len(hits) == 4
    for clip, hit in zip(clips, hits, strict=True):
        samples, rate = soundfile.read(clip, dtype="float32")
        original, original_rate = soundfile.read(hit["path"], dtype="float32")
        original = original[round(hit["start"] * rate) : round(hit["end"] * rate)]
        assert rate == original_rate
        assert len(samples) == pytest.approx((hit["end"] - hit["start"]) * rate, abs=1)
        np.testing.assert_allclose(samples, original, atol=1 / 32_768)


def test_a_batch_is_answered_line_by_line_in_order(indexed: Wordspot, sample: Sample, tmp_path: Path) -> None:
    stretches = [
        (path, word) for path in sample.dozen for word in sample.words[path.name] if word.text == "conference"
    ]
    lines = [f"{path}\t{word.start}\t{word.end}" for path, word in stretches]
    files = [str(sample.query(word)) for word in ("volume", "glorious", "password")]
    batch = tmp_path / "queries.tsv"
    batch.write_text("\n".join([files[0], *lines, "", *files[1:]]) + "\n")
    clips = tmp_path / "clips"
    ended = indexed.run("search", "--batch", batch, "--json", "--top", 3, "--save-clips", clips)
    assert (ended.code, ended.errors) == (0, "")
    assert {answer["schema"] for answer in ended.answers} == {"wordspot.search.v1"}
    assert len(ended.answers) == len(stretches) + 3
    assert [answer["query"] for answer in ended.answers] == [files[0], *lines, *files[1:]]
    assert all(len(answer["hits"]) == 3 for answer in ended.answers)
    assert [len(list(folder.glob("*.wav"))) for folder in sorted(clips.iterdir())] == [3] * len(ended.answers)

    volume, *conferences, glorious, password = (answer["hits"] for answer in ended.answers)
    assert volume == indexed.ask("search", files[0], "--all-hits", "--top", 3)["hits"]
    assert password == indexed.ask("search", files[2], "--all-hits", "--top", 3)["hits"]
    assert [hit["detected"] for hit in glorious] == [False] * 3
    for (path, word), hits in zip(stretches, conferences, strict=True):
        assert hits[0]["path"] == str(path)
        assert hits[0]["start"] < (word.start + word.end) / 2 < hits[0]["end"]
        assert all("conference" in sample.heard(hit) for hit in hits)


def test_a_stretch_of_a_recording_finds_itself_first(indexed: Wordspot, sample: Sample) -> None:
    path = sample.recordings[1]
    (password,) = (word for word in sample.words[path.name] if word.text == "password")
    (recording,) = (
        one["id"] for one in indexed.ask("archive", "show")["recording_list"] if one["path"] == str(path)
    )
    stretch = ("--recording", recording, "--start", password.start, "--end", password.end)
    hits = indexed.ask("search", *stretch, "--all-hits", "--top", 3)["hits"]
    assert (hits[0]["recording"], hits[0]["path"]) == (recording, str(path))
    assert hits[0]["start"] == pytest.approx(password.start, abs=0.1)
    assert hits[0]["end"] == pytest.approx(password.end, abs=0.1)
    assert all("password" in sample.heard(hit) for hit in hits)


def test_files_indexed_before_are_recognised_by_content(
    few: Wordspot, sample: Sample, tmp_path: Path
) -> None:
    before = few.ask("archive", "show")
    files, rows = few.contents()
    copy = tmp_path / "under another name.flac"
    shutil.copy(sample.dozen[0], copy)
    report = few.ask("index", *sample.dozen, copy)
    assert (report["added"], report["already_present"], report["indexed"]) == (0, len(sample.dozen) + 1, 0)
    first = before["operation_list"][0]
    assert report["encoder"] == first["encoder"] == "naive"
    assert few.contents() == (files, rows)


def test_recognising_files_is_quicker_than_indexing_them(
    indexing: tuple[Wordspot, Any], sample: Sample, tmp_path: Path
) -> None:
    wordspot, first = indexing
    again = wordspot.copy(tmp_path / "home").ask("index", sample.recordings[0].parent)
    assert (again["already_present"], again["indexed"]) == (len(sample.recordings), 0)
    assert again["seconds"] < first["seconds"] / 2


def test_a_deleted_recording_is_gone_and_compaction_frees_its_place(few: Wordspot, sample: Sample) -> None:
    query = sample.query("password")
    (archive,) = few.run("archive", "list", "--json").answers
    whole = few.ask("archive", "show")
    assert archive.items() <= whole.items()
    best = few.ask("search", query)["hits"][0]
    path = Path(best["path"])
    assert few.ask("archive", "delete", "default", "--recording", best["recording"], "--yes") == {
        "deleted": best["recording"]
    }
    assert best["path"] not in {hit["path"] for hit in few.ask("search", query, "--all-hits")["hits"]}
    done = few.ask("archive", "compact")
    assert done["segments_after"] <= done["segments_before"] == whole["segments"]
    assert done["bytes_freed"] > 0
    left = few.ask("archive", "show")
    assert (left["recordings"], left["indexed_recordings"]) == (len(sample.dozen) - 1,) * 2
    assert left["spans"] < whole["spans"]
    assert left["bytes_on_disk"] < whole["bytes_on_disk"]
    assert path.is_file()

    few.ask("index", path)
    back = few.ask("search", query)["hits"][0]
    assert (back["path"], back["start"], back["end"]) == (best["path"], best["start"], best["end"])
    assert back["recording"] != best["recording"]


def test_a_deleted_archive_leaves_no_files_but_those_it_was_made_of(few: Wordspot, sample: Sample) -> None:
    assert few.ask("archive", "delete", "default", "--yes") == {"deleted": "default"}
    assert few.run("archive", "list", "--json").answers == []
    files, rows = few.contents()
    assert sorted(files) == ["identity", "reserve"]
    assert not any(rows.values())
    assert all(path.is_file() for path in sample.dozen)
