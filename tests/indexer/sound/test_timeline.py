import numpy as np
import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.reader import Chunk
from wordspot.indexer.sound.timeline import Timeline, TimestampUnwrapper

RATE = 16_000
LAST = 10**9


def chunk(time, seconds, value=0.5, rate=RATE, channels=1, damaged=False):
    return Chunk(time, rate, np.full((round(seconds * rate), channels), value, np.float32), damaged)


def heard(chunks, first=0, last=LAST):
    timeline = Timeline("it", first, last)
    return np.concatenate(list(timeline.blocks(chunks))), timeline.figures


def test_sound_that_begins_late_has_silence_before_it() -> None:
    sound, figures = heard([chunk(2.0, 1.0)])
    assert len(sound) == 48_000
    assert not sound[:32_000].any()
    assert (sound[32_000:] == 0.5).all()
    assert figures.end == 3.0


def test_a_gap_is_silence_and_is_told() -> None:
    sound, figures = heard([chunk(0.0, 1.0), chunk(3.0, 1.0)])
    assert len(sound) == 64_000
    assert not sound[16_000:48_000].any()
    assert figures.lines() == ["no sound from 1.00 to 3.00 s by its timestamps: silence in its place"]


def test_a_damaged_stretch_is_told_however_short() -> None:
    sound, figures = heard([chunk(0.0, 1.0), chunk(1.02, 1.0, damaged=True)])
    assert len(sound) == 32_320
    assert figures.lines() == ["damaged at 1.00 to 1.02 s: skipped, silence where sound is lost"]


def test_rounded_timestamps_are_no_gaps() -> None:
    times = np.arange(200) * 0.02
    jitter = np.random.default_rng(0).uniform(-0.01, 0.01, 200)
    sound, figures = heard([chunk(max(t, 0), 0.02) for t in times + jitter])
    assert len(sound) == pytest.approx(64_000, abs=160)
    assert figures.lines() == []


def test_a_single_timestamp_that_is_a_frame_late_is_no_gap() -> None:
    times = [0.032 * i + (0.035 if i == 50 else 0) for i in range(100)]
    sound, figures = heard([chunk(t, 0.032) for t in times])
    assert len(sound) == 51_200
    assert (sound[:40_000] == 0.5).all()
    assert figures.lines() == []


def test_a_small_gap_that_lasts_is_made_up_for() -> None:
    sound, _ = heard([chunk(0.032 * i + (0.05 if i >= 50 else 0), 0.032) for i in range(100)])
    assert len(sound) == pytest.approx(51_200 + 800, abs=2)


def test_an_overlap_is_heard_once() -> None:
    sound, _ = heard([chunk(0.0, 1.0), chunk(0.8, 1.0, 0.25)])
    assert len(sound) == 28_800
    assert (sound[:16_000] == 0.5).all()


def test_a_change_of_rate_and_channels_keeps_time() -> None:
    sound, figures = heard([chunk(0.0, 1.0, rate=48_000), chunk(1.0, 1.0, rate=22_050, channels=2)])
    assert len(sound) == pytest.approx(32_000, abs=1)
    assert figures.lines() == ["changes in the middle: 22050 Hz, 2 channels at 1.00 s"]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_stretch_is_the_same_part_of_the_whole(rate: int) -> None:
    noise = np.random.default_rng(0).standard_normal((4 * rate, 1)).astype(np.float32) / 9
    chunks = [Chunk(i / 2, rate, noise[i * rate // 2 : (i + 1) * rate // 2]) for i in range(8)]
    whole, _ = heard(chunks)
    part, _ = heard(chunks[2:], 32_000, 48_000)
    np.testing.assert_allclose(part, whole[32_000:48_000], atol=1e-6)


def test_reading_stops_where_nothing_more_is_wanted() -> None:
    taken = []

    def endless():
        for i in range(1_000):
            taken.append(i)
            yield chunk(float(i), 1.0)

    sound, _ = heard(endless(), 0, 32_000)
    assert len(sound) == 32_000
    assert len(taken) < 10


def test_what_is_no_number_is_named_with_its_time() -> None:
    bad = chunk(1.0, 1.0)
    bad.samples[8_000] = np.nan
    with pytest.raises(InvalidInput, match=r"it has the sample nan at 1\.500 s"):
        heard([chunk(0.0, 1.0), bad])


def test_timestamps_that_begin_anew_go_on() -> None:
    unwrapper = TimestampUnwrapper(60.0)
    times = [unwrapper.presentation(time, 1.0) for time in (0.0, 1.0, 2.0, 0.0, 1.0, 1_000.0)]
    assert times == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(unwrapper.jumps) == 2


def test_a_gap_is_no_new_beginning() -> None:
    unwrapper = TimestampUnwrapper(60.0)
    assert [unwrapper.presentation(time, 1.0) for time in (0.0, 1.0, 31.0)] == [0.0, 1.0, 31.0]


def test_timestamps_that_stand_still_do_not_end_the_sound() -> None:
    unwrapper = TimestampUnwrapper(60.0)
    times = [unwrapper.presentation(0.0, 0.02) for _ in range(100)]
    assert times[-1] > 1.5
