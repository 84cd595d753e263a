"""What every encoder of spans promises, held against all that ship and one fresh of each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.models import audio, registry
from wordspot.models.encoders import Encoder, load_encoder
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.correspondence import Correspondence
from wordspot.models.encoders.filterbank import Filterbank, FilterbankConfig
from wordspot.models.encoders.naive import Naive, NaiveConfig
from wordspot.models.encoders.sequence_autoencoder import (
    DenoisingSequenceAutoencoder,
    SequenceAutoencoder,
    SequenceAutoencoderConfig,
)
from wordspot.models.encoders.spans import SpanEncoder, SpanModel
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.errors import BadInput

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
SMALL = ConvolutionalConfig(width=24, dilations=(1, 2), frame_dimension=16, dimension=20, parts=2)
FRESH: dict[str, tuple[type[SpanModel[Any]], Any]] = {
    "fresh naive": (Naive, NaiveConfig(parts=4)),
    "fresh sa": (SequenceAutoencoder, SequenceAutoencoderConfig(hidden=24, layers=2)),
    "fresh dsa": (DenoisingSequenceAutoencoder, SequenceAutoencoderConfig(hidden=16)),
    "fresh contrastive": (Contrastive, SMALL),
    "fresh correspondence": (Correspondence, SMALL),
    "fresh filterbank": (Filterbank, FilterbankConfig(parts=4, cepstra=8)),
    "fresh transformer": (
        Transformer,
        TransformerConfig(
            states=32,
            layers=2,
            heads=2,
            feed_forward=48,
            whitened=24,
            hidden=16,
            frame_dimension=16,
            dimension=20,
            parts=2,
        ),
    ),
}
SPANS = np.array([[0, 0, 20], [1, 5, 80], [0, 0, 35], [1, 5, 33], [1, 10, 11], [0, 15, 50]], dtype=np.int32)

# Whisper attends to all that it hears together, and its weights are elsewhere: test_whisper.py is about it.
SHIPPED = [
    name
    for name, card in registry.available().items()
    if "embed" in card.capabilities and card.model != "whisper"
]


@pytest.fixture(params=[*FRESH, *SHIPPED])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param in FRESH:
        torch.manual_seed(3)
        model_type, config = FRESH[request.param]
        return SpanEncoder(model_type(config), request.param, "0" * 64, "", "cpu")
    return load_encoder(request.param)


@pytest.fixture
def section(vowels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    return [vowels[:8_000], vowels[8_000:21_000]], SPANS


def test_vectors_are_unit_rows_and_frames_cover_the_regions(encoder: Encoder, section: Any) -> None:
    ((vectors, frames),) = encoder.embed_sections([section])
    assert vectors.shape == (len(SPANS), encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    ticks = [50, 82]
    assert [f.shape for f in frames] == [
        (-(-t // encoder.ticks_per_frame), encoder.frame_dimension) for t in ticks
    ]


def test_company_in_a_batch_changes_nothing(encoder: Encoder, section: Any, vowels: np.ndarray) -> None:
    other = ([vowels[::-1].copy(), vowels], np.array([[0, 0, 150], [1, 3, 40]], dtype=np.int32))
    ((alone, frames_alone),) = encoder.embed_sections([section])
    together = encoder.embed_sections([other, section, ([], np.zeros((0, 3), np.int32))])
    np.testing.assert_allclose(together[1][0], alone, atol=2e-5)
    for first, second in zip(together[1][1], frames_alone, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert together[2][0].shape == (0, encoder.dimension)


def test_the_order_of_spans_is_kept(encoder: Encoder, section: Any) -> None:
    waves, spans = section
    order = np.array([4, 2, 0, 5, 1, 3])
    ((vectors, _),) = encoder.embed_sections([section])
    ((shuffled, _),) = encoder.embed_sections([(waves, spans[order])])
    np.testing.assert_allclose(shuffled, vectors[order], atol=2e-5)


@pytest.fixture(params=[*FRESH, *SHIPPED])
def model(request: pytest.FixtureRequest) -> SpanModel[Any]:
    if request.param in FRESH:
        torch.manual_seed(3)
        model_type, config = FRESH[request.param]
        return model_type(config).eval()
    return registry.load(request.param)[0]  # type: ignore[return-value]


def test_padding_beyond_a_regions_length_changes_nothing(model: SpanModel[Any], vowels: np.ndarray) -> None:
    (features,) = model.normalise([model.features(torch.from_numpy(vowels[:8_000]))])
    spans = torch.tensor([[0, 0, 50], [0, 11, 50], [0, 30, 45]])
    padded = torch.cat([features, torch.full((25, features.shape[1]), 7.0)])
    with torch.inference_mode():
        bare = model.embed(features[None], torch.tensor([50]), spans)
        same = model.embed(padded[None], torch.tensor([50]), spans)
    torch.testing.assert_close(bare, same, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("row", [[2, 0, 5], [-1, 0, 5], [0, 5, 5], [0, 8, 3], [0, 0, 51], [1, -1, 4]])
def test_a_span_outside_its_region_is_refused(encoder: Encoder, section: Any, row: list[int]) -> None:
    with pytest.raises(BadInput, match="span"):
        encoder.embed_sections([(section[0], np.array([row], dtype=np.int32))])


def test_a_loud_and_a_quiet_take_get_the_same_vector(encoder: Encoder) -> None:
    wave = audio.load(SPEECH, 0.5, 3.0)
    spans = np.array([[0, 20, 60], [0, 50, 120], [0, 100, 180], [0, 150, 260]], np.int32)
    ((loud, _), (quiet, _)) = encoder.embed_sections([([wave], spans), ([0.25 * wave], spans)])
    assert (loud * quiet).sum(axis=1).min() > 0.97


def test_every_shipped_encoder_loads_under_the_hash_of_its_card() -> None:
    cards = registry.available()
    assert {"naive", "sa", "dsa"} <= {*SHIPPED}
    for name in SHIPPED:
        assert load_encoder(name).hash == cards[name].hash


def test_regions_of_many_lengths_are_embedded_as_if_alone(
    encoder: Encoder, vowels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = [(0, 9_000), (500, 30_000), (2_000, 4_000), (100, 25_000), (7_000, 9_500)]
    waves = [vowels[start:stop] for start, stop in cuts]
    spans = np.array([[3, 10, 90], [0, 0, 50], [2, 1, 12], [1, 4, 150], [3, 0, 20]], dtype=np.int32)
    ((whole, frames),) = encoder.embed_sections([(waves, spans)])
    monkeypatch.setattr("wordspot.models.runtime.sections.PADDED_TICKS", 60)
    ((bucketed, frames_bucketed),) = encoder.embed_sections([(waves, spans)])
    np.testing.assert_allclose(bucketed, whole, atol=2e-5)
    for first, second in zip(frames, frames_bucketed, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
