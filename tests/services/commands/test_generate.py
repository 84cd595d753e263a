from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from tests.services.small_models import put_all
from wordspot.models import artifact, recipe, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.word_vectors import WordVectors
from wordspot.models.generators.cycle_gan import CycleGan, CycleGanConfig
from wordspot.models.generators.pixel_rnn import PixelRnnConfig
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.models.judges import drawings
from wordspot.services import cli, wav
from wordspot.services.embedded import serving_models
from wordspot.services.settings import ModelHostSettings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    vae = Vae(VaeConfig(height=8, width=6, hidden=(16,), code=4))
    artifact.save(vae, TrainingRecord("small"), tmp_path / "home/models/small")
    put_all(tmp_path / "home")
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORDSPOT_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
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


def test_a_poem_of_a_form_is_printed_here_or_elsewhere(run: Run, address: str) -> None:
    asked = ("generate", "poem", "--form", "5x4", "--n", 10, "--seed", 7)
    code, poems, _ = run(*asked)
    assert code == 0
    lines = [poem.split("\n") for poem in poems.removesuffix("\n").split("\n\n")]
    assert [[len(line) for line in poem] for poem in lines] == [[5] * 4] * 10
    assert run(*asked, "--address", address)[1] == poems
    assert run(*asked[:-1], 8)[1] != poems
    lukewarm = run("generate", "poem", "--condition", "9x1", "--count", 3, "--temperature", 0.01)[1]
    assert lukewarm == "天天天天天天天天天\n" * 3
    series = run("generate", "poem", "--series")[1]
    assert [len(part) for part in series.split("\n")] == [1] * 20 + [0]
    assert run(*asked, "--out", "poems.txt")[:2] == (0, "poems.txt\n")
    assert Path("poems.txt").read_text() == poems


def test_sounds_come_one_after_another_and_a_series_is_one_sound(run: Run, address: str) -> None:
    asked = ("generate", "sound", "--n", 3, "--condition", "high", "--temperature", 0.5)
    assert run(*asked)[:2] == (0, "sound.wav\n")
    assert run(*asked, "--out", "there.wav", "--address", address)[0] == 0
    assert Path("sound.wav").read_bytes() == Path("there.wav").read_bytes()
    samples, rate = wav.decoded(Path("sound.wav").read_bytes())
    assert (len(samples), rate) == (3 * 400 + 2 * 2_400, 8_000)
    assert samples[:400].min() > 0.7
    assert not samples[400:2_800].any()
    assert run(*asked, "--series")[0] == 0
    samples, _ = wav.decoded(Path("sound.wav").read_bytes())
    assert len(samples) == 3 * 100
    assert samples.min() > 0.7


def test_clips_are_rows_of_frames_or_move(run: Run, address: str) -> None:
    asked = ("generate", "clips", "--n", 3, "--temperature", 0.5)
    assert run(*asked)[:2] == (0, "clips.png\n")
    assert run(*asked, "--out", "there.png", "--address", address)[0] == 0
    assert Path("clips.png").read_bytes() == Path("there.png").read_bytes()
    with Image.open("clips.png") as image:
        assert image.size == (4 * (12 + 2) + 2, 3 * (10 + 2) + 2)
    assert run(*asked, "--out", "moving.gif")[0] == 0
    with Image.open("moving.gif") as image:
        assert (image.size, getattr(image, "n_frames", 1)) == ((3 * (12 + 2) + 2, 10 + 4), 4)


def test_a_clip_goes_on_after_the_frames_that_are_seen(run: Run, address: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 6), np.uint8)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(f"{number}.png")
    asked = ("complete", "clips", "0.png", "1.png", "2.png", "--n", 2, "--seed", 1)
    shown = {}
    for seen in (None, 1, 3):
        assert run(*asked, *(() if seen is None else ("--seen", seen)), "--address", address)[0] == 0
        with Image.open("clips.png") as image:
            pixels = np.asarray(image.convert("L"))
        rows = [pixels[2 + 12 * row : 12 + 12 * row : 2, 2:].reshape(5, 4, 14) for row in range(3)]
        shown[seen] = np.array([[row[:, n, :12:2] for n in range(4)] for row in rows])
        assert np.array_equal(shown[seen][0, :3], frames)
        for answer in shown[seen][1:]:
            assert np.array_equal(answer[: seen or 2], frames[: seen or 2])
        assert not np.array_equal(shown[seen][1, 3], shown[seen][2, 3])
    assert not np.array_equal(shown[1][1, 1], frames[1])
    whole = [Image.fromarray(frame) for frame in frames]
    whole[0].save("clip.gif", save_all=True, append_images=whole[1:])
    with Image.open("clip.gif") as image:
        assert len(list(ImageSequence.Iterator(image))) == 3
    assert run("complete", "clips", "clip.gif", "--n", 2, "--seed", 1, "--out", "again.png")[0] == 0
    assert Path("again.png").stat().st_size > 100


