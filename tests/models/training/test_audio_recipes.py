from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot.models import artifact, recipe
from wordspot.models.artifact import ArtifactCard
from wordspot.models.encoders import load_encoder
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.models.trainer import Progress


def train(name: str, folder: Path, out: Path, licence: str = "", **asked: Any) -> ArtifactCard:
    chosen = recipe.find(name).of_own(folder)
    assert isinstance(chosen, recipe.AudioRecipe)
    return replace(chosen, licence=licence).train(out.parent, out, **asked)


def test_a_folder_of_audio_becomes_an_artifact_that_embeds(folder: Path, tmp_path: Path) -> None:
    reports: list[object] = []
    card = train("dsa", folder, tmp_path / "mine", steps=3, report=reports.append, licence="CC0-1.0")
    assert reports
    assert artifact.read_card(tmp_path / "mine") == card
    assert card.data["files"] == 32
    assert card.metrics[0].baseline is not None
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["card.json", "model.safetensors"]
    encoder = load_encoder(str(tmp_path / "mine"))
    silence_and_tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    ((vectors, _),) = encoder.embed_sections([([silence_and_tone], np.array([[0, 0, 90]], np.int32))])
    assert vectors.shape == (1, 256)


def test_only_models_with_a_recipe_can_be_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"no recipe 'naive'; there are .*contrastive, correspondence"):
        train("naive", folder, tmp_path)


def test_the_filterbank_measures_an_archive_and_embeds(folder: Path, tmp_path: Path) -> None:
    card = train("filterbank", folder, tmp_path / "mine", licence="CC0-1.0")
    assert card.data["files"] == 32
    assert card.supervision.startswith("none")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["card.json", "model.safetensors"]
    assert load_encoder(str(tmp_path / "mine")).dimension == 120


@pytest.mark.parametrize("name", ["contrastive", "correspondence"])
def test_rounds_over_an_archive_become_an_artifact(folder: Path, tmp_path: Path, name: str) -> None:
    card = train(name, folder, tmp_path / "mine", steps=6, licence="CC0-1.0")
    assert card.budget["steps_done"] == 6
    assert len(card.data["mined_pairs"]) == 2
    (metric,) = card.metrics
    assert metric.floor is not None
    assert metric.baseline is not None
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["card.json", "model.safetensors"]
    assert load_encoder(str(tmp_path / "mine")).dimension == 64


def test_a_training_cut_off_in_a_later_round_goes_the_same_way(folder: Path, tmp_path: Path) -> None:
    class CutOffError(Exception):
        pass

    def cut(progress: Progress) -> None:
        rounds.append(progress.steps)
        if len(rounds) == 2:
            raise CutOffError

    rounds: list[int] = []
    whole = train("contrastive", folder, tmp_path / "whole", steps=6)
    with pytest.raises(CutOffError):
        train("contrastive", folder, tmp_path / "cut", steps=6, report=cut)
    resumed = train("contrastive", folder, tmp_path / "cut", steps=6, resume=True)
    assert resumed.hash == whole.hash


def test_resuming_what_never_began_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint"):
        train("sa", folder, tmp_path / "new", steps=2, resume=True)
