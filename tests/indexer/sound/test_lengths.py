import io
import struct
import sys
import wave

import numpy as np
import pytest
import soundfile

from wordspot.indexer.sound.audio import decode_bytes, read_blocks, read_stretch
from wordspot.indexer.sound.lengths import with_true_length

SOUND = (0.4 * np.sin(np.arange(64_000) / 9)).astype(np.float32)


def encoded(container, subtype="PCM_16", sound=SOUND):
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format=container, subtype=subtype)
    return file.getvalue()


def with_length(data, mark, length, at=4, length_format="<I"):
    place = data.index(mark) + at
    return data[:place] + struct.pack(length_format, length) + data[place + struct.calcsize(length_format) :]


@pytest.mark.parametrize("claim", [2, 3_000, 64_000, 120_000])
def test_a_wav_length_that_ends_too_soon_is_not_believed(claim: int) -> None:
    stale = with_length(encoded("WAV"), b"data", claim)
    assert len(decode_bytes(stale, max_seconds=60.0)) == 64_000


def rf64(claim):
    """As recorders write that expect more than 4 GiB."""
    whole = encoded("WAV")
    riff = struct.pack("<4sI4s", b"RF64", 2**32 - 1, b"WAVE")
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 72 + claim, claim, claim // 2, 0)
    at = whole.index(b"data")
    return riff + ds64 + whole[12:at] + b"data\xff\xff\xff\xff" + whole[at + 8 :]


STALE = {
    "AIFF": lambda claim: with_length(encoded("AIFF"), b"SSND", claim + 8, 4, ">I"),
    "W64": lambda claim: with_length(encoded("W64"), b"data", claim + 24, 16, "<Q"),
    "CAF": lambda claim: with_length(encoded("CAF"), b"data", claim + 4, 4, ">q"),
    "AU": lambda claim: with_length(encoded("AU"), b".snd", claim, 8, ">I"),
    "RF64": rf64,
}


@pytest.fixture(params=[True, False], ids=["FFmpeg", "libsndfile"])
def pyav(request, monkeypatch):
    """Whether PyAV is installed."""
    if not request.param:
        monkeypatch.setitem(sys.modules, "wordspot.indexer.sound.ffmpeg", None)
    return request.param


@pytest.mark.parametrize("claim", [0, 30_000, 120_000])
@pytest.mark.parametrize("container", STALE)
def test_stale_lengths_of_other_containers_are_not_believed(container: str, claim: int, pyav: bool) -> None:
    data = STALE[container](claim)
    sound = decode_bytes(data, max_seconds=60.0)
    assert len(sound) == 64_000
    assert np.abs(sound - SOUND).max() < 1e-3


@pytest.mark.parametrize("container", STALE)
def test_true_lengths_of_other_containers_are_heard_as_they_are(container: str, pyav: bool) -> None:
    sound = decode_bytes(STALE[container](128_000), max_seconds=60.0)
    assert len(sound) == 64_000


@pytest.mark.parametrize("container", ["AIFF", "W64", "CAF", "AU"])
def test_files_of_these_joined_end_to_end_are_heard_to_the_end(container: str) -> None:
    sound = decode_bytes(encoded(container) * 3, max_seconds=60.0)
    assert len(sound) == pytest.approx(3 * 64_000, abs=8_000)  # the headers between them are heard, too


def test_chunks_after_the_sound_are_not_heard() -> None:
    data = (
        encoded("WAV")
        + b"LIST"
        + struct.pack("<I", 26)
        + b"INFOISFT"
        + struct.pack("<I", 14)
        + b"some recorder\0"
    )
    assert len(decode_bytes(data, max_seconds=60.0)) == 64_000
    _, remark = with_true_length(io.BytesIO(data))
    assert remark == ""


def test_what_was_wrong_is_told(tmp_path) -> None:
    path = tmp_path / "stale.wav"
    path.write_bytes(with_length(encoded("WAV"), b"data", 32_000))
    warnings: list[str] = []
    list(read_blocks(path, max_seconds=60.0, warnings=warnings))
    assert warnings[0] == "its header claims 32,000 bytes of sound, 128,000 are there"


def test_wav_files_joined_end_to_end_are_heard_to_the_end() -> None:
    sound = decode_bytes(encoded("WAV") * 3, max_seconds=60.0)
    assert len(sound) == pytest.approx(3 * 64_000, abs=100)


def test_more_than_four_gib_are_there_although_the_length_cannot_say_so(tmp_path) -> None:
    """A sparse file: rate and channels high, so that its end comes before a day."""
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((8, 4, 192_000, 0, "NONE", ""))
        out.writeframes(bytes(32))
    size = 2**32 + 600_000_000
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(40)
        file.write(struct.pack("<I", (size - 44) % 2**32))
    end = (size - 44) / (8 * 4 * 192_000)
    assert end > 700
    assert len(read_stretch(path, end - 3.0, end + 5.0, max_seconds=20.0)) == pytest.approx(48_000, abs=2)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "CAF", "AU", "FLAC", "VOC"])
def test_true_lengths_are_left_alone(container: str) -> None:
    stream = io.BytesIO(encoded(container))
    same, remark = with_true_length(stream)
    assert same is stream
    assert remark == ""
    assert stream.tell() == 0
    assert len(decode_bytes(stream.getvalue(), max_seconds=60.0)) == 64_000