def test_a_condition_and_a_share_of_what_is_hidden_reach_the_model(run: Run, home: Path) -> None:
    assert run("generate", "sprites", "--n", 2, "--condition", "high")[0] == 0
    with Image.open("sprites.png") as image:
        high = np.asarray(image)[2:12, 2:14]
    assert high.min() > 128
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save("black.png")
    for cover, rows in ((50, 2), (20, 4), (100, 0)):
        code, _, err = run(
            "complete", "sprites", "black.png", "--cover", cover, "--condition", "high", "--n", 1
        )
        assert (code, err) == (0, "")
        with Image.open("sprites.png") as image:
            answer = np.asarray(image)[2:12:2, 30:42:2]
        assert not answer[:rows].any()
        assert answer[rows:].min() > 128


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_cannot_be_made_is_one_line(run: Run, address: str, elsewhere: bool) -> None:
    Image.fromarray(np.zeros((5, 6), np.uint8)).save("frame.png")
    for arguments, told in (
        ("generate sound --temperature 0", "temperature must be between 0.001 and 1,000, got 0"),
        ("generate sound --temperature -1", "temperature must be between 0.001 and 1,000, got -1"),
        ("generate sound --temperature nan", "temperature must be between 0.001 and 1,000, got nan"),
        ("generate poem --temperature inf", "temperature must be between 0.001 and 1,000, got inf"),
        ("generate poem --form sonnet", "the form 'sonnet'; 5x4, 7x4"),
        (
            "generate small --temperature 1",
            "options of model 'small' for sample must be left out, got temperature",
        ),
        (
            "generate clips --condition red",
            "options of model 'clips' for sample must be temperature, got condition",
        ),
        ("generate clips --series", "--series does not go with clips"),
        ("generate sound --out sound.mp3", "--out must end in .wav, got sound.mp3"),
        ("generate clips --out clips.mp4", "--out must end in .png or .gif"),
        ("generate poem --out poem.doc", "--out must end in .txt"),
        ("complete poem frame.png", "model 'poem' cannot complete; it can generate, nll, sample"),
        (
            "complete clips frame.png --seen 2",
            "--seen must be between 1 and 1, the number of frames in the clip, got 2",
        ),
        ("complete clips frame.png --rows 2", "--rows does not go with clips, which takes --seen"),
        (
            "complete sprites frame.png --seen 2",
            "--seen does not go with sprites, which takes --mask, --rows, --cover",
        ),
        ("complete sprites frame.png --rows 2 --cover 3", "--rows and --cover exclude each other"),
        ("complete sprites frame.png frame.png", "complete takes one picture, got 2"),
        ("complete clips text.png", "text.png is not a picture"),
    ):
        code, output, errors = run(*arguments.split(), *(("--address", address) if elsewhere else ()))
        assert (code, output) == (2, ""), arguments
        assert told in errors, arguments
        assert errors.count("\n") == 1
    assert [path.name for path in Path().glob("*.*")] == ["frame.png"]


