from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bench import recogniser
from tests.bench.material import Material, Recording
from tests.bench.recogniser import Heard, TextSearch, Transcriber, Transcript, letters

# Stands in for the recogniser: hears each file's name, and notes that it was asked.
WORKER = """
import json, sys
from pathlib import Path
for path in json.load(sys.stdin):
    with Path(path).with_suffix(".asked").open("a") as asked:
        asked.write("once")
    print(json.dumps({"path": path, "words": [[Path(path).stem, 0.1, 0.5, 0.9]], "processor_s": 0.25}))
"""


def transcript(*words: tuple[str, float]) -> Transcript:
    """Words of half a second with their probabilities, one after another."""
    heard = (Heard(text, n / 2, n / 2 + 0.5, probability) for n, (text, probability) in enumerate(words))
    return Transcript(tuple(heard), 2.0)


def search_in(*transcripts: Transcript) -> TextSearch:
    recordings = tuple(
        Recording(f"queen/{number}", Path(f"{number}.flac"), 4.0, None, ())
        for number in range(len(transcripts))
    )
    return TextSearch(Material(recordings, (), (), (), ()), transcripts)


def test_words_are_ranked_by_likeness_and_equals_by_probability() -> None:
    search = search_in(
        transcript(("Leave", 0.5), ("mug.", 0.9)), transcript(("leaves!", 0.9), ("leave,", 0.9))
    )
    found = search.answer("leave.")
    assert found.places.recordings.tolist() == [1, 0, 1]
    assert found.places.starts.tolist() == [0.5, 0.0, 0.0]
    assert found.scores == pytest.approx([1.0018, 1.001, 10 / 11 + 0.0018])
    assert found.detected.tolist() == [True, True, False]


def test_a_text_of_two_words_is_sought_in_pairs_as_well() -> None:
    search = search_in(transcript(("now", 0.9), ("all", 0.8), ("ready.", 0.7), ("already", 0.6)))
    places = search.answer("All ready").places
    assert (places.starts[0], places.ends[0]) == (0.5, 1.5)
    assert (places.starts[1], places.ends[1]) == (1.5, 2.0)
    assert search.answer("already").places.starts[0] == 1.5


def test_nothing_heard_finds_nothing() -> None:
    assert len(search_in(transcript(("leave", 0.5))).answer("").places) == 0


def test_the_speed_is_that_of_two_cores() -> None:
    search = search_in(transcript(("a", 1.0)), transcript(("b", 1.0)))
    assert search.times_real == 8.0 / (4.0 / 2)


@pytest.mark.parametrize(("text", "bare"), [("Don't.", "dont"), ("...", ""), ("Ž-2", "ž2")])
def test_case_and_punctuation_do_not_count(text: str, bare: str) -> None:
    assert letters(text) == bare


@pytest.fixture
def transcriber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    monkeypatch.setattr(recogniser, "WORKER", worker)
    monkeypatch.setattr(Transcriber, "_environment", lambda self: Path(sys.executable))
    (tmp_path / "bench/recogniser").mkdir(parents=True)
    return Transcriber(tmp_path)


def test_files_are_transcribed_once_and_again_when_they_change(
    transcriber: Transcriber, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.wav" for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(path.name.encode())
    first = transcriber.transcribe(paths)
    assert [one.text for one in first] == ["one", "two", "three"]
    assert transcriber.transcribe(paths[::-1]) == first[::-1]
    paths[0].write_bytes(b"changed")
    transcriber.transcribe(paths)
    asked = [path.with_suffix(".asked").read_text() for path in paths]
    assert asked == ["onceonce", "once", "once"]


def test_a_worker_that_fails_is_an_error(transcriber: Transcriber, tmp_path: Path) -> None:
    recogniser.WORKER.write_text("raise SystemExit(3)")
    (tmp_path / "one.wav").write_bytes(b"one")
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        transcriber.transcribe([tmp_path / "one.wav"])


def test_what_was_kept_before_an_interruption_stays(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    path.write_bytes(b"one")
    transcriber.transcribe([path])
    (row,) = (tmp_path / "bench/recogniser/transcripts.jsonl").read_text().splitlines()
    assert json.loads(row)["words"] == [["one", 0.1, 0.5, 0.9]]
    assert np.isclose(transcriber.transcribe([path])[0].processor_s, 0.25)
