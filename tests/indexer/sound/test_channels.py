import numpy as np
import pytest

from wordspot.indexer.sound.channels import ChannelMixer, level_and_modulation, mixing_weights

RATE = 16_000


def speech(seconds=20.0, seed=0):
    """Noise that rises and falls four times a second, as syllables do."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    return (rng.standard_normal(len(t)) * 0.1 * np.maximum(np.sin(2 * np.pi * 2 * t), 0) ** 2).astype(
        np.float32
    )


def time_code(seconds=20.0, level=0.5):
    """Biphase mark of random bits, 2,400 a second."""
    bits = np.random.default_rng(1).integers(1, 3, round(seconds * 4_800))
    signs = np.cumprod(np.where(np.diff(bits, prepend=bits[0]), -1, 1))
    return (level * np.repeat(signs, -(-RATE // 4_800))[: round(seconds * RATE)]).astype(np.float32)


def stereo(*channels):
    length = min(map(len, channels))
    return np.stack([channel[:length] for channel in channels], axis=1)


def mixed(samples, rate=RATE, index=0, cut=4_321):
    mixer = ChannelMixer(rate, samples.shape[1], index)
    blocks = [block for i in range(0, len(samples), cut) for block in mixer.push(samples[i : i + cut])]
    return np.concatenate([*blocks, *mixer.finish()]), mixer


def test_usual_channels_are_averaged() -> None:
    samples = stereo(speech(seed=1), speech(seed=2))
    out, mixer = mixed(samples)
    np.testing.assert_allclose(out, samples.mean(axis=1), atol=1e-7)
    assert not mixer.left_out.any()
    assert not mixer.inverted.any()


def test_a_silent_channel_changes_nothing() -> None:
    samples = stereo(speech(), np.zeros(20 * RATE, np.float32))
    np.testing.assert_allclose(mixed(samples)[0], samples.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_opposite_phase_does_not_cancel_speech(gain: float) -> None:
    one = speech()
    out, mixer = mixed(stereo(one, -gain * one))
    np.testing.assert_allclose(out, one * (1 + gain) / 2, atol=1e-6)
    assert mixer.inverted.tolist() == [0.0, 20.0]


@pytest.mark.parametrize("side", [0, 1])
def test_a_time_code_on_one_side_does_not_drown_speech(side: int) -> None:
    pair = [speech(), speech()]
    pair[side] = time_code()
    out, mixer = mixed(stereo(*pair))
    np.testing.assert_allclose(out, pair[1 - side][: len(out)], atol=1e-6)
    assert mixer.left_out[side] == pytest.approx(20.0, abs=0.1)


def test_a_steady_signal_alone_stays() -> None:
    samples = stereo(time_code(), time_code())
    np.testing.assert_allclose(mixed(samples)[0], samples.mean(axis=1), atol=1e-6)


def test_a_time_code_that_begins_in_the_middle_of_a_cell_is_left_out_too() -> None:
    code = time_code()
    code[: 3 * RATE] = 0
    weights = mixing_weights(stereo(speech(), code)[: 10 * RATE], RATE)
    assert weights.tolist() == [1.0, 0.0]


def test_a_quiet_steady_signal_does_not_matter() -> None:
    weights = mixing_weights(stereo(speech(), time_code(level=0.0005))[: 10 * RATE], RATE)
    assert weights.tolist() == [0.5, 0.5]


def test_where_blocks_are_cut_does_not_matter_nor_where_a_stretch_begins() -> None:
    samples = stereo(speech(30.0), time_code(30.0))
    whole, _ = mixed(samples, cut=1_000)
    np.testing.assert_array_equal(whole, mixed(samples, cut=77_777)[0])
    stretch, _ = mixed(samples[10 * RATE :], index=10 * RATE)
    np.testing.assert_allclose(stretch, whole[10 * RATE :], atol=1e-6)


def test_speech_is_modulated_and_a_tone_is_not() -> None:
    tone = np.sin(np.arange(10 * RATE) / 5).astype(np.float32)
    level, modulation = level_and_modulation(stereo(speech(10.0), tone, np.zeros_like(tone)), RATE)
    assert modulation[0] > 15
    assert modulation[1] < 1
    assert level[1] == pytest.approx(-3.0, abs=0.1)
    assert (level[2], modulation[2]) == (-100.0, 0.0)


def test_less_than_a_second_is_averaged() -> None:
    samples = stereo(speech(0.5), speech(0.5, seed=3))
    np.testing.assert_allclose(mixed(samples)[0], samples.mean(axis=1), atol=1e-7)
