import io

import av
import numpy as np
import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.audio import decode_bytes, read_blocks, read_stretch
from wordspot.indexer.sound.joined import EBML, Window, matroska_parts

RATE = 48_000


def webm(hertz: float, seconds: float = 2.0, *, live: bool = False) -> bytes:
    """A tone. live: of unknown length, as a browser records."""
    file = io.BytesIO()
    options = {"live": "1"} if live else {}
    with av.open(file, "w", format="webm", options=options) as output:
        stream = output.add_stream("libopus", rate=RATE, layout="mono")
        time = np.arange(round(seconds * RATE)) / RATE
        samples = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
        whole = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        whole.sample_rate = RATE
        convert = av.AudioResampler("s16", "mono", RATE, frame_size=960)
        for frame in (*convert.resample(whole), *convert.resample(None), None):
            for packet in stream.encode(frame):
                output.mux(packet)
    return file.getvalue()


def hertz_of(sound: np.ndarray) -> float:
    """Of the loudest tone."""
    return float(np.abs(np.fft.rfft(sound)).argmax() * 16_000 / len(sound))


@pytest.mark.parametrize("live", [False, True], ids=["of known length", "live"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_part_of_a_joined_webm_is_heard(count: int, live: bool) -> None:
    tones = [300.0 + 200.0 * number for number in range(count)]
    sound = decode_bytes(b"".join(webm(hertz, live=live) for hertz in tones), max_seconds=60.0)
    assert len(sound) / 16_000 == pytest.approx(2.0 * count, abs=0.05 * count)
    size = len(sound) / count
    for number, hertz in enumerate(tones):
        middle = sound[round((number + 0.3) * size) : round((number + 0.7) * size)]
        assert hertz_of(middle) == pytest.approx(hertz, abs=10)


def test_a_stretch_of_a_later_part_is_the_same_part_of_the_whole(tmp_path) -> None:
    path = tmp_path / "joined.webm"
    path.write_bytes(webm(300) + webm(500) + webm(700))
    warnings: list[str] = []
    whole = np.concatenate(list(read_blocks(path, max_seconds=60.0, warnings=warnings)))
    stretch = read_stretch(path, 4.5, 5.5, max_seconds=60.0)
    assert np.abs(stretch - whole[72_000:88_000]).max() < 1e-3
    assert warnings == ["3 files joined end to end"]


def test_a_part_that_cannot_be_decoded_is_told_and_the_rest_heard(tmp_path) -> None:
    broken = webm(500)[:60]
    path = tmp_path / "joined.webm"
    path.write_bytes(webm(300) + broken + webm(700))
    warnings: list[str] = []
    sound = np.concatenate(list(read_blocks(path, max_seconds=60.0, warnings=warnings)))
    assert hertz_of(sound[-16_000:]) == pytest.approx(700, abs=10)
    assert any("part 2" in warning for warning in warnings)


def test_one_file_is_one_part_whatever_lies_in_or_behind_it() -> None:
    for data in (webm(300), webm(300) + b"junk" * 100, webm(300, live=True) + EBML * 1_000, b"RIFF", b""):
        stream = io.BytesIO(data)
        assert matroska_parts(stream) == [stream]
        assert stream.tell() == 0


def test_marks_without_end_are_looked_through_quickly() -> None:
    stream = io.BytesIO(webm(300, live=True) + EBML * (1 << 20))
    assert len(matroska_parts(stream)) == 1


def test_files_that_are_all_header_are_refused() -> None:
    with pytest.raises(InvalidInput):
        decode_bytes(webm(300)[:60] * 2_000, max_seconds=60.0)


def test_a_window_reads_as_a_file_of_its_own() -> None:
    window = Window(io.BytesIO(b"0123456789"), 3, 7)
    assert window.read() == b"3456"
    assert window.read() == b""
    assert window.seek(-1, io.SEEK_END) == 3
    assert window.read(5) == b"6"
    assert window.seek(100) == 100
    assert window.read(1) == b""
    with pytest.raises(ValueError, match="0 or more"):
        window.seek(-1)
