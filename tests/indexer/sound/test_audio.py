import io
import os
import struct
import sys
import wave

import av
import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.audio import (
    Decoder,
    DirectDecoder,
    decode_bytes,
    probe,
    read_blocks,
    read_stretch,
    write_wav,
)
from wordspot.indexer.sound.resampling import Resampler

PLENTY = 600.0


def chirp(rate, seconds=3.0, channels=1):
    """A gliding tone (n, channels), each channel a fifth above the last."""
    t = np.arange(round(rate * seconds)) / rate
    tones = [0.4 * np.sin(2 * np.pi * (150 + 60 * t) * t * 1.5**channel) for channel in range(channels)]
    return np.stack(tones, axis=1).astype(np.float32)


def encoded(samples, rate, container, subtype):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=container) as out:
        for i in range(0, len(samples), rate):
            out.write(samples[i : i + rate])
    return file.getvalue()


def contained(samples, rate, container, codec):
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        track = out.add_stream(codec, rate=rate, layout="mono")
        for i in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[i : i + 1024].T.copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, i
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return file.getvalue()


def with_flac_frames(data, frames):
    """A FLAC file whose header claims another number of frames (36 bits at byte 18)."""
    (field,) = struct.unpack(">Q", data[18:26])
    return data[:18] + struct.pack(">Q", field >> 36 << 36 | frames) + data[26:]


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 44_101, 48_000, 768_000])
def test_resampling_in_blocks_equals_scipy_resampling_the_whole(rate):
    rng = np.random.default_rng(rate)
    whole = rng.standard_normal(int(rate * 1.3) + 7).astype(np.float32)
    cuts = np.sort(rng.integers(0, len(whole), 9))
    resampler = Resampler(rate)
    pieces = [resampler.push(block) for block in np.split(whole, cuts)]
    pieces.append(resampler.finish())
    expected = resample_poly(whole, 16_000, rate)
    np.testing.assert_allclose(np.concatenate(pieces), expected, atol=2e-6)


@pytest.mark.parametrize("rate", [95_999, 176_401, 767_999])
def test_a_rate_without_a_small_ratio_keeps_time_over_an_hour(rate):
    resampler = Resampler(rate)
    assert abs(3600 * rate * resampler.up / resampler.down / 16_000 - 3600) < 0.04


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "tolerance"),
    [
        ("WAV", "PCM_U8", 8_000, 0.01),
        ("WAV", "PCM_24", 96_000, 1e-4),
        ("WAV", "DOUBLE", 11_025, 1e-4),
        ("WAV", "ULAW", 8_000, 0.05),
        ("FLAC", "PCM_16", 44_100, 1e-4),
        ("AIFF", "PCM_16", 22_050, 1e-4),
        ("CAF", "PCM_16", 48_000, 1e-4),
        ("OGG", "VORBIS", 44_100, 0.05),
        ("OGG", "OPUS", 48_000, 0.05),
        ("MP3", "MPEG_LAYER_III", 44_100, 0.05),
    ],
)
def test_every_format_decodes_to_the_sound_that_went_in(tmp_path, container, subtype, rate, tolerance):
    sound = chirp(rate, channels=2)
    path = tmp_path / "sound"
    path.write_bytes(encoded(sound, rate, container, subtype))
    blocks = list(read_blocks(path, max_seconds=PLENTY))
    assert all(block.dtype == np.float32 and len(block) <= 65_000 for block in blocks)
    heard = np.concatenate(blocks)
    expected = resample_poly(sound.mean(axis=1), 16_000, rate)
    assert len(heard) == pytest.approx(len(expected), abs=1600)
    middle = slice(4_000, 44_000)
    np.testing.assert_allclose(heard[middle], expected[middle], atol=tolerance)
    np.testing.assert_array_equal(decode_bytes(path.read_bytes(), max_seconds=PLENTY), heard)
    info = probe(path)
    assert (info.sample_rate, info.channels, info.format) == (rate, 2, container)
    assert info.seconds == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize(("container", "codec"), [("ipod", "aac"), ("matroska", "aac"), ("mpegts", "mp2")])