def test_mistakes_are_one_line(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "large.png")
    for arguments, told in (
        (["generate", "small", "--out", tmp_path / "a.gif"], "--out must end in .png"),
        (["generate", "small", "--out", tmp_path / "none/a.png"], "there is no folder"),
        (["generate", "cats", "--out", tmp_path / "a.png"], "no model 'cats'"),
        (["generate", "naive", "--out", tmp_path / "a.png"], "cannot sample"),
        (["encode", "small", tmp_path / "text.png"], "not a picture"),
        (["encode", "small", tmp_path / "missing.png"], "not a picture"),
        (["encode", "small", tmp_path / "large.png"], "picture 0 must have 6x8 pixels, got 9x9"),
    ):
        code, output, errors = run(*arguments)
        assert (code, output) == (2, "")
        assert told in errors
        assert errors.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def put_words(home: Path) -> None:
    vectors = torch.tensor([[1.0, 0, 0.1], [1, 1, 0], [0, 0, 1], [0.1, 1, 1]])
    artifact.save(
        WordVectors.of(["man", "woman", "king", "queen"], vectors),
        TrainingRecord("words"),
        home / "models/words",
    )


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
    assert (code, "must have the size (8, 6) of the picture, got (4, 6)" in err) == (2, True)
    code, _, err = run(*asked, "--mask", tmp_path / "mask.png", "--rows", 3)
    assert (code, "--mask and --rows exclude each other" in err) == (2, True)


def test_models_are_loaded_and_unloaded_in_a_running_service(run: Run, address: str) -> None:
    assert "small is loaded" in run("models", "load", "small", "--address", address)[1]
    assert run("models", "unload", "small", "--address", address)[:2] == (0, "small is not loaded\n")
    code, _, err = run("models", "load", "small")
    assert (code, "no --address" in err) == (2, True)


def test_models_are_listed_and_shown_here_or_elsewhere(run: Run, address: str) -> None:
    run("models", "load", "small", "--address", address)
    here, there = (
        {row["name"]: row for row in map(json.loads, run("models", "list", "--json", *where)[1].splitlines())}
        for where in ((), ("--address", address))
    )
    assert here.keys() == there.keys() >= {"small", "sound", "poem", "clips", "phonetic"}
    for name, row in here.items():
        assert {**row, "loaded": name == "small"} == {**there[name], "model": row["model"]}
    assert there["poem"]["options"] == ["condition", "temperature"]
    assert run("models", "list", "--address", address)[1] == run("models", "list")[1]
    assert run("models", "show", "poem", "--address", address)[1] == run("models", "show", "poem")[1]
    assert "no model 'cats'" in run("models", "show", "cats", "--address", address)[2]


def test_the_gallery_lists_what_it_can_draw_and_refuses_what_is_no_png(run: Run, tmp_path: Path) -> None:
    assert "spoken-words" in run("gallery")[1]
    code, _, err = run("gallery", "words", "--out", tmp_path / "words.jpg")
    assert (code, "--out must end in .png" in err) == (2, True)


def test_pictures_are_redrawn_in_the_manner_that_is_asked_for(run: Run, home: Path, address: str) -> None:
    torch.manual_seed(0)
    config = CycleGanConfig(height=8, width=8, base=4, levels=1)
    artifact.save(CycleGan(config), TrainingRecord("outlines"), home / "models/outlines")
    rng = np.random.default_rng(0)
    paths = [Path("a.png"), Path("b.png")]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    sheets = []
    for way in ("", "outline", "picture"):
        out = Path(f"sheet{way}.png")
        assert (
            run("translate", "outlines", *paths, "--condition", way, "--out", out, "--address", address)[0]
            == 0
        )
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]
    code, _, told = run("translate", "outlines", *paths, "--condition", "French")
    assert code == 2
    assert "condition must be outline or picture" in told


def test_a_model_learns_from_a_folder_of_one_s_own(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawings, "SET_SIZE", 2)
    small = PixelRnnConfig(height=8, width=8, cells=16, colours=8)
    registry.load_classes()
    usual = recipe.find("pixel_rnn")
    monkeypatch.setitem(recipe.RECIPES, usual.name, replace(usual, config=small))
    rng = np.random.default_rng(0)
    sprites = Path("sprites")
    sprites.mkdir()
    for number in range(60):
        pixels = rng.integers(0, 256, (40, 40, 4), np.uint8)
        Image.fromarray(pixels).save(sprites / f"{number}.png")
    code, output, _ = run("models", "train", "pixel_rnn", "--data", sprites, "--steps", 1, "--json")
    assert code == 0
    assert {"nats", "hidden_error_50"} <= json.loads(output)["metrics"].keys()
    card = json.loads((home / "models/sprites/card.json").read_text())
    assert card["data"]["licence"] == "the owner's"
    assert run("generate", "sprites", "--n", 1, "--out", "drawn.png")[0] == 0
