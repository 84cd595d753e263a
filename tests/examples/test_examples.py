"""The programs in examples/ run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SAMPLE = ROOT / "deploy" / "demo" / "sample"


def run(name: str, home: Path, *arguments: str | Path) -> list[str]:
    ended = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env=os.environ | {"WORDSPOT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A dozen files, among them those that the queries are said in."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for path in sorted((SAMPLE / "recordings").glob("vm-*.flac"))[:12]:
        (folder / path.name).symlink_to(path)
    return folder


def test_search_prints_hits_and_saves_their_sound(recordings: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    first, *hits = run(
        "search.py", tmp_path / "home", recordings, SAMPLE / "queries" / "message.flac", "--clips", clips
    )
    assert first.startswith("12 recordings, encoder ")
    assert len(hits) == 5
    assert all(str(recordings) in line for line in hits)
    assert sorted(path.name for path in clips.iterdir()) == [f"{number}.wav" for number in range(1, 6)]


def test_the_models_draw_encode_and_know_words(tmp_path: Path) -> None:
    sheet = tmp_path / "digits.png"
    *models, told, analogy = run("model_service.py", tmp_path / "home", "--out", sheet)
    assert any(line.split()[0] == "wordspot" for line in models)
    assert told.startswith("16 digits of (28, 28) pixels, as ")
    assert analogy.startswith("man is to king as woman is to queen")
    with Image.open(sheet) as picture:
        assert picture.size == (112, 112)
        assert np.asarray(picture).max() > 128


def test_the_open_protocol_is_spoken_to_a_server(tmp_path: Path) -> None:
    with EmbeddedServer(EmbeddedSettings.of_home(tmp_path / "home", {})) as server:
        lines = run("open_inference.py", tmp_path / "home", "--address", server.address)
    assert lines[0].startswith("wordspot ")
    assert [line.split()[0] for line in lines[1:4]] == ["count", "seed", "pictures"]
    assert lines[4].startswith("drew (4, 1, 28, 28), ")


def test_every_example_is_run_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == {"search.py", "model_service.py", "open_inference.py"}
    assert all(f"]({name})" in listed for name in programs)
