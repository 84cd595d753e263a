from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from wordspot.models import audio
from wordspot.models.errors import BadInput


def reference_log_mel(waveform: np.ndarray) -> np.ndarray:
    """The same definition, computed by librosa."""
    before = (audio.WINDOW_SAMPLES - audio.HOP_SAMPLES) // 2
    # librosa centres a 400-sample window in its 512-sample frame.
    margin = (audio.FFT_SIZE - audio.WINDOW_SAMPLES) // 2
    padded = np.pad(waveform, (before + margin, before + margin))
    power = librosa.feature.melspectrogram(
        y=padded, sr=16_000, n_fft=512, win_length=400, hop_length=160, center=False, n_mels=audio.MEL_BANDS,
        fmin=audio.LOWEST_HZ, fmax=audio.HIGHEST_HZ,
    )  # fmt: skip
    return librosa.power_to_db(power, ref=1.0, amin=audio.POWER_FLOOR, top_db=None).T


def test_log_mel_agrees_with_librosa(vowels: np.ndarray) -> None:
    ours = audio.log_mel(torch.from_numpy(vowels)).numpy()
    assert ours.shape == (200, audio.MEL_BANDS)
    np.testing.assert_allclose(ours, reference_log_mel(vowels), atol=5e-3)


def test_mfcc_and_differences_agree_with_librosa(vowels: np.ndarray) -> None:
    static = librosa.feature.mfcc(S=reference_log_mel(vowels).T, n_mfcc=13, norm="ortho")
    first = librosa.feature.delta(static, width=9, mode="nearest")
    second = librosa.feature.delta(first, width=9, mode="nearest")
    ours = audio.mfcc(torch.from_numpy(vowels)).numpy()
    np.testing.assert_allclose(ours, np.concatenate([static, first, second]).T, atol=2e-2)


def test_every_started_tick_gets_a_frame() -> None:
    for samples, ticks in ((1, 1), (160, 1), (161, 2), (1_600, 10)):
        assert audio.mfcc(torch.randn(samples)).shape == (ticks, audio.MFCC_SIZE)


def test_normalisation_covers_all_regions_of_a_section_together(vowels: np.ndarray) -> None:
    regions = [audio.mfcc(torch.from_numpy(part)) for part in (vowels[:8_000], 3.0 * vowels[8_000:])]
    both = torch.cat(audio.normalise(regions))
    torch.testing.assert_close(both.mean(dim=0), torch.zeros(39), atol=1e-4, rtol=0)
    torch.testing.assert_close(both.std(dim=0, correction=0), torch.ones(39), atol=1e-3, rtol=0)


def test_pooling_averages_neighbours_and_leaves_padding_out() -> None:
    features = torch.tensor([[[1.0], [3.0], [5.0], [100.0]]])
    pooled = audio.pooled(features, torch.tensor([3]))
    assert pooled[0, :3, 0].tolist() == [2.0, 4.0, 5.0]


def test_a_file_of_another_rate_and_more_channels_becomes_mono_16_khz(tmp_path: Path) -> None:
    time = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, tone], axis=1), 44_100)
    wave = audio.load(tmp_path / "a.wav", 0.25, 0.5)
    assert abs(len(wave) - 8_000) <= 1
    frequencies, power = scipy.signal.periodogram(wave, 16_000)
    assert abs(frequencies[power.argmax()] - 440) < 3


def test_a_folder_without_audio_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(BadInput, match="holds no audio"):
        audio.find_audio(tmp_path)
    with pytest.raises(BadInput, match="not a folder"):
        audio.find_audio(tmp_path / "missing")


def test_a_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF but nothing else")
    with pytest.raises(BadInput, match=r"broken\.wav: cannot be decoded"):
        audio.load(tmp_path / "broken.wav")
