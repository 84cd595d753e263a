from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.models import artifact
from wordspot.models.encoders import load_encoder
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.models.train import train


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
    with pytest.raises(UnknownModel, match="'naive'; sa or dsa"):
        train("naive", folder, tmp_path)


def test_resuming_what_never_began_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint"):
        train("sa", folder, tmp_path / "new", steps=2, resume=True)
