"""Which channels of a track are identical, silent or steady, and what one of them sounds like."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.audio import probe, read_blocks, read_stretch, survey
from wordspot.indexer.sound.decoder import IsolatedDecoder
from wordspot.indexer.sound.reader import Chunk
from wordspot.indexer.sound.survey import ChannelSurvey, HeardTrack, TrackSurvey

RATE = 16_000


def speech(seed: int, seconds: float = 25.0) -> np.ndarray:
    """Noise that rises and falls two times a second, as syllables do."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (noise * 0.1 * np.maximum(np.sin(2 * np.pi * 2 * t), 0) ** 2).astype(np.float32)


def tone(seconds: float = 25.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 997 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def surveyed(*channels: np.ndarray, cut: int = 3_001) -> TrackSurvey:
    samples = np.stack(channels, axis=1)
    counting = ChannelSurvey()
    for first in range(0, len(samples), cut):
        counting.add(Chunk(first / RATE, RATE, samples[first : first + cut]))
    return counting.result(1, 1)


def file_of(path: Path, *channels: np.ndarray) -> Path:
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="PCM_16")
    return path


def test_different_speech_stays_apart() -> None:
    assert surveyed(speech(1), speech(2)).groups == ((1,), (2,))


@pytest.mark.parametrize("gain", [1.0, -1.0, 0.8, -0.8])
def test_channels_that_differ_in_gain_or_sign_are_identical(gain: float) -> None:
    found = surveyed(speech(1), gain * speech(1))
    assert found.groups == ((1, 2),)
    assert found.lines() == ["channel 2 of 2 sounds as channel 1"]


def test_the_louder_of_identical_channels_stands_for_both() -> None:
    assert surveyed(0.05 * speech(1), speech(1)).groups == ((2, 1),)


def test_channels_that_differ_for_a_while_are_not_identical() -> None:
    one, other = speech(1), speech(1)
    other[12 * RATE : 13 * RATE] = speech(2)[:RATE]
    assert surveyed(one, other).groups == ((1,), (2,))


def test_silent_and_steady_channels_are_told() -> None:
    found = surveyed(tone(), speech(1), 1e-4 * speech(2))
    assert found == TrackSurvey(1, 1, 3, ((2,),), silent=(3,), steady=(1,))
    assert found.lines() == ["channel 3 of 3: silent", "channel 1 of 3: a steady signal, not searched"]


def test_a_steady_signal_without_speech_beside_it_stays() -> None:
    assert surveyed(tone(), tone()).groups == ((1, 2),)


def test_silence_is_one_stream() -> None:
    silence = np.zeros(12 * RATE, np.float32)
    found = surveyed(silence, silence)
    assert len(found.groups) == 1
    assert found.lines() == []


def test_a_stretch_of_one_channel_says_nothing_of_the_others() -> None:
    counting = ChannelSurvey()
    counting.add(Chunk(0.0, RATE, speech(3)[:, np.newaxis]))
    counting.add(Chunk(25.0, RATE, np.stack([speech(1), speech(2)], axis=1)))
    assert counting.result(1, 1).groups == ((1,), (2,))


@pytest.mark.parametrize("channel", [1, 2])
def test_a_channel_is_read_as_it_is_in_the_whole_and_in_stretches(tmp_path: Path, channel: int) -> None:
    sides = speech(1), speech(2)
    path = file_of(tmp_path / "two.wav", *sides)
    heard: list[HeardTrack] = []
    whole = np.concatenate(list(read_blocks(path, max_seconds=60.0, channel=channel, heard=heard)))
    np.testing.assert_allclose(whole, sides[channel - 1], atol=1e-4)
    stretch = read_stretch(path, 11.3, 13.7, max_seconds=5.0, channel=channel)
    np.testing.assert_allclose(stretch, whole[round(11.3 * RATE) : round(13.7 * RATE)], atol=1e-6)
    assert heard == [HeardTrack(1, 1, 2, (channel,))]


def test_the_mix_says_on_which_channels_something_is_heard(tmp_path: Path) -> None:
    path = file_of(tmp_path / "right.wav", tone(), speech(1), np.zeros(25 * RATE, np.float32))
    heard: list[HeardTrack] = []
    list(read_blocks(path, max_seconds=60.0, heard=heard))
    assert heard == [HeardTrack(1, 1, 3, (2,))]


def test_a_channel_or_track_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "two.wav", speech(1), speech(2))
    with pytest.raises(InvalidInput, match=r"two\.wav has 2 channels, there is no channel 3$"):
        list(read_blocks(path, max_seconds=60.0, channel=3))
    for call in (probe, lambda file, track: survey(file, max_seconds=60.0, track=track)):
        with pytest.raises(InvalidInput, match=r"two\.wav has 1 audio track, there is no track 2$"):
            call(path, track=2)


def test_a_survey_of_what_is_too_long_or_no_sound_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "two.wav", speech(1), speech(2))
    with pytest.raises(InvalidInput, match=r"longer than the 20 s allowed"):
        survey(path, max_seconds=20.0)
    (tmp_path / "none.wav").write_bytes(b"none of it is sound")
    with pytest.raises(InvalidInput, match=r"none\.wav"):
        survey(tmp_path / "none.wav", max_seconds=20.0)


def test_a_child_process_surveys_and_reads_as_this_one_does(tmp_path: Path) -> None:
    path = file_of(tmp_path / "two.wav", speech(1), speech(2))
    with IsolatedDecoder(1) as decoder:
        assert decoder.survey(path, max_seconds=60.0) == survey(path, max_seconds=60.0)
        assert decoder.probe(path, track=1) == probe(path)
        ours: list[HeardTrack] = []
        theirs: list[HeardTrack] = []
        read = list(decoder.read_blocks(path, max_seconds=60.0, channel=2, heard=theirs))
        expected = list(read_blocks(path, max_seconds=60.0, channel=2, heard=ours))
        np.testing.assert_array_equal(np.concatenate(read), np.concatenate(expected))
        assert theirs == ours
        stretch = decoder.read_stretch(path, 3.0, 4.0, max_seconds=2.0, channel=2)
        np.testing.assert_array_equal(stretch, read_stretch(path, 3.0, 4.0, max_seconds=2.0, channel=2))
        sound = decoder.decode_bytes(path.read_bytes(), max_seconds=60.0, channel=2)
        np.testing.assert_array_equal(sound, np.concatenate(expected))
