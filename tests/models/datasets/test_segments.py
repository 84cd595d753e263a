from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch

from wordspot.models.datasets.segments import SegmentData
from wordspot.models.errors import BadInput


def test_batches_depend_on_seed_and_step_alone(folder: Path) -> None:
    first, again = SegmentData(folder, 4), SegmentData(folder, 4)
    again.batch(0)
    one, two = first.batch(7), again.batch(7)
    assert torch.equal(one.clean, two.clean)
    assert torch.equal(one.noisy, two.noisy)
    assert not torch.equal(one.clean[:, :5], first.batch(8).clean[:, :5])
    assert not torch.equal(one.clean[:, :5], SegmentData(folder, 5).batch(7).clean[:, :5])


def test_segments_are_a_fifth_to_one_and_a_half_seconds_long(folder: Path) -> None:
    data = SegmentData(folder, 0)
    lengths = torch.cat([data.batch(step).lengths for step in range(12)])
    assert int(lengths.min()) >= 8
    assert int(lengths.max()) <= 87
    assert len(set(lengths.tolist())) > 20


def test_noisy_differs_from_clean_and_both_are_padded_with_zeros(folder: Path) -> None:
    batch = SegmentData(folder, 0).batch(3)
    assert batch.clean.shape == batch.noisy.shape
    assert not torch.equal(batch.clean, batch.noisy)
    for row, length in enumerate(batch.lengths.tolist()):
        assert batch.clean[row, length:].abs().sum() == 0


def test_validation_and_training_share_no_file(folder: Path) -> None:
    data = SegmentData(folder, 0)
    training = {excerpt.path for excerpt in data._training}
    held_back = {excerpt.path for excerpt in data._validation}
    assert held_back
    assert not training & held_back
    assert len(training | held_back) == 32


def test_too_little_audio_is_refused_with_the_amount(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", [0.0] * 16_000, 16_000)
    with pytest.raises(BadInput, match=r"1\.0 s of audio; at least 10 s"):
        SegmentData(tmp_path, 0)
