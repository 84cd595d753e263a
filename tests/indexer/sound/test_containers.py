"""What is indexed of a file, what a player shows and what a clip holds agree, in every container."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.bench import containers, sound_files
from tests.bench.containers import DAMAGEABLE, JOINABLE
from tests.bench.sound_files import KINDS, Kind
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound.audio import probe, read_blocks, read_stretch

pytestmark = pytest.mark.skipif(not sound_files.has_ffmpeg(), reason="ffmpeg is not installed: make debian")

SOME = {kind.name: kind for kind in KINDS}
OFFSETS = {"empty-edit.m4a": 3.0, "late.mp4": 2.0, "late.mkv": 2.0, "late.ts": 2.0}
DELAYS = 0.07  # of encoders whose containers do not tell it, and what a player shows, too


@pytest.fixture(scope="module")
def speech():
    return sound_files.original()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, speech):
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "speech.wav", speech, sound_files.RATE, subtype="PCM_16")
    return folder


def made(folder: Path, name: str) -> Path:
    path = folder / name
    return path if path.exists() else sound_files.make(SOME[name], folder / "speech.wav", folder)


def decoded(path):
    warnings: list[str] = []
    return np.concatenate(list(read_blocks(path, max_seconds=600.0, warnings=warnings))), warnings


def place(path, speech, around=36.0):
    """Seconds from where the word lies in the speech to where the file has it, and the clip's correlation."""
    word = containers.word_of(speech, around)
    said, _ = sound_files.place_of(word, speech)
    sound, _ = decoded(path)
    hit, correlation = sound_files.place_of(word, sound)
    clip = read_stretch(path, max(hit - 0.05, 0), hit + 0.85, max_seconds=5.0)
    return hit - said, sound_files.place_of(word, clip)[1] / correlation


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_seconds_hit_and_clip_are_those_of_the_speech(folder: Path, speech, kind: Kind) -> None:
    path = made(folder, kind.name)
    sound, warnings = decoded(path)
    offset = OFFSETS.get(kind.name, 0.0)
    assert len(sound) / 16_000 == pytest.approx(len(speech) / 16_000 + offset, abs=0.1)
    shift, clip = place(path, speech)
    assert -0.01 <= shift - offset <= DELAYS
    assert clip > 0.95
    assert warnings == [] or kind.name == "vbr-without-xing.mp3"


def test_a_claim_that_is_wrong_is_reported(folder: Path) -> None:
    _, warnings = decoded(made(folder, "vbr-without-xing.mp3"))
    assert len(warnings) == 1
    assert warnings[0].startswith("its header claims 4")


@pytest.mark.parametrize("name", DAMAGEABLE)
def test_damage_costs_no_more_than_itself_and_keeps_the_clock(folder: Path, speech, name: str) -> None:
    path = sound_files.damaged(made(folder, name))
    sound, warnings = decoded(path)
    assert len(sound) / 16_000 == pytest.approx(len(speech) / 16_000, abs=0.15)
    shift, clip = place(path, speech)
    assert abs(shift) <= DELAYS + 0.06  # of raw AAC and MP3 a lost frame is not counted, by players neither
    assert clip > 0.9
    assert warnings or "opus" in name  # which has no checksum: what is damaged may decode


@pytest.mark.parametrize("name", JOINABLE)
def test_files_joined_end_to_end_are_heard_to_the_end(folder: Path, speech, name: str) -> None:
    path = sound_files.joined(made(folder, name), 2)
    sound, _ = decoded(path)
    length = len(speech) / 16_000
    assert len(sound) / 16_000 == pytest.approx(2 * length, abs=0.2)
    word = containers.word_of(speech)
    second = round((length + 30.0) * 16_000)
    _, correlation = sound_files.place_of(word, sound[second:])
    assert correlation > 0.95
    hit = 30.0 + length + sound_files.place_of(word, sound[second:])[0]
    clip = read_stretch(path, hit - 0.05, hit + 0.85, max_seconds=5.0)
    assert sound_files.place_of(word, clip)[1] > 0.95


def test_a_gap_in_the_timestamps_is_silence(folder: Path, speech) -> None:
    path = folder / "gap.mkv"
    gap = "aselect=not(between(t\\,12\\,22)),asetpts=PTS"
    sound_files.ffmpeg("-i", folder / "speech.wav", "-af", gap, "-c:a", "libopus", "-ar", 48000, path)
    sound, warnings = decoded(path)
    assert len(sound) / 16_000 == pytest.approx(len(speech) / 16_000, abs=0.1)
    shift, clip = place(path, speech)
    assert abs(shift) < 0.03
    assert clip > 0.95
    assert any("no sound from 12" in warning for warning in warnings)


