"""The same code on a CUDA device gives what the CPU gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.models import recipe, registry
from wordspot.models.encoders import load_encoder

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", ["naive", "sa", "dsa"])
def test_vectors_on_the_device_equal_those_of_the_cpu(name: str, vowels: np.ndarray) -> None:
    assert name in registry.available()
    spans = np.array([[0, 0, 150], [0, 0, 40], [1, 7, 60]], dtype=np.int32)
    section = ([vowels, vowels[4_000:20_000]], spans)
    ((expected, _),) = load_encoder(name).embed_sections([section])
    ((vectors, _),) = load_encoder(name, device="cuda").embed_sections([section])
    assert (expected * vectors).sum(axis=1).min() > 0.999


def test_training_on_the_device_writes_an_artifact(folder: Path, tmp_path: Path) -> None:
    card = recipe.find("dsa").of_own(folder).train(tmp_path, tmp_path / "mine", steps=3, device="cuda")
    assert load_encoder(str(tmp_path / "mine")).hash == card.hash
