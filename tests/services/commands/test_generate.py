from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wordspot.models import artifact
from wordspot.models.artifact import ArtifactCard
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.services import cli
from wordspot.services.embedded import serving_models
from wordspot.services.settings import ModelHostSettings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    vae = Vae(VaeConfig(height=8, width=6, hidden=(16,), code=4))
    card = ArtifactCard(name="small", model="vae", config={}, weights_sha256="")
    artifact.save(vae, card, tmp_path / "home/models/small")
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    with serving_models(ModelHostSettings(home=home, device="cpu")) as address:
        yield address


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["wordspot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    return call


def test_pictures_are_drawn_onto_one_sheet_here_or_elsewhere(
    run: Run, home: Path, address: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.png", tmp_path / "there.png"
    assert run("generate", "small", "--n", 12, "--seed", 3, "--out", here)[:2] == (0, f"{here}\n")
    assert run("generate", "small", "--n", 12, "--seed", 3, "--out", there, "--address", address)[0] == 0
    assert here.read_bytes() == there.read_bytes()
    with Image.open(io.BytesIO(here.read_bytes())) as image:
        assert image.size == (10 * (12 + 2) + 2, 2 * (16 + 2) + 2)
        assert np.asarray(image).std() > 10


def test_codes_are_printed_a_line_a_picture(run: Run, home: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((8, 6), 100 * number, np.uint8)).save(path)
    code, output, _ = run("encode", "small", *paths)
    rows = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [row["picture"] for row in rows] == list(map(str, paths))
    assert all(len(row["code"]) == 4 for row in rows)
    assert rows[0]["code"] != rows[1]["code"]


def test_mistakes_are_one_line(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "large.png")
    for arguments, told in (
        (["generate", "small", "--out", tmp_path / "a.gif"], "ends in .png"),
        (["generate", "small", "--out", tmp_path / "none/a.png"], "there is no folder"),
        (["generate", "cats", "--out", tmp_path / "a.png"], "no model 'cats'"),
        (["generate", "naive", "--out", tmp_path / "a.png"], "cannot sample"),
        (["encode", "small", tmp_path / "text.png"], "not a picture"),
        (["encode", "small", tmp_path / "missing.png"], "not a picture"),
        (["encode", "small", tmp_path / "large.png"], "picture 0 has 9x9 pixels; 6x8 is allowed"),
    ):
        code, output, errors = run(*arguments)
        assert (code, output) == (2, "")
        assert told in errors
        assert errors.count("\n") == 1
    assert not (tmp_path / "a.png").exists()
