from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from wordspot.indexer.errors import InvalidInput
from wordspot.models import encoders, recipe, registry
from wordspot.models.errors import BadInput, MissingWeights
from wordspot.services import cli
from wordspot.services.commands.train import train


def test_weights_are_chosen_for_whisper_only_and_among_the_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--weights base goes with whisper, not with phonetic"):
        train("phonetic", weights="base", out=tmp_path)
    with pytest.raises(
        MissingWeights, match=r"no Whisper weights 'huge' are known; there are base, tiny\.en"
    ):
        train("whisper", weights="huge", out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_every_encoder_of_speech_has_a_recipe() -> None:
    recipe.load_recipes()
    learned = {"sa", "dsa", "filterbank", "contrastive", "correspondence", "whisper", "wordspot", "phonetic"}
    assert learned | {"whisper-tiny.en", "semantic"} <= set(recipe.RECIPES)


@pytest.mark.parametrize("name", ["wordspot", "whisper", "poem", "semantic"])
def test_what_learns_from_no_folder_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"{name} learns from .*--data .*nowhere is not allowed"):
        recipe.find(name).of_own(tmp_path / "nowhere")


ENCODER = '''
from dataclasses import dataclass

import torch
from torch import Tensor

from wordspot.models import audio
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.recipe import AudioRecipe, AudioRun, TrainingResult, recipe
from wordspot.models.registry import register


@dataclass(frozen=True)
class CentredConfig:
    pass


@register("centred")
class Centred(SpanModel[CentredConfig]):
    """A span's mean MFCC, seen from the mean of all."""

    Config = CentredConfig
    dimension = audio.MFCC_SIZE

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(audio.MFCC_SIZE))

    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        return torch.stack([features[row, start:stop].mean(dim=0) for row, start, stop in spans]) - self.mean


def learn(run: AudioRun) -> TrainingResult:
    model = Centred(run.recipe.config)
    files = audio.find_audio(run.data)
    rows = [model.features(torch.from_numpy(audio.load(file.path))).mean(dim=0) for file in files]
    model.mean.copy_(torch.stack(rows).mean(dim=0))
    return TrainingResult(model, {"files": len(files)}, {}, ())


recipe(AudioRecipe("centred", "centred", CentredConfig(), "A mean.", "nobody", learn, steps=1))
'''


@pytest.fixture
def one_file_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more file among the encoders."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/centred.py").write_text(ENCODER)
    monkeypatch.setattr(registry, "_CLASSES", {**registry._CLASSES})
    monkeypatch.setattr(recipe, "RECIPES", {**recipe.RECIPES})
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path / "more")])
    monkeypatch.delitem(sys.modules, "wordspot.models.encoders.centred", raising=False)


@pytest.mark.usefixtures("one_file_more")
def test_an_encoder_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        soundfile.write(tmp_path / f"audio/{number}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    runner = CliRunner()
    for command in (["train"], ["models", "train"]):
        ended = runner.invoke(cli.app, [*command, "centred", "--data", str(tmp_path / "audio"), "--json"])
        assert ended.exit_code == 0, ended.output
        assert json.loads(ended.stdout)["path"] == str(tmp_path / "home/models/centred")
    listed = runner.invoke(cli.app, ["models", "list", "--json"]).stdout.splitlines()
    (shown,) = [one for one in map(json.loads, listed) if one["name"] == "centred"]
    assert shown["capabilities"] == ["embed"]
    card = registry.available(tmp_path / "home")["centred"]
    assert (card.model, card.data["files"], len(card.weights_sha256)) == ("centred", 3, 64)
    encoder = encoders.load_encoder("centred", tmp_path / "home")
    noise = 0.1 * rng.standard_normal(16_000).astype(np.float32)
    ((vectors, frames),) = encoder.embed_sections([([noise], np.array([[0, 0, 50]], np.int32))])
    assert (vectors.shape, len(frames)) == ((1, 39), 1)
