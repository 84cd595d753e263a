from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from wordspot.indexer.sound.audio import write_wav


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """70.5 s, longer than a clip may be."""
    rng = np.random.default_rng(5)
    path = tmp_path / "long.wav"
    path.write_bytes(write_wav(0.1 * rng.standard_normal(round(70.5 * 16_000)).astype(np.float32)))
    return path


def test_a_recording_is_a_wav_file_of_which_ranges_can_be_had(served: Any, long: Path) -> None:
    path = f"/archives/default/recordings/{served.index(long)['long']}/audio"
    whole = served.api("GET", path)
    assert whole.status_code == 200
    samples, rate = soundfile.read(io.BytesIO(whole.content), dtype="int16")
    assert rate == 16_000
    assert np.array_equal(samples, soundfile.read(long, dtype="int16")[0])
    head = served.api("HEAD", path)
    assert int(head.headers["Content-Length"]) == len(whole.content)
    assert head.headers["Accept-Ranges"] == "bytes"
    for asked, start, stop in [
        ("bytes=0-", 0, None),
        ("bytes=10-99", 10, 100),
        ("bytes=1900001-1990002", 1_900_001, 1_990_003),
        ("bytes=-7", -7, None),
        ("bytes=2000000-99999999", 2_000_000, None),
    ]:
        part = served.api("GET", path, headers={"Range": asked})
        assert part.status_code == 206
        assert part.content == whole.content[start:stop]
        first = start if start >= 0 else len(whole.content) + start
        last = first + len(part.content) - 1
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.content)}"


def test_a_range_behind_the_end_is_refused(served: Any, recordings: dict[str, Path]) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/audio"
    told = served.refuse(416, "GET", path, headers={"Range": "bytes=99999999-"})
    assert told["field"] == "Range"
    answer = served.api("GET", path, headers={"Range": "bytes=99999999-"})
    assert answer.headers["Content-Range"] == f"bytes */{round(told['limit'])}"


def test_a_copy_that_is_right_is_not_sent_again(served: Any, recordings: dict[str, Path]) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/audio"
    tag = served.api("HEAD", path).headers["ETag"]
    assert served.api("GET", path, headers={"If-None-Match": tag}).status_code == 304
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert served.api("GET", path, headers=other).status_code == 200


def test_a_clip_is_padded_within_the_recording(served: Any, recordings: dict[str, Path]) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/clip"
    clip = served.api("GET", f"{path}?start=0.5&end=1&padding=0.75")
    with wave.open(io.BytesIO(clip.content)) as reader:
        assert reader.getnframes() == round(1.75 * 16_000)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("start=1&end=1", 422, "end"),
        ("start=1", 422, "end"),
        ("start=nan&end=2", 422, "start"),
        ("start=0&end=100", 400, None),
        ("start=-1&end=2", 422, "start"),
    ],
)
def test_a_stretch_that_is_none_is_refused(
    served: Any, recordings: dict[str, Path], query: str, status: int, field: str | None
) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/clip"
    assert served.refuse(status, "GET", f"{path}?{query}").get("field") == field


def test_a_waveform_has_the_parts_that_are_asked_for(served: Any, long: Path) -> None:
    path = f"/archives/default/recordings/{served.index(long)['long']}/peaks"
    peaks = served.ask("GET", f"{path}?buckets=70")
    assert (peaks["start"], peaks["end"], peaks["buckets"]) == (0.0, 70.5, 70)
    assert len(peaks["min"]) == len(peaks["max"]) == 70
    assert all(-127 <= low < 0 < high <= 127 for low, high in zip(peaks["min"], peaks["max"], strict=True))
    part = served.ask("GET", f"{path}?start=1&end=2&buckets=4000")
    assert (part["start"], part["end"], len(part["max"])) == (1.0, 2.0, 4_000)
    assert served.refuse(422, "GET", f"{path}?buckets=0")["field"] == "buckets"
    assert served.refuse(422, "GET", f"{path}?start=2&end=1")["field"] == "end"


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """70.25 s of two channels at 22,050 Hz, in a file whose name is not ASCII."""
    sound = np.random.default_rng(6).integers(-9_000, 9_000, (round(70.25 * 22_050), 2), dtype=np.int16)
    path = tmp_path / 'a "b" \u00e9.wav'
    soundfile.write(path, sound, 22_050)
    return path


def test_the_sound_can_have_the_rate_and_the_channels_of_the_file(served: Any, stereo: Path) -> None:
    path = f"/archives/default/recordings/{served.index(stereo)[stereo.stem]}/audio?rate=original"
    whole = served.api("GET", path)
    samples, rate = soundfile.read(io.BytesIO(whole.content), dtype="int16")
    original = soundfile.read(stereo, dtype="int16")[0]
    assert (rate, samples.shape) == (22_050, original.shape)
    assert np.abs(samples.astype(int) - original).max() <= 1
    part = served.api("GET", path, headers={"Range": "bytes=5300001-5400002"})
    assert part.status_code == 206
    assert part.content == whole.content[5_300_001:5_400_003]
    right, _ = soundfile.read(
        io.BytesIO(served.api("GET", f"{path}&channel=2").content), dtype="int16", always_2d=True
    )
    assert np.array_equal(right, samples[:, 1:])
    assert (
        served.api("HEAD", path).headers["ETag"]
        != served.api("HEAD", path[: -len("?rate=original")]).headers["ETag"]
    )


def test_the_file_of_a_recording_can_be_saved_under_its_name(served: Any, stereo: Path) -> None:
    path = f"/archives/default/recordings/{served.index(stereo)[stereo.stem]}/original"
    whole = served.api("GET", path)
    assert whole.status_code == 200
    assert whole.content == stereo.read_bytes()
    assert whole.headers["Content-Type"] == "application/octet-stream"
    named = "filename=\"a _b_ _.wav\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.wav"
    assert whole.headers["Content-Disposition"] == f"attachment; {named}"
    head = served.api("HEAD", path)
    assert int(head.headers["Content-Length"]) == len(whole.content)
    part = served.api("GET", path, headers={"Range": "bytes=4194300-4194400"})
    assert (part.status_code, part.content) == (206, whole.content[4_194_300:4_194_401])
    assert served.api("GET", path, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert served.refuse(416, "GET", path, headers={"Range": "bytes=99999999-"})["limit"] == len(
        whole.content
    )


def test_an_uploaded_file_comes_back_as_it_was_sent(served: Any, recordings: dict[str, Path]) -> None:
    data = recordings["tea"].read_bytes()
    served.ask("PUT", "/archives/talks")
    sent = served.api("PUT", "/archives/talks/uploads/tea.wav", data=data)
    path = f"/archives/talks/recordings/{sent.json()['id']}/original"
    assert served.api("GET", path).content == data


def test_a_file_that_has_changed_is_not_given_out(served: Any, recordings: dict[str, Path]) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/original"
    recordings["tea"].write_bytes(b"secret")
    assert "has 6 bytes" in served.refuse(412, "GET", path)["detail"]
    recordings["tea"].unlink()
    recordings["tea"].symlink_to("/etc/hostname")
    assert "link" in served.refuse(412, "GET", path)["detail"]
    served.refuse(404, "GET", "/archives/default/recordings/none/original")


def test_a_channel_that_is_not_there_is_refused_before_any_sound(
    served: Any, recordings: dict[str, Path]
) -> None:
    path = f"/archives/default/recordings/{served.index(recordings['tea'])['tea']}/audio"
    for rate in ("searched", "original"):
        told = served.refuse(400, "GET", f"{path}?channel=5&rate={rate}")
        assert "channel" in told["detail"]
