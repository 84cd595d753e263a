from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound import audio
from wordspot.indexer.sound.audio import Decoder, DirectDecoder
from wordspot.indexer.sound.decoder import IsolatedDecoder
from wordspot.indexer.sound.original import OriginalSound, RateChanges, gathered
from wordspot.indexer.sound.reader import Chunk

ENOUGH = 1 << 24


@pytest.fixture(scope="module", params=["direct", "isolated"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    if request.param == "direct":
        yield DirectDecoder()
        return
    with IsolatedDecoder(children=1) as isolated:
        yield isolated


def noise(seconds: float, rate: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (0.2 * rng.standard_normal((round(seconds * rate), channels))).clip(-0.9, 0.9).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 6)])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_stretch_is_what_the_file_holds(
    decoder: Decoder, tmp_path: Path, rate: int, channels: int, suffix: str
) -> None:
    path = tmp_path / f"sound{suffix}"
    soundfile.write(path, noise(30, rate, channels), rate)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    for start, stop in ((0.0, 0.5), (1.25, 2.0), (28.0, 29.5), (29.5, 40.0)):
        sound = decoder.read_original(path, start, stop, max_values=ENOUGH)
        assert sound.rate == rate
        expected = whole[round(start * rate) : round(stop * rate)]
        np.testing.assert_allclose(sound.samples, expected, atol=1e-4)


def test_a_channel_may_be_had_alone(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, noise(1, 8_000, 2), 8_000)
    whole, _ = soundfile.read(path, dtype="float32")
    sound = decoder.read_original(path, 0.25, 0.5, max_values=ENOUGH, channel=2)
    np.testing.assert_allclose(sound.samples[:, 0], whole[2_000:4_000, 1], atol=1e-4)
    with pytest.raises(InvalidInput, match="2 channels, there is no channel 3"):
        decoder.read_original(path, 0.25, 0.5, max_values=ENOUGH, channel=3)


def test_a_lossy_file_has_the_times_of_what_is_searched(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "clicks.ogg"
    samples = noise(25, 48_000, 2) * 0.01
    samples[23 * 48_000] = 0.9
    soundfile.write(path, samples, 48_000, format="OGG", subtype="VORBIS")
    sound = decoder.read_original(path, 22.5, 23.5, max_values=ENOUGH)
    searched = decoder.read_stretch(path, 22.5, 23.5, max_seconds=2.0)
    click = np.abs(sound.samples).max(axis=1).argmax() / sound.rate
    assert click == pytest.approx(0.5, abs=1e-3)
    assert click == pytest.approx(np.abs(searched).argmax() / 16_000, abs=1e-3)


def test_a_stretch_behind_the_end_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, noise(1, 8_000, 1), 8_000)
    with pytest.raises(InvalidInput, match=r"short\.wav holds no audio in the stretch"):
        decoder.read_original(path, 5.0, 6.0, max_values=ENOUGH)


def test_more_samples_than_allowed_are_refused(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    soundfile.write(path, noise(2, 8_000, 4), 8_000)
    with pytest.raises(InvalidInput, match="at most 1,000 samples, got 8,000 of 4 channels"):
        decoder.read_original(path, 0.5, 1.5, max_values=1_000)


def chunk(time: float, seconds: float = 0.1, rate: int = 1_000, value: float = 0.5) -> Chunk:
    return Chunk(time, rate, np.full((round(seconds * rate), 1), value, np.float32))


def sound_of(*chunks: Chunk, start: float = 0.0, stop: float = 1.0) -> OriginalSound:
    (sound,) = (each for each in gathered(chunks, start, stop, max_values=ENOUGH, name="a.wav") if each)
    return sound


def test_gaps_are_silent_and_jitter_is_not() -> None:
    sound = sound_of(chunk(0.0), chunk(0.11), chunk(0.19), chunk(0.6, value=0.25))
    assert len(sound.samples) == 700
    assert (sound.samples[:300] == 0.5).all()
    assert (sound.samples[300:600] == 0).all()
    assert (sound.samples[600:] == 0.25).all()


def test_a_change_within_the_stretch_alone_counts() -> None:
    changed = chunk(0.5, rate=2_000)
    with pytest.raises(RateChanges):
        sound_of(chunk(0.0, 0.5), changed)
    assert sound_of(chunk(0.0, 0.5), changed, stop=0.5).rate == 1_000
    assert sound_of(chunk(0.0, 0.5), changed, start=0.5).rate == 2_000


def test_a_sample_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no number near 0\.000 s"):
        sound_of(chunk(0.0, value=float("nan")))


def test_where_the_rate_changes_the_clip_is_what_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, 8_000, 2), 8_000)

    def changing(*arguments: object, **options: object) -> Iterator[OriginalSound | None]:
        yield None
        raise RateChanges

    monkeypatch.setattr(audio, "gathered", changing)
    sound = audio.read_original(path, 0.5, 1.0, max_values=ENOUGH)
    assert (sound.rate, sound.samples.shape) == (16_000, (8_000, 1))
