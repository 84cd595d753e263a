from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot.indexer.errors import FailedPrecondition
from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.naive import Naive, NaiveConfig
from wordspot.models.errors import DamagedArtifact, UnknownModel
from wordspot.services.errors import Overloaded
from wordspot.services.modelhost.repository import ModelRepository, load_models
from wordspot.services.modelhost.tasks import Task
from wordspot.services.settings import ModelHostSettings

SECTION = ([np.zeros(16_000, np.float32)], np.array([[0, 0, 50]], np.int32))


def put(home: Path, name: str, parts: int = 2) -> Path:
    """An encoder with nothing to learn."""
    artifact.save(Naive(NaiveConfig(parts=parts)), TrainingRecord(name), home / "models" / name)
    return home / "models" / name / "card.json"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    put(tmp_path, "ears")
    with closing(load_models(ModelHostSettings(home=tmp_path, device="cpu"))) as models:
        yield models


def test_an_encoder_is_loaded_at_first_use_and_once_for_all_callers(
    band_encoder: Any, band_store: Any
) -> None:
    store = band_store(band_encoder("a"), band_encoder("b"))
    with closing(ModelRepository(store, ModelHostSettings())) as models, ThreadPoolExecutor(4) as pool:
        assert set(models.encoder_cards()) == {"a", "b"}
        assert store.loads == []
        assert len(set(pool.map(models.encoder, ["a"] * 8))) == 1
        assert store.loads == ["a"]


def test_auto_stands_for_the_best_encoder(offering: Callable[..., Any], band_encoder: Any) -> None:
    models = offering(band_encoder())
    assert models.encoder("auto") is models.encoder("bands")


def test_encoders_are_listed_from_their_cards(repository: ModelRepository) -> None:
    cards = repository.encoder_cards()
    assert {"ears", "naive", "phonetic", "wordspot"} <= set(cards)
    assert not any(map(repository.loaded, cards))
    assert "digits-vae" not in cards
    for name in ("ears", "phonetic", "wordspot"):
        encoder = repository.encoder(name)
        assert encoder.card == cards[name]
        for field, value in vars(cards[name].embedding).items():
            assert getattr(encoder.model, field) == value


def test_an_encoder_whose_card_is_older_than_what_it_tells_of_vectors_is_loaded_to_be_listed(
    repository: ModelRepository, tmp_path: Path
) -> None:
    path = tmp_path / "models/ears/card.json"
    content = json.loads(path.read_text())
    new = registry.card("ears", tmp_path)
    del content["embedding"]
    path.write_text(json.dumps(content))
    assert registry.card("ears", tmp_path) == replace(new, embedding=None)
    assert repository.encoder_cards()["ears"] == new
    assert repository.loaded("ears")
    repository.unload("ears")
    path.with_name("model.safetensors").write_bytes(b"")
    assert "ears" not in repository.encoder_cards()


def test_an_encoder_whose_card_cannot_be_read_is_not_offered_and_says_why(
    repository: ModelRepository, tmp_path: Path
) -> None:
    (tmp_path / "models/ears/card.json").write_text("{")
    assert "ears" not in repository.encoder_cards()
    assert "ears" not in repository.cards()
    for call in (repository.encoder, repository.load, repository.card):
        with pytest.raises(DamagedArtifact, match="not a readable card"):
            call("ears")


def test_an_unknown_encoder_is_not_looked_for_among_folders(repository: ModelRepository) -> None:
    folder = next(iter(registry.folders().values()))
    for name in (str(folder), "digits-vae"):
        with pytest.raises(UnknownModel, match=r"no encoder .*; there are .*ears"):
            repository.encoder(name)


def test_work_for_an_encoder_goes_to_the_version_that_was_asked_for(
    repository: ModelRepository, tmp_path: Path
) -> None:
    task = Task("embed", section=SECTION)
    old = repository.encoder("ears")
    assert old.call(task)[0].shape == (1, 2 * 39)
    put(tmp_path, "ears", parts=3)
    assert repository.encoder("ears") is old
    repository.load("ears")
    with pytest.raises(Overloaded, match="shut down"):
        old.call(task)
    new = repository.encoder("ears")
    assert new.card.hash != old.card.hash
    assert new.call(task)[0].shape == repository.call("ears", task)[0].shape == (1, 3 * 39)
    assert repository.statistics.of("ears", "embed").answered.count == 3


def test_an_encoder_is_placed_as_other_models_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = ModelHostSettings(
        home=tmp_path, device="auto", placements=("naive=cuda:1", "phonetic=cpu/bf16", "wordspot=cpu")
    )
    with closing(load_models(settings)) as models:
        with pytest.raises(
            FailedPrecondition, match="device must be cpu, got 'cuda:1': there is no CUDA device"
        ):
            models.encoder("naive")
        with pytest.raises(FailedPrecondition, match=r"must be placed with precision fp32.* got 'bf16'"):
            models.encoder("phonetic")
        assert models.encoder("wordspot").model.device == "cpu"
