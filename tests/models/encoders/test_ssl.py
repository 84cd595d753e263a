from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchaudio.models import Wav2Vec2Model, wav2vec2_model

from wordspot.models import artifact
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.encoders.ssl import Ssl, SslConfig, pretrained
from wordspot.models.errors import BadInput, MissingWeights

CONFIG = SslConfig(states=32, whitened=24, hidden=16, frame_dimension=12, dimension=8, layer=2)
EVERY_20_MS = [(16, 10, 5), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 2, 2), (16, 2, 2)]


def tiny(name: str, layers: list[tuple[int, int, int]] | None = None) -> nn.Module:
    """HuBERT's shape with random weights, a few thousand of them."""
    torch.manual_seed(11)
    model: Wav2Vec2Model = wav2vec2_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=layers or EVERY_20_MS,
        extractor_conv_bias=False,
        encoder_embed_dim=32,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=4,
        encoder_num_layers=3,
        encoder_num_heads=4,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=64,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.1,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.05,
        aux_num_out=None,
    )
    return model


@pytest.fixture
def model(vowels: np.ndarray) -> Ssl:
    torch.manual_seed(2)
    ssl = Ssl(CONFIG, tiny).eval()
    ssl.map.measure(torch.from_numpy(ssl.states_of([vowels])[0]).float())
    return ssl


def test_frames_lie_every_20_ms_and_vectors_are_unit_rows(model: Ssl, vowels: np.ndarray) -> None:
    section = ([vowels[:8_100], vowels], np.array([[0, 0, 30], [1, 20, 95]], np.int32))
    ((vectors, frames),) = SpanEncoder(model, "ssl", "", "", "cpu").embed_sections([section])
    assert [rows.shape for rows in frames] == [(26, 12), (100, 12)]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_padding_and_neighbours_change_nothing(model: Ssl, vowels: np.ndarray) -> None:
    regions = [model.features(torch.from_numpy(vowels[:n])) for n in (8_100, 32_000)]
    padded = nn.utils.rnn.pad_sequence(regions, batch_first=True)
    padded[0, len(regions[0]) :] = 7.0
    with torch.inference_mode():
        together = model.frames(padded, torch.tensor([51, 200]))
        alone = model.frames(regions[0][None], torch.tensor([51]))
    torch.testing.assert_close(together[0, :26], alone[0], atol=1e-5, rtol=0)
    assert not together[0, 26:].any()


def test_the_states_are_those_of_the_chosen_layer(model: Ssl, vowels: np.ndarray) -> None:
    (states,) = model.states_of([vowels])
    samples = torch.nn.functional.pad(torch.from_numpy(vowels), (40, 40))
    with torch.inference_mode():
        layers, _ = tiny("").eval().extract_features(samples[None])
    np.testing.assert_allclose(states, layers[1][0].numpy(), atol=2e-3)
    assert np.abs(states - layers[2][0].numpy()).max() > 0.1


def test_a_network_on_another_grid_is_brought_to_20_ms(vowels: np.ndarray) -> None:
    every_10_ms = [*EVERY_20_MS[:-1], (16, 2, 1)]
    (states,) = Ssl(CONFIG, lambda name: tiny(name, every_10_ms)).eval().states_of([vowels])
    assert states.shape == (100, 32)


def test_the_network_is_no_part_of_the_artifact(model: Ssl, tmp_path: Path) -> None:
    card = artifact.save(model, artifact.TrainingRecord("mine"), tmp_path)
    again = artifact.restore(Ssl, tmp_path, card)
    assert set(again.state_dict()) == set(model.state_dict())
    assert all(name.startswith(("map.", "projection.")) for name in again.state_dict())


def test_weights_that_are_not_there_are_named_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(MissingWeights, match=r"WAVLM_BASE_PLUS's weights are not in .*; put .*\.pth there"):
        pretrained("WAVLM_BASE_PLUS")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights) as missing:
        pretrained("HUBERT_BASE")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / str(missing.value).split()[-2]).write_bytes(b"junk")
    with pytest.raises(MissingWeights, match="does not hold HUBERT_BASE's weights"):
        pretrained("HUBERT_BASE")


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"no self-supervised network 'HUGBERT'; there are .*HUBERT_BASE"):
        pretrained("HUGBERT")
