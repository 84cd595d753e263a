from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from wordspot.models import audio
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.runtime import frontend

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
LENGTHS = (1, 159, 160, 161, 400, 401, 16_000, 100_000)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return audio.load(SPEECH, 0.5, 8)


@pytest.mark.parametrize("samples", LENGTHS)
def test_log_mel_is_that_of_torch(speech: np.ndarray, samples: int) -> None:
    expected = audio.log_mel(torch.from_numpy(speech[:samples])).numpy()
    ours = frontend.log_mel(speech[:samples])
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=2e-2)
    assert np.abs(ours - expected).mean() < 1e-4


@pytest.mark.parametrize("samples", LENGTHS)
def test_whispers_log_mel_is_that_of_torch(speech: np.ndarray, samples: int) -> None:
    expected = Whisper(WhisperConfig()).features(torch.from_numpy(speech[:samples])).numpy()
    ours = frontend.whisper_log_mel(speech[:samples])
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=2e-2)
    assert np.abs(ours - expected).mean() < 1e-4


def test_whispers_log_mel_is_that_of_librosa(speech: np.ndarray) -> None:
    power = librosa.feature.melspectrogram(
        y=speech, sr=16_000, n_fft=400, hop_length=160, pad_mode="reflect", n_mels=80
    )
    expected = np.log10(np.maximum(power, 1e-10)).T
    ours = frontend.whisper_log_mel(speech)
    np.testing.assert_allclose(ours, expected[: len(ours)], atol=2e-2)


@pytest.mark.parametrize(
    ("size", "bands", "low", "high"), [(512, 40, 64.0, 4_000.0), (400, 80, 0.0, 8_000.0)]
)
def test_mel_filters_are_those_of_librosa(size: int, bands: int, low: float, high: float) -> None:
    expected = librosa.filters.mel(sr=16_000, n_fft=size, n_mels=bands, fmin=low, fmax=high)
    np.testing.assert_allclose(frontend._mel_filters(size, bands, low, high), expected.T, atol=1e-7)


def test_sections_are_normalised_as_in_torch(speech: np.ndarray) -> None:
    cuts = [speech[:20_000], speech[30_000:33_000], speech[50_000:51_000]]
    phonetic, whisper = Contrastive(ConvolutionalConfig()), Whisper(WhisperConfig())
    for model, features, normalise in (
        (phonetic, frontend.log_mel, frontend.levelled),
        (whisper, frontend.whisper_log_mel, frontend.whisper_scaled),
    ):
        expected = model.normalise([model.features(torch.from_numpy(cut)) for cut in cuts])
        ours = normalise([features(cut) for cut in cuts])
        for one, other in zip(ours, expected, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other.numpy(), atol=5e-3)
