from __future__ import annotations

import numpy as np
import pytest
import torch

from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import HELD_BACK
from wordspot.models.encoders import mining
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.mining import mine

SMALL = ConvolutionalConfig(width=24, dilations=(1, 2), frame_dimension=16, dimension=20)


@pytest.fixture
def model() -> Contrastive:
    torch.manual_seed(0)
    return Contrastive(SMALL)


def test_a_pair_never_joins_a_recording_with_itself_nor_with_one_kept_for_validation(
    model: Contrastive, corpus: Spectra
) -> None:
    pairs = mine(model, corpus, 80, 0)
    assert len(pairs) > 20
    assert (pairs.clips[:, 0] != pairs.clips[:, 1]).all()
    assert (pairs.clips % HELD_BACK != 0).all()


def test_anchors_rise_within_their_recordings(model: Contrastive, corpus: Spectra) -> None:
    pairs = mine(model, corpus, 80, 0)
    assert (np.diff(pairs.anchors, axis=2) >= 0).all()
    assert (pairs.anchors[:, :, 0] >= corpus.bounds[pairs.clips]).all()
    assert (pairs.anchors[:, :, -1] <= corpus.bounds[pairs.clips + 1]).all()
    length = pairs.anchors[:, :, -1] - pairs.anchors[:, :, 0]
    assert (length >= 20).all()


def test_same_weights_and_seed_give_the_same_pairs(model: Contrastive, corpus: Spectra) -> None:
    one, again = mine(model, corpus, 40, 3), mine(model, corpus, 40, 3)
    np.testing.assert_array_equal(one.clips, again.clips)
    np.testing.assert_array_equal(one.anchors, again.anchors)


def test_the_same_sentence_in_another_tone_is_found(model: Contrastive, corpus: Spectra) -> None:
    pairs = mine(model, corpus, 40, 0)
    sentences = pairs.clips % 3
    assert (sentences[:, 0] == sentences[:, 1]).mean() > 0.8


def test_chunks_change_nothing(model: Contrastive, corpus: Spectra, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mine(model, corpus, 40, 0)
    monkeypatch.setattr(mining, "ROWS_AT_ONCE", 37)
    np.testing.assert_array_equal(mine(model, corpus, 40, 0).clips, whole.clips)


def test_no_place_is_used_too_often() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.sort(rng.integers(0, 600, (500, 2)), axis=1) for _ in range(2))
    chosen = mining._spread(first, second, 500)
    places = np.stack([first[chosen].mean(axis=1), second[chosen].mean(axis=1)], axis=1).astype(int) // 50
    pairs = {tuple(sorted(pair)) for pair in places.tolist()}
    assert len(pairs) == len(chosen)
    assert np.bincount(places.ravel()).max() <= mining.USES_OF_A_PLACE + 1


def test_a_corpus_too_small_holds_no_pairs(model: Contrastive, corpus: Spectra) -> None:
    tiny = Spectra(corpus.spectra[: corpus.bounds[2]], corpus.bounds[:3], corpus.names[:2])
    assert len(mine(model, tiny, 10, 0)) == 0
