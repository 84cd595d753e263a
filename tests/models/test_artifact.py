from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from wordspot.models import artifact, registry
from wordspot.models.artifact import ArtifactCard, TrainingRecord
from wordspot.models.encoders import load_encoder
from wordspot.models.encoders.sequence_autoencoder import SequenceAutoencoder, SequenceAutoencoderConfig
from wordspot.models.errors import DamagedArtifact, UnknownModel

CARD = TrainingRecord("small")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SequenceAutoencoderConfig(hidden=8))
    artifact.save(model, CARD, tmp_path / "models" / "small")
    return tmp_path / "models" / "small"


def test_what_is_saved_comes_back_bit_identical(folder: Path) -> None:
    card = artifact.read_card(folder)
    model = artifact.restore(SequenceAutoencoder, folder, card)
    torch.manual_seed(0)
    for name, tensor in SequenceAutoencoder(SequenceAutoencoderConfig(hidden=8)).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert card.config == {"hidden": 8, "layers": 1}


def test_a_changed_byte_in_the_weights_is_noticed(folder: Path) -> None:
    content = bytearray((folder / artifact.WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / artifact.WEIGHTS).write_bytes(content)
    with pytest.raises(DamagedArtifact, match="SHA-256"):
        artifact.read_weights(folder, artifact.read_card(folder))


def test_the_hash_covers_weights_and_config(folder: Path) -> None:
    card = artifact.read_card(folder)
    changed = ArtifactCard(**{**vars(card), "config": {"hidden": 9, "layers": 1}})
    other = ArtifactCard(**{**vars(card), "weights_sha256": "0" * 64})
    renamed = ArtifactCard(**{**vars(card), "name": "else", "description": "else"})
    assert len({card.hash, changed.hash, other.hash}) == 3
    assert renamed.hash == card.hash


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": 1, "surplus": 2}'])
def test_an_unreadable_card_is_named(folder: Path, content: str) -> None:
    (folder / artifact.CARD).write_text(content)
    with pytest.raises(DamagedArtifact, match=r"card\.json: not a readable card"):
        artifact.read_card(folder)


def test_a_card_asking_for_an_unknown_class_is_refused(folder: Path) -> None:
    content = json.loads((folder / artifact.CARD).read_text())
    (folder / artifact.CARD).write_text(json.dumps({**content, "model": "os.system"}))
    with pytest.raises(UnknownModel, match=r"os\.system"):
        load_encoder(str(folder))


def test_weights_that_do_not_fit_the_config_are_refused(folder: Path) -> None:
    content = json.loads((folder / artifact.CARD).read_text())
    (folder / artifact.CARD).write_text(json.dumps({**content, "config": {"hidden": 16}}))
    with pytest.raises(DamagedArtifact, match="do not fit"):
        load_encoder(str(folder))


def test_an_unknown_name_lists_what_there_is(folder: Path) -> None:
    with pytest.raises(UnknownModel, match="naive"):
        load_encoder("nonsense")
    assert "small" in registry.available(folder.parent.parent)
    assert load_encoder("small", folder.parent.parent).dimension == 8


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    model = SequenceAutoencoder(SequenceAutoencoderConfig(hidden=32))
    artifact.save(model, CARD, tmp_path / "full")
    artifact.save(model, CARD, tmp_path / "half", half=True)
    full, half = ((tmp_path / kind / artifact.WEIGHTS).stat().st_size for kind in ("full", "half"))
    assert half < 0.6 * full
    restored = artifact.restore(SequenceAutoencoder, tmp_path / "half", artifact.read_card(tmp_path / "half"))
    assert restored.encoder.weight_hh_l0.dtype == torch.float32


def test_large_matrices_stored_in_bytes_come_back_within_half_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SequenceAutoencoder(SequenceAutoencoderConfig(hidden=64))
    card = TrainingRecord("bytes")
    for kind, int8 in (("half", False), ("bytes", True)):
        artifact.save(model, card, tmp_path / kind, half=True, int8=int8)
    half, small = ((tmp_path / kind / artifact.WEIGHTS).stat().st_size for kind in ("half", "bytes"))
    assert small < 0.75 * half
    stored = artifact.read_weights(tmp_path / "bytes", artifact.read_card(tmp_path / "bytes"))
    own = model.state_dict()
    assert stored.keys() == own.keys()
    for name, tensor in own.items():
        step = tensor.abs().amax(dim=-1, keepdim=True) / 127 if tensor.numel() >= 10_000 else 1e-3
        assert bool(((stored[name] - tensor).abs() <= 0.51 * step + 1e-6).all()), name


LARGEST = 6e6
LARGEST_OF_SEARCH = 16e6
ALL = 96e6


def test_what_ships_is_small_whole_and_has_its_licence_beside_it() -> None:
    sizes = {}
    for name, folder in registry.folders().items():
        card = artifact.read_card(folder)
        expected = {"card.json", "model.safetensors", "LICENSE.md"} | ({"model.onnx"} if card.onnx else set())
        assert {path.name for path in folder.iterdir()} == expected, name
        assert card.name == name
        assert card.licence, name
        assert card.supervision, name
        artifact.read_weights(folder, card)
        files = {artifact.WEIGHTS, artifact.ONNX} & expected
        sizes |= {(name, file): (folder / file).stat().st_size for file in files}
    search = [size for (name, _), size in sizes.items() if name == "wordspot"]
    assert max(search) <= LARGEST_OF_SEARCH
    assert max(size for (name, _), size in sizes.items() if name != "wordspot") <= LARGEST
    assert sum(sizes.values()) <= ALL
