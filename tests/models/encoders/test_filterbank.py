"""The filterbank's statistics and frames, against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dct

from wordspot.models.datasets.spectra import Spectra
from wordspot.models.encoders.filterbank import Filterbank, FilterbankConfig


@pytest.fixture(scope="module")
def model(corpus: Spectra) -> Filterbank:
    measured = Filterbank(FilterbankConfig())
    measured.measure(clips(corpus))
    return measured.eval()


def clips(corpus: Spectra) -> list[torch.Tensor]:
    bounds = zip(corpus.bounds[:-1], corpus.bounds[1:], strict=True)
    return [torch.from_numpy(corpus.spectra[a:b].astype(np.float32)) for a, b in bounds]


def test_a_long_recording_has_zero_mean_and_unit_variance(model: Filterbank, corpus: Spectra) -> None:
    (rows,) = model.normalise([torch.cat(clips(corpus)[:1]).repeat(200, 1)])
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(40), atol=0.01, rtol=0)
    torch.testing.assert_close(rows.std(dim=0), torch.ones(40), atol=0.01, rtol=0)


def test_the_shorter_a_recording_the_more_the_corpus_counts(corpus: Spectra) -> None:
    (clip, *_) = clips(corpus)
    short = clip[100:130]
    distances = []
    for prior in (0.0, 30.0, 3_000.0):
        model = Filterbank(FilterbankConfig(prior_ticks=prior))
        model.measure(clips(corpus))
        (alone,) = model.normalise([short])
        distances.append(float(alone.mean(dim=0).abs().mean()))
    assert distances[0] < 1e-5 < distances[1] < distances[2]


def test_frames_are_weighted_cepstra_and_their_differences_over_40_ms(
    model: Filterbank, corpus: Spectra
) -> None:
    (features,) = model.normalise([clips(corpus)[3][:80]])
    with torch.inference_mode():
        (found,) = model.frames(features[None], torch.tensor([80]))
    pooled = features.numpy().reshape(40, 2, 40).mean(axis=1)
    cepstra = dct(pooled, norm="ortho", axis=1)[:, : model.config.cepstra]
    cepstra[:, 0] *= model.config.level
    edged = np.concatenate([cepstra[:1], cepstra, cepstra[-1:]])
    expected = np.concatenate([cepstra, model.config.difference * (edged[2:] - edged[:-2])], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_how_quiet_a_silence_is_changes_nothing(model: Filterbank, corpus: Spectra) -> None:
    clip = clips(corpus)[0]
    quiet, quieter = (torch.cat([clip, torch.full((60, 40), level)]) for level in (-100.0, -140.0))
    torch.testing.assert_close(model.normalise([quiet])[0], model.normalise([quieter])[0])