@pytest.mark.parametrize(("first", "second"), [(44_100, 22_050), (48_000, 16_000)])
@pytest.mark.parametrize("ending", ["aac", "mp3"])
def test_a_rate_that_changes_in_the_middle_keeps_length_and_pitch(
    folder: Path, speech, first: int, second: int, ending: str
) -> None:
    parts = []
    for rate, begin in ((first, 0), (second, 22)):
        part = folder / f"part-{rate}.{ending}"
        options = ["-ss", begin, "-t", 22, "-ar", rate]
        sound_files.ffmpeg("-i", folder / "speech.wav", *options, part)
        parts.append(part.read_bytes())
    path = folder / f"change-{first}.{ending}"
    path.write_bytes(b"".join(parts))
    sound, warnings = decoded(path)
    assert len(sound) / 16_000 == pytest.approx(44.0, abs=0.4)
    shift, clip = place(path, speech)
    assert abs(shift) < 0.4
    assert clip > 0.9
    assert any(f"{second} Hz" in warning for warning in warnings)


def test_channels_that_change_in_the_middle_are_heard(folder: Path, speech) -> None:
    parts = []
    for channels, begin in ((1, 0), (2, 22)):
        part = folder / f"channels-{channels}.aac"
        sound_files.ffmpeg("-i", folder / "speech.wav", "-ss", begin, "-t", 22, "-ac", channels, part)
        parts.append(part.read_bytes())
    path = folder / "channels.aac"
    path.write_bytes(b"".join(parts))
    sound, warnings = decoded(path)
    assert len(sound) / 16_000 == pytest.approx(44.0, abs=0.3)
    assert place(path, speech)[1] > 0.9
    assert any("2 channels" in warning for warning in warnings)


@pytest.mark.parametrize("flagged", [0, 1])
def test_the_track_flagged_as_default_is_heard(folder: Path, speech, flagged: int) -> None:
    path = folder / f"flagged-{flagged}.mkv"
    tracks = ["-map", "0:a", "-map", "1:a"]
    flags = [f"-disposition:a:{flagged}", "default", f"-disposition:a:{1 - flagged}", "0"]
    backwards = folder / "backwards.wav"
    soundfile.write(backwards, speech[::-1], 16_000)
    sound_files.ffmpeg("-i", folder / "speech.wav", "-i", backwards, *tracks, *flags, path)
    sound, warnings = decoded(path)
    expected = speech[::-1] if flagged else speech
    assert sound_files.place_of(expected[160_000:240_000], sound)[1] > 0.9
    assert f"audio track {flagged + 1} of 2" in warnings[0]


@pytest.mark.parametrize("track", [1, 2])
def test_a_track_that_is_asked_for_is_heard(folder: Path, speech, track: int) -> None:
    path, backwards = folder / "both.mkv", folder / "backwards.wav"
    soundfile.write(backwards, speech[::-1], 16_000)
    sound_files.ffmpeg("-i", folder / "speech.wav", "-i", backwards, "-map", "0:a", "-map", "1:a", path)
    sound = np.concatenate(list(read_blocks(path, max_seconds=600.0, track=track)))
    expected = speech[::-1] if track == 2 else speech
    assert sound_files.place_of(expected[160_000:240_000], sound)[1] > 0.9
    assert (probe(path).tracks, probe(path, track=track).track) == (2, track)
    with pytest.raises(InvalidInput, match=r"both\.mkv has 2 audio tracks, there is no track 3"):
        probe(path, track=3)


@pytest.mark.parametrize("other", ["anullsrc", "sine=frequency=1000"])
def test_a_default_track_without_speech_gives_way(folder: Path, speech, other: str) -> None:
    path = folder / "two.m4a"
    sources = ["-f", "lavfi", "-t", 45, "-i", other, "-i", folder / "speech.wav"]
    sound_files.ffmpeg(*sources, "-map", "0:a", "-map", "1:a", path)
    _, warnings = decoded(path)
    assert place(path, speech)[1] > 0.95
    assert warnings == ["audio track 2 of 2 (aac) is heard: track 1 carries no speech"]


def test_a_file_that_is_no_sound_at_all_is_refused(folder: Path) -> None:
    path = folder / "picture.png"
    sound_files.ffmpeg("-f", "lavfi", "-i", "color=size=64x64", "-frames:v", 1, path)
    with pytest.raises(InvalidInput, match=r"picture\.png"):
        probe(path)
