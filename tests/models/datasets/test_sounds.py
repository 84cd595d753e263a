from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wordspot.models.datasets import sounds as sound_sources
from wordspot.models.datasets import speech
from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.sounds import FULL_SCALE, RATE, SoundData, Sounds, sounds, sounds_of, trimmed
from wordspot.models.datasets.speech import SpeechSource, Take

Build = Callable[..., Package]
SENTENCES = 9


def read_aloud(root: Path) -> Iterator[Take]:
    """Sentences at 16 kHz, each a hum of its own loudness between two silences."""
    time = np.arange(16_000) / 16_000
    for number in range(SENTENCES):
        hum = (0.1 + 0.05 * number) * np.sin(2 * np.pi * 500 * time)
        hum[:4_000] = hum[-4_000:] = 0
        yield Take(f"{number:02d}", "he", "ru", "novel", hum.astype(np.float32), 16_000)


@pytest.fixture
def novel(build: Build, packages: Path, only: Callable[..., None]) -> Path:
    """The folder of a package of sentences, which is the only source of sounds there is."""
    package = build("novel", {"usr/share/novel.txt": b""})
    only(
        SpeechSource("novel", (package,), "public domain", "trains", 0.0, read_aloud),
        sounds_of("novel", (package,), "public domain", validation=2, test=3),
    )
    return packages


def loudness(some: Sounds) -> list[float]:
    return [round(float(some.recording(index).abs().max()), 2) for index in range(len(some))]


def test_sentences_are_split_in_their_order(novel: Path, tmp_path: Path) -> None:
    train, validation, test = (
        sounds("novel", split, tmp_path, novel) for split in ("train", "validation", "test")
    )
    assert loudness(train) == pytest.approx([0.1, 0.15, 0.2, 0.25], abs=0.02)
    assert loudness(validation) == pytest.approx([0.3, 0.35], abs=0.02)
    assert loudness(test) == pytest.approx([0.4, 0.45, 0.5], abs=0.03)


def test_sentences_come_at_8_khz_without_the_silence_around_them(novel: Path, tmp_path: Path) -> None:
    one = sounds("novel", "train", tmp_path, novel).recording(0)
    assert len(one) == pytest.approx(0.6 * RATE, abs=0.03 * RATE)
    spectrum = np.abs(np.fft.rfft(one.numpy()))
    assert spectrum.argmax() * RATE / len(one) == pytest.approx(500, abs=2)


def test_sounds_are_converted_once(novel: Path, tmp_path: Path) -> None:
    sounds("novel", "train", tmp_path, novel)
    path = tmp_path / "datasets/novel-8khz/train.npz"
    made = path.stat().st_mtime_ns
    for package in novel.iterdir():
        package.unlink()
    sounds("novel", "test", tmp_path, novel)
    assert path.stat().st_mtime_ns == made


def test_an_unknown_source_or_one_too_small_is_told(novel: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no sounds 'cats-8khz'; there are novel-8khz"):
        sounds("cats", "train", tmp_path)
    some = speech.clips("novel", tmp_path, novel)
    with pytest.raises(DatasetError, match="5 clips of 'novel'; more than 5 are needed"):
        sound_sources.divided(some[:5], sounds_of("novel", (), "", validation=2, test=3))


def test_what_is_quiet_throughout_or_very_short_is_left_as_it_is() -> None:
    for samples in (np.zeros(1_000, np.int16), np.ones(30, np.int16)):
        assert len(trimmed(samples)) == len(samples)


def ramps(*lengths: int) -> Sounds:
    """Recordings whose samples say where they are: hundreds the recording, the rest the place, from 1."""
    parts = [100 * number + np.arange(1, length + 1) for number, length in enumerate(lengths, 1)]
    return Sounds(np.concatenate(parts).astype(np.int16), np.cumsum(lengths))


def test_crops_lie_within_a_recording_behind_what_was_heard_before_them() -> None:
    data = SoundData(ramps(50, 30), ramps(40), batch_size=8, crop=10, context=20, seed=0)
    for step in range(50):
        batch = data.batch(step)
        assert batch.known == 20
        for row in (batch.sounds * FULL_SCALE).round().int().tolist():
            heard = [value for value in row if value]
            assert row == [0] * (30 - len(heard)) + heard
            assert heard == list(range(heard[0], heard[0] + len(heard)))
            place = heard[0] % 100
            assert len(heard) >= 10
            assert len(heard) == 30 or place == 1


def test_beginnings_and_ends_are_asked_for_too() -> None:
    data = SoundData(ramps(50, 30), ramps(40), batch_size=50, crop=10, context=20, seed=0)
    asked = np.concatenate([data.batch(step).sounds[:, 20:].numpy().ravel() for step in range(100)])
    _, counts = np.unique((asked * FULL_SCALE).round(), return_counts=True)
    assert len(counts) == 80
    assert counts.min() > 0.4 * counts.mean()
    assert counts.max() < 1.7 * counts.mean()


def test_a_step_gives_the_same_batch_again_and_another_seed_another() -> None:
    first, again, other = (
        SoundData(ramps(50, 30), ramps(40), batch_size=8, crop=10, context=20, seed=seed).batch(7).sounds
        for seed in (0, 0, 1)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_a_recording_shorter_than_a_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="a recording of 9 samples; a crop takes 10"):
        SoundData(ramps(50, 9), ramps(40), batch_size=8, crop=10, context=20, seed=0)