def test_containers_are_decoded_by_ffmpeg(tmp_path, container, codec):
    path = tmp_path / "sound"
    path.write_bytes(contained(chirp(44_100), 44_100, container, codec))
    heard = np.concatenate(list(read_blocks(path, max_seconds=PLENTY)))
    expected = resample_poly(chirp(44_100)[:, 0], 16_000, 44_100)
    lag = int(np.correlate(heard, expected[16_000:32_000], "valid").argmax()) - 16_000
    assert 0 <= lag < 1_600  # the encoder's delay, which some containers keep
    assert np.corrcoef(heard[16_000 + lag : 32_000 + lag], expected[16_000:32_000])[0, 1] > 0.98
    assert probe(path).sample_rate == 44_100


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_every_channel_of_many_planes_is_heard(layout):
    rate, channels = 48_000, len(av.AudioLayout(layout).channels)
    tones = 400 + 150 * np.arange(channels)
    sound = 0.1 * np.sin(2 * np.pi * tones * np.arange(rate)[:, None] / rate).astype(np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        track = out.add_stream("wavpack", rate=rate, layout=layout)
        whole = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "flt", layout)
        whole.sample_rate = rate
        convert = av.AudioResampler(track.codec_context.format, layout, rate, frame_size=1_024)
        for frame in (*convert.resample(whole), *convert.resample(None), None):
            for packet in track.encode(frame):
                out.mux(packet)
    heard = np.abs(np.fft.rfft(decode_bytes(file.getvalue(), max_seconds=PLENTY)[:16_000]))
    assert heard[tones].min() > 100 * np.median(heard)


def test_without_pyav_the_refusal_names_the_extra(monkeypatch):
    data = contained(chirp(44_100), 44_100, "ipod", "aac")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "wordspot.indexer.sound.ffmpeg")
    with pytest.raises(InvalidInput, match=r"pip install 'wordspot\[video\]'"):
        decode_bytes(data, max_seconds=PLENTY)


def test_a_video_without_sound_is_refused():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        track = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        out.mux(track.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(track.encode(None))
    with pytest.raises(InvalidInput, match="no audio track"):
        decode_bytes(file.getvalue(), max_seconds=PLENTY)


def test_a_playlist_does_not_lead_to_the_files_it_names(tmp_path):
    (tmp_path / "secret.ts").write_bytes(contained(chirp(44_100), 44_100, "mpegts", "mp2"))
    segment = f"#EXTINF:3,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n"
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n" + segment)
    with av.open(str(playlist)) as opened:
        assert opened.format.name == "hls"
    with pytest.raises(InvalidInput, match="not audio that can be decoded"):
        probe(playlist)


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "tolerance"),
    [
        ("WAV", "PCM_16", 11_025, 0.0),
        ("FLAC", "PCM_16", 44_100, 0.0),
        ("OGG", "VORBIS", 44_100, 1e-5),
        ("OGG", "OPUS", 48_000, 1e-3),
        ("MP3", "MPEG_LAYER_III", 44_100, 1e-5),
    ],
)
def test_a_stretch_equals_the_same_part_of_the_whole(tmp_path, container, subtype, rate, tolerance):
    path = tmp_path / "sound"
    path.write_bytes(encoded(chirp(rate, 4.0), rate, container, subtype))
    whole = np.concatenate(list(read_blocks(path, max_seconds=PLENTY)))
    for start, stop in [(0.0, 0.3), (0.123, 0.456), (1.9, 3.1), (2.718, 3.14159)]:
        first, last = round(start * 16_000), round(stop * 16_000)
        stretch = read_stretch(path, start, stop, max_seconds=2.0)
        assert len(stretch) == last - first
        np.testing.assert_allclose(stretch, whole[first:last], atol=tolerance)


def test_a_stretch_of_an_m4a_equals_the_same_part_of_the_whole(tmp_path):
    path = tmp_path / "sound.m4a"
    path.write_bytes(contained(chirp(44_100, 6.0), 44_100, "ipod", "aac"))
    whole = np.concatenate(list(read_blocks(path, max_seconds=PLENTY)))
    np.testing.assert_allclose(
        read_stretch(path, 3.21, 4.56, max_seconds=2.0), whole[51_360:72_960], atol=1e-4
    )


