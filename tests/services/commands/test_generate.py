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
from wordspot.models.encoders.word_vectors import WordVectors
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


def put_words(home: Path) -> None:
    vectors = torch.tensor([[1.0, 0, 0.1], [1, 1, 0], [0, 0, 1], [0.1, 1, 1]])
    card = ArtifactCard(name="words", model="word_vectors", config={}, weights_sha256="")
    artifact.save(WordVectors.of(["man", "woman", "king", "queen"], vectors), card, home / "models/words")


def test_words_are_encoded_compared_and_set_in_relation(run: Run, home: Path, address: str) -> None:
    put_words(home)
    for elsewhere in ((), ("--address", address)):
        code, out, err = run("encode", "words", "king", "cat", *elsewhere)
        assert code == 0
        assert [json.loads(line) for line in out.splitlines()] == [
            {"word": "king", "code": [0.0, 0.0, 1.0]},
            {"word": "cat", "code": None},
        ]
        assert "words does not know cat" in err
        assert run("neighbours", "words", "king", "--n", 1, *elsewhere)[1].split()[-2:] == ["queen", "0.705"]
        assert "queen" in run("analogy", "words", "man", "king", "woman", "--n", 1, *elsewhere)[1]
    code, _, err = run("neighbours", "words", "kin")
    assert (code, err) == (
        2,
        "wordspot: the word 'kin' is none of the 4 that are known; did you mean king?\n",
    )


def test_a_picture_is_completed_below_or_where_a_mask_says(run: Run, home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture, mask = rng.integers(0, 256, (8, 6), np.uint8), np.full((8, 6), 255, np.uint8)
    mask[:, :2] = 0
    for name, pixels in (("picture", picture), ("mask", mask), ("small", mask[:4])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    out = tmp_path / "sheet.png"
    asked = ("complete", "small", tmp_path / "picture.png", "--n", 2, "--out", out)
    assert run(*asked)[0] == 0
    with Image.open(out) as image:
        sheet = np.asarray(image.convert("L"))
    columns = [sheet[2:18:2, 2 + 14 * n : 14 + 14 * n : 2] for n in range(4)]
    assert np.array_equal(columns[0], picture)
    assert (columns[1][4:] == 127).all()
    for shown in columns[1:]:
        assert np.array_equal(shown[:4], picture[:4])
    assert not np.array_equal(columns[2], columns[3])
    assert run(*asked, "--mask", tmp_path / "mask.png")[0] == 0
    with Image.open(out) as image:
        sheet = np.asarray(image.convert("L"))
    assert np.array_equal(sheet[2:18:2, 30:42:2][:, 2:], picture[:, 2:])
    code, _, err = run(*asked, "--mask", tmp_path / "small.png")
    assert (code, "has the size (4, 6); (8, 6), the picture's, is allowed" in err) == (2, True)
    code, _, err = run(*asked, "--mask", tmp_path / "mask.png", "--rows", 3)
    assert (code, "--mask and --rows; one of them is allowed" in err) == (2, True)


def test_models_are_loaded_and_unloaded_in_a_running_service(run: Run, address: str) -> None:
    assert "small is loaded" in run("models", "load", "small", "--address", address)[1]
    assert run("models", "unload", "small", "--address", address)[:2] == (0, "small is not loaded\n")
    code, _, err = run("models", "load", "small")
    assert (code, "no --address" in err) == (2, True)


def test_the_gallery_lists_what_it_can_draw_and_refuses_what_is_no_png(run: Run, tmp_path: Path) -> None:
    assert "spoken-words" in run("gallery")[1]
    code, _, err = run("gallery", "words", "--out", tmp_path / "words.jpg")
    assert (code, "a name that ends in .png is allowed" in err) == (2, True)
