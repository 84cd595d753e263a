"""A process that watches a folder while files come, change, move and go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wordspot import Client
from wordspot.indexer.sound.audio import write_wav

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "wordspot.services.cli", "watch", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The first line that holds the text; waits for it."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the output ended without {text!r}")


@pytest.mark.parametrize(("options", "ending"), [((), signal.SIGINT), (("--poll", 0.2), signal.SIGTERM)])
def test_an_archive_is_kept_in_step_until_a_signal(
    start: Start,
    recordings: dict[str, Path],
    say: Callable[..., np.ndarray],
    tmp_path: Path,
    options: tuple[object, ...],
    ending: signal.Signals,
) -> None:
    folder = recordings["tea"].parent
    process = start(folder, *options)
    line_with(process, "watching ")
    (tmp_path / "new.wav").write_bytes(write_wav(say("something", "new")))
    shutil.move(tmp_path / "new.wav", folder / "new.wav")
    assert "new.wav" in line_with(process, "1 added")
    recordings["milk"].rename(folder / "cream.wav")
    assert "cream.wav" in line_with(process, "1 renamed")
    recordings["both"].write_bytes(write_wav(say("another", "sentence")))
    assert "both.wav" in line_with(process, "1 changed")
    recordings["none"].unlink()
    assert "none.wav" in line_with(process, "1 missing")
    process.send_signal(ending)
    assert "5 added, 1 changed, 1 renamed, 0 found, 1 missing" in line_with(process, "watched for ")
    assert process.wait(30) == 0
    with Client(home=tmp_path / "home") as client:
        assert {Path(each.path).name for each in client.recordings()} == {
            "tea.wav", "cream.wav", "both.wav", "none.wav", "new.wav"
        }  # fmt: skip


def test_what_is_no_folder_is_not_watched(start: Start, recordings: dict[str, Path]) -> None:
    assert start(recordings["tea"]).wait(60) == 2


def test_a_name_of_any_bytes_is_taken_and_does_not_end_it(
    start: Start, recordings: dict[str, Path], say: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    folder = recordings["tea"].parent
    process = start(folder, "--poll", 0.2)
    line_with(process, "watching ")
    (tmp_path / "new.wav").write_bytes(write_wav(say("something", "new")))
    shutil.move(tmp_path / "new.wav", os.fsdecode(os.fsencode(folder) + b"/b\xe9.wav"))
    line_with(process, "1 added")
    (folder / "tea.wav").unlink()
    assert "tea.wav" in line_with(process, "1 missing")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