def test_a_stretch_ends_with_the_recording_and_may_not_begin_after_it(tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wav(chirp(16_000)[:, 0]))
    assert len(read_stretch(path, 2.5, 9.0, max_seconds=10.0)) == 8_000
    with pytest.raises(InvalidInput, match="holds no audio in the stretch that is asked for"):
        read_stretch(path, 3.0, 4.0, max_seconds=10.0)


@pytest.mark.parametrize(("start", "stop"), [(-1.0, 1.0), (1.0, 1.0), (float("nan"), 1.0), (1e300, 2e300)])
def test_an_impossible_stretch_is_refused(tmp_path, start, stop):
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wav(chirp(16_000)[:, 0]))
    with pytest.raises(InvalidInput, match="not allowed"):
        read_stretch(path, start, stop, max_seconds=10.0)


def test_the_end_may_be_written_as_infinity(tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wav(chirp(16_000)[:, 0]))
    assert len(read_stretch(path, 1.0, float("inf"), max_seconds=10.0)) == 32_000


@pytest.fixture
def libsndfile(monkeypatch):
    """PyAV is not installed."""
    monkeypatch.setitem(sys.modules, "wordspot.indexer.sound.ffmpeg", None)


@pytest.mark.parametrize("claim", [2**36 - 2, 2**35, 8_000 * 10])
def test_without_pyav_seconds_are_bounded_by_what_decodes(libsndfile, claim):
    bomb = encoded(np.zeros((8_000 * 3600, 1), np.float32), 8_000, "FLAC", "PCM_16")
    with pytest.raises(InvalidInput, match="longer than the 60 s allowed"):
        decode_bytes(with_flac_frames(bomb, claim) if claim > 8_000 * 60 else bomb, max_seconds=60.0)
    short = encoded(chirp(8_000, 5.0), 8_000, "FLAC", "PCM_16")
    assert len(decode_bytes(with_flac_frames(short, claim), max_seconds=60.0)) == 80_000


def test_without_pyav_a_stretch_beyond_the_end_of_a_forged_length_is_refused(libsndfile, tmp_path):
    path = tmp_path / "forged.flac"
    short = encoded(chirp(8_000, 5.0), 8_000, "FLAC", "PCM_16")
    path.write_bytes(with_flac_frames(short, 2**36 - 2))
    with pytest.raises(InvalidInput, match="holds no audio"):
        read_stretch(path, 3_600.0, 3_610.0, max_seconds=60.0)


def test_more_seconds_than_allowed_are_refused():
    data = encoded(chirp(8_000, 5.0), 8_000, "WAV", "PCM_16")
    assert len(decode_bytes(data, max_seconds=5.0)) == 80_000
    with pytest.raises(InvalidInput, match=r"longer than the 4\.5 s allowed"):
        decode_bytes(data, max_seconds=4.5)


def test_hours_of_silence_in_a_few_bytes_are_refused_after_the_allowed_seconds():
    bomb = encoded(np.zeros((8_000 * 3600 * 2, 1), np.float32), 8_000, "FLAC", "PCM_16")
    assert len(bomb) < 300_000
    with pytest.raises(InvalidInput, match="longer than the 60 s allowed"):
        decode_bytes(bomb, max_seconds=60.0)


@pytest.mark.parametrize("claim", [0, 2**36 - 1])
def test_a_flac_header_that_claims_any_length_yields_what_is_there(claim):
    data = encoded(chirp(44_100), 44_100, "FLAC", "PCM_16")
    forged = with_flac_frames(data, claim)
    np.testing.assert_array_equal(
        decode_bytes(forged, max_seconds=PLENTY), decode_bytes(data, max_seconds=PLENTY)
    )


