from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from wordspot.models import audio
from wordspot.models.encoders import transformer, whisper_weights
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.errors import MissingWeights
from wordspot.models.runtime import pieces as cuts
from wordspot.models.runtime.pieces import EDGE_TICKS, PIECE_TICKS, pieces_of

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
SMALL = TransformerConfig(
    states=32, layers=2, heads=2, feed_forward=48, whitened=24, hidden=16, frame_dimension=16, dimension=20
)


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


@torch.inference_mode()
def heard(model: Transformer, *regions: torch.Tensor) -> list[torch.Tensor]:
    lengths = torch.tensor([len(region) for region in regions])
    frames = model.frames(torch.nn.utils.rnn.pad_sequence(list(regions), batch_first=True), lengths)
    return [rows[: -(-len(region) // 2)] for rows, region in zip(frames, regions, strict=True)]


def test_padding_under_a_mask_changes_nothing(model: Transformer) -> None:
    features = torch.randn(2, 80, 120)
    inside = torch.ones(2, 120, dtype=torch.bool)
    inside[1, 90:] = False
    with torch.inference_mode():
        both = model(features, inside)
        long, short = model(features[:1]), model(features[1:, :, :90])
    torch.testing.assert_close(both[:1], long, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both[1:, :45], short, atol=1e-5, rtol=1e-5)


def test_pieces_in_batches_as_on_a_gpu_are_heard_as_if_alone(
    model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = [torch.randn(size, 80) for size in (700, 51, 333)]
    alone = heard(model, *regions)
    monkeypatch.setattr(transformer, "TICKS_AT_ONCE", 900)
    padded = torch.nn.utils.rnn.pad_sequence(regions, batch_first=True)
    lengths = torch.tensor([700, 51, 333])
    pieces = [piece for row, size in enumerate(lengths.tolist()) for piece in pieces_of(row, size)]
    out = torch.zeros(3, 350, SMALL.frame_dimension)
    batches = transformer._batches(pieces)
    assert any(len(batch) > 1 for batch in batches)
    with torch.inference_mode():
        for batch in batches:
            model._encode_pieces(padded, lengths, batch, out)
    for rows, one in zip(out, alone, strict=True):
        torch.testing.assert_close(rows[: len(one)], one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ticks", [1, 2, PIECE_TICKS, PIECE_TICKS + 1, 2_999, 3_000])
def test_pieces_cover_a_region_without_gaps(ticks: int) -> None:
    pieces = pieces_of(0, ticks)
    assert pieces[0].inner_first == pieces[0].first == 0
    assert pieces[-1].inner_last == pieces[-1].last == ticks
    for piece, following in itertools.pairwise(pieces):
        assert piece.inner_last == following.inner_first
        assert piece.inner_last % 2 == piece.first % 2 == 0
        assert following.first < piece.inner_last < piece.last
    assert max(piece.window for piece in pieces) <= PIECE_TICKS + 2 * EDGE_TICKS + 2


def test_a_region_in_pieces_sounds_as_in_one(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions alone: attention hears as far as its window reaches."""
    for block in model.blocks:
        block.attention.output.weight.data.zero_()  # type: ignore[union-attr, operator]
    model.positions.zero_()
    region = torch.randn(800, 80)
    (pieces,) = heard(model, region)
    monkeypatch.setattr(cuts, "PIECE_TICKS", 900)
    monkeypatch.setattr(transformer, "MAX_FRAMES", 900)
    (whole,) = heard(model, region)
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-4)


def test_it_starts_with_the_states_of_whisper(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra `whisper`")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # a test downloads nothing
    try:
        tensors = whisper_weights.encoder("tiny.en")
    except MissingWeights as missing:
        pytest.skip(str(missing))
    known = whisper_weights.named("tiny.en")
    model = Transformer(TransformerConfig(states=known.states, feed_forward=4 * known.states)).eval()
    model.start_from({name: torch.from_numpy(values) for name, values in tensors.items()})
    reference = Whisper(WhisperConfig(weights="tiny.en", states=known.states)).eval()
    wave = torch.from_numpy(audio.load(SPEECH, 0.7, 3.0))
    (region,) = model.normalise([model.features(wave)])
    with torch.inference_mode():
        own = model.states(torch.nn.functional.pad(region, (0, 0, 0, 40), value=float(region.min())).T[None])
        (theirs,) = reference.states(region[None], torch.tensor([len(region)]))
    cosine = (normalize(own[0, : len(theirs)], dim=1) * normalize(theirs, dim=1)).sum(dim=1)
    assert float(cosine.mean()) > 0.99  # CTranslate2 computes in int8


def test_position_encodings_are_sines_and_cosines_of_falling_rates() -> None:
    encodings = transformer.sinusoids(50, 8).numpy()
    rates = 10_000.0 ** (-np.arange(4) / 3)
    np.testing.assert_allclose(encodings[7, :4], np.sin(7 * rates), atol=1e-5)
    np.testing.assert_allclose(encodings[7, 4:], np.cos(7 * rates), atol=1e-5)
