from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.services.small_models import put_all
from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.conditional.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig
from wordspot.models.vocabulary import Vocabulary
from wordspot.services import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_all(tmp_path / "home")
    config = SequenceToSequenceConfig(
        words=9, letters=40, dimension=6, reader=5, hidden=8, longest=4, last=True
    )
    model = SequenceToSequence(config)
    model.writer.set_vocabulary(
        Vocabulary(("you", "me", "here", "there", "¶"), "en"), [0, 0, 0, 0, 9, 9, 9, 9, 0]
    )
    artifact.save(model, TrainingRecord("chat"), tmp_path / "home/models/chat")
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORDSPOT_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((5, 6, 3), np.uint8)
    picture[:, 3:] = 250
    Image.fromarray(picture).save("half.png")
    Image.fromarray(255 - picture).save("other.png")
    for number, level in enumerate((250, 250, 0, 0)):
        Image.fromarray(np.full((5, 6, 3), level, np.uint8)).save(f"frame{number}.png")
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["wordspot", *map(str, arguments)])
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    return call


def test_each_picture_is_a_line_and_a_clip_is_one(run: Run) -> None:
    asked = ("describe", "half.png", "other.png", "--model", "teller")
    assert run(*asked) == (0, "dark bright\nbright dark\n", "")
    frames = [f"frame{number}.png" for number in range(4)]
    assert run("describe", *frames, "--model", "witness") == (0, "bright dark\n", "")


def test_json_tells_where_it_looked(run: Run) -> None:
    code, output, _ = run("describe", "half.png", "--model", "teller", "--json")
    told = json.loads(output)
    assert (code, told["shown"], told["text"]) == (0, "half.png", "dark bright")
    assert [piece["text"] for piece in told["pieces"]] == ["dark", " bright"]
    assert told["pieces"][0]["attention"] == [[0.1667, 0.1667, 0.0, 0.0]] * 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("describe nowhere.png --model teller", "nowhere.png is not a picture that can be read"),
        ("describe half.png --model poem", "cannot describe"),
        ("describe frame0.png frame1.png --model witness", "a clip must have 4 frames, got 2"),
        ("describe half.png --model teller --attention x.gif", "must end in .png"),
        (
            "generate chat --condition a --condition-file b",
            "--condition and --condition-file exclude each other",
        ),
        ("generate chat --condition-file nowhere.txt", "--condition-file nowhere.txt"),
        ("generate chat", "condition must be a text to answer"),
        ("chat sprites", "the condition 'hello'; low or high is allowed"),
    ],
)
def test_mistakes_are_told_in_a_line(run: Run, arguments: str, told: str) -> None:
    code, output, errors = run(*arguments.split(), typed="hello\n")
    assert (code, output) == (2, "")
    assert told in errors
    assert errors.count("\n") == 1


def test_a_conversation_goes_on_until_the_input_ends(run: Run) -> None:
    code, output, errors = run("chat", typed="you there\nme\n\nnot read\n")
    answers = output.splitlines()
    assert (code, len(answers), errors) == (0, 2, "")
    whole = "you there\n" + answers[0] + "\nme"
    again = run("generate", "chat", "--condition", whole)
    assert again == (0, f"{answers[1]}\n", "")


def test_a_text_comes_from_a_file_or_the_input_and_streams(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("you there\nme", encoding="utf-8")
    whole = run("generate", "chat", "--condition", "you there\nme")
    assert whole[0] == 0
    assert run("generate", "chat", "--condition-file", "text.txt") == whole
    assert run("generate", "chat", "--condition-file", "-", typed="you there\nme") == whole
    assert run("generate", "chat", "--condition-file", "text.txt", "--series") == whole