def test_a_length_that_says_nothing_is_not_reported(tmp_path):
    path = tmp_path / "forged.flac"
    path.write_bytes(with_flac_frames(encoded(chirp(44_100), 44_100, "FLAC", "PCM_16"), 2**36 - 1))
    assert probe(path).seconds is None


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")],
)
def test_of_a_truncated_file_what_decodes_is_kept(container, subtype):
    data = encoded(chirp(44_100, 6.0), 44_100, container, subtype)
    whole = decode_bytes(data, max_seconds=PLENTY)
    kept = decode_bytes(data[: len(data) * 2 // 3], max_seconds=PLENTY)
    assert 2.5 * 16_000 < len(kept) < 5.5 * 16_000
    np.testing.assert_allclose(kept[:-1_600], whole[: len(kept) - 1_600], atol=1e-3)


def test_a_recorder_that_died_before_writing_the_length_loses_nothing():
    data = write_wav(chirp(16_000)[:, 0])
    at = data.index(b"data") + 4
    for length in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        assert len(decode_bytes(data[:at] + length + data[at + 4 :], max_seconds=PLENTY)) == 48_000


@pytest.mark.parametrize(
    "junk",
    [b"not audio at all\n" * 99, np.random.default_rng(0).bytes(100_000), b"RIFF", b"\xff\xfb\x90\x00" * 500],
    ids=["text", "noise", "stub", "frame headers"],
)
def test_what_is_not_audio_is_refused_in_one_line(tmp_path, junk):
    path = tmp_path / "junk.wav"
    path.write_bytes(junk)
    with pytest.raises(InvalidInput, match=r"junk\.wav") as refusal:
        list(read_blocks(path, max_seconds=PLENTY))
    assert "\n" not in str(refusal.value)
    assert "object at" not in str(refusal.value)


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "VORBIS"), ("FLAC", "PCM_16"), ("WAV", "PCM_16")])
def test_a_header_without_audio_is_refused(container, subtype):
    data = encoded(np.zeros((0, 1), np.float32), 8_000, container, subtype)
    with pytest.raises(InvalidInput, match="the audio "):
        decode_bytes(data, max_seconds=PLENTY)


def test_empty_input_is_refused(tmp_path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    with pytest.raises(InvalidInput, match=r"empty\.wav is empty"):
        probe(empty)
    with pytest.raises(InvalidInput, match="the audio is empty"):
        decode_bytes(b"", max_seconds=PLENTY)


def test_paths_that_are_no_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("gone", "No such file"),
    ]:
        with pytest.raises(InvalidInput, match=reason):
            probe(tmp_path / name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_sample_that_is_no_number_is_named_with_its_time(value):
    sound = chirp(8_000, channels=2)
    sound[14_000, 1] = value
    with pytest.raises(InvalidInput, match=r"at 1\.750 s"):
        decode_bytes(encoded(sound, 8_000, "WAV", "FLOAT"), max_seconds=PLENTY)


@pytest.mark.parametrize("rate", [999, 768_001])
def test_a_rate_outside_the_allowed_is_refused(rate):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(bytes(2_000))
    with pytest.raises(InvalidInput, match=rf"{rate} Hz, allowed are 1000 to 768000 Hz"):
        decode_bytes(file.getvalue(), max_seconds=PLENTY)


def test_many_channels_are_averaged_in_bounded_blocks():
    sound = np.tile(np.linspace(-0.9, 0.9, 200, dtype=np.float32), (16_000, 1))
    sound[:, 0] += 0.5
    heard = decode_bytes(encoded(sound, 16_000, "WAV", "FLOAT"), max_seconds=PLENTY)
    np.testing.assert_allclose(heard, 0.5 / 200, atol=1e-6)


def test_written_wav_is_read_back_and_clipped():
    samples = np.array([0.0, 0.5, -0.25, 3.0, -3.0], np.float32)
    data = write_wav(samples)
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
    np.testing.assert_allclose(decode_bytes(data, max_seconds=1.0), np.clip(samples, -1, 1), atol=1e-4)


def test_the_direct_decoder_is_the_same_functions(tmp_path):
    decoder: Decoder = DirectDecoder()
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wav(chirp(16_000)[:, 0]))
    np.testing.assert_array_equal(
        decoder.read_stretch(path, 1.0, 2.0, max_seconds=5.0),
        decoder.decode_bytes(path.read_bytes(), max_seconds=5.0)[16_000:32_000],
    )
    assert decoder.probe(path).seconds == 3.0
