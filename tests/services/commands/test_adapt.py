"""The whole way on a part of the demo's sample, with a network of random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.e2e.test_without_torch import TRAINING
from tests.e2e.test_without_torch import run as without
from wordspot import Client
from wordspot.indexer.errors import AlreadyExists, InvalidInput, NotFound
from wordspot.models import adaptation, artifact, audio
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.errors import BadInput
from wordspot.services.cli import app
from wordspot.services.commands.adapt import UNCHANGED, free_name

SAMPLE = Path(__file__).parents[3] / "deploy/demo/sample"
RECORDINGS = sorted((SAMPLE / "recordings").iterdir())[:20]
SMALL = TransformerConfig(
    states=32, layers=2, heads=2, feed_forward=48, whitened=24, hidden=16, frame_dimension=16, dimension=20
)
FEW = ["--seeds", "60", "--steps", "2"]
Run = Callable[..., Any]


def whitened() -> Transformer:
    """Random weights tell sounds apart once what they yield is whitened."""
    torch.manual_seed(0)
    model = Transformer(SMALL).eval()
    states = []
    with torch.inference_mode():
        for path in RECORDINGS[:6]:
            (features,) = model.normalise([model.features(torch.from_numpy(audio.load(path)))])
            features = features[: min(len(features) // 2 * 2, 1_000)]
            states.append(model.states(features.T[None])[0])
        model.map.measure(torch.cat(states))
    return model


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the archive `words`, indexed with the encoder `small`, and `plain`, with another."""
    home = tmp_path_factory.mktemp("adapt") / "home"
    artifact.save(whitened(), TrainingRecord("small"), home / "models/small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDSPOT_DETECTOR", "energy")
        with Client(home=home) as client:
            client.index(RECORDINGS, "words", "small")
            client.index(RECORDINGS[:2], "plain", "naive")
            client.index(RECORDINGS[:2], "short", "small")
    return home


@pytest.fixture
def home(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which few clusters are enough."""
    copy = tmp_path / "home"
    shutil.copytree(indexed, copy)
    monkeypatch.setenv("WORDSPOT_HOME", str(copy))
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setattr(adaptation, "MIN_CLUSTERS", 4)
    return copy


@pytest.fixture
def run() -> Run:
    def one(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["adapt", *map(str, arguments)])

    return one


def encoder_of(archive: str, home: Path) -> str:
    with Client(home=home) as client:
        return client.archive(archive).encoder


def test_an_adapted_encoder_is_kept_beside_its_base_and_the_archive_indexed_with_it(
    home: Path, run: Run, tmp_path: Path
) -> None:
    ended = run("-a", "words", *FEW, "--force", "--json")
    assert ended.exit_code == 0, ended.exception
    figures = json.loads(ended.stdout)
    assert (figures["encoder"], figures["base"], figures["indexed"]) == ("small-words", "small", True)
    assert (figures["steps"], figures["searches"]) == (2, 60)
    assert figures["clusters"] > figures["held_out_clusters"] > 0
    assert figures["interval"][0] <= figures["interval"][1]
    card = artifact.read_card(home / "models/small-words")
    assert card.hash == figures["hash"]
    assert card.data["base"]["hash"] == artifact.read_card(home / "models/small").hash
    assert card.data["recordings"] == len(RECORDINGS)
    assert encoder_of("words", home) == "small-words"
    assert figures["trained_share"] in adaptation.TRAINED_SHARES
    assert figures["without_torch"]
    assert card.onnx is not None
    question = SAMPLE / "queries/conference.flac"
    with Client(home=home) as client:
        assert client.search(question, "words", all_hits=True)
    searching = tmp_path / "searching"
    assert without(searching, TRAINING, "search", question, "-a", "words", "--all-hits")["hits"]


def test_one_that_did_not_become_better_changes_nothing(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 0.0)
    ended = run("-a", "words", *FEW)
    assert ended.exit_code == UNCHANGED
    assert "clusters" in ended.stdout.splitlines()[0]
    assert "average precision" in ended.stdout
    assert "no better beyond doubt" in ended.stdout
    assert "--force keeps" in ended.stdout
    assert sorted(path.name for path in (home / "models").iterdir()) == ["small"]
    assert encoder_of("words", home) == "small"


def test_it_can_be_written_elsewhere_and_the_archive_left_alone(home: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    ended = run("-a", "words", *FEW, "--force", "--no-index", "--out", out)
    assert ended.exit_code == 0, ended.exception
    assert artifact.read_card(out).name == "elsewhere"
    assert encoder_of("words", home) == "small"


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ("-a nowhere", NotFound, "no archive 'nowhere'"),
        ("-a plain", BadInput, r"'naive' is a naive, which cannot be adapted; .* transformer can: .*small"),
        ("-a short", BadInput, r"stretches of the archive were found again .* at least 4 are needed"),
        ("--minutes 0", InvalidInput, "--minutes must be more than 0, got 0"),
        ("--minutes nan", InvalidInput, "--minutes must be more than 0, got nan"),
        ("--out x", InvalidInput, "--out x goes with --no-index"),
        ("-a words --name small", AlreadyExists, r"there is an encoder in .*small"),
    ],
)
def test_mistakes_are_told(home: Path, run: Run, arguments: str, error: type[Exception], told: str) -> None:
    ended = run(*arguments.split())
    assert isinstance(ended.exception, error), ended.exception
    with pytest.raises(error, match=told):
        raise ended.exception


def test_a_name_that_is_taken_gets_a_number(home: Path) -> None:
    assert free_name("small", "words", home) == "small-words"
    shutil.copytree(home / "models/small", home / "models/small-words")
    assert free_name("small", "words", home) == "small-words-2"
    assert free_name("small-words", "words", home) == "small-words-2"
    shutil.copytree(home / "models/small", home / "models/small-words-2")
    assert free_name("small-words-2", "words", home) == "small-words-3"
    assert free_name("small-words", "talks", home) == "small-words-talks"
