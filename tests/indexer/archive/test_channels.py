"""Channels and tracks of recordings as streams of their own, from the file to the hit and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.bench import sound_files
from tests.indexer.archive.conftest import identities
from tests.indexer.archive.test_library import HOMES
from wordspot.indexer import faults
from wordspot.indexer.archive import catalogue_file
from wordspot.indexer.archive.batches import BatchLimits
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.rebuild import rebuild
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.records import SAMPLE_RATE, Hit, Mode, QueryAudio, SearchOptions
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.query import embed_query
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.sound.audio import DirectDecoder
from wordspot.indexer.streams import Selection, Stream

Open = Callable[..., Library]
SECONDS = 3
LEFT, RIGHT = Stream(0, 1, (1,)), Stream(0, 2, (2,))


def noise(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """Noise whose loudness wanders as its seed says, with a pause of 0.1 s in each second."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE)
    sound = np.repeat(rng.uniform(0.1, 0.9, samples // 400), 400) * rng.uniform(-1, 1, samples)
    sound[np.arange(samples) % SAMPLE_RATE >= round(0.9 * SAMPLE_RATE)] = 0
    return sound.astype(np.float32)


@pytest.fixture
def written(audio: Path) -> Callable[..., Path]:
    def write(name: str, *channels: np.ndarray) -> Path:
        soundfile.write(audio / name, np.stack(channels, axis=1), SAMPLE_RATE, subtype="PCM_16")
        return audio / name

    return write


@pytest.fixture
def heard(open_library: Open) -> Open:
    """Opens a library that decodes all that is sound."""

    def opened(**options: Any) -> Library:
        return open_library(decoder=DirectDecoder(), **options)

    return opened


@pytest.fixture
def library(heard: Open) -> Library:
    library = heard()
    library.create_archive("words")
    return library


def index(library: Library, **options: str) -> Any:
    *_, last = library.watch_operation(library.start_index("words", **options).id)
    return last


def added(library: Library, *paths: Path) -> list[str]:
    return [library.add_path("words", path)[0].id for path in paths]


def streams(library: Library) -> list[tuple[Stream, ...]]:
    return [recording.streams for recording in library.list_recordings("words").items]


def hits(library: Library, sound: np.ndarray, embedders: Any, **options: Any) -> tuple[Hit, ...]:
    """What is like the first span of the sound, by vectors: frames of the fake embedder are all alike."""
    query = embed_query(QueryAudio(sound[: SAMPLE_RATE // 2], 0, 20), embedders("fake"), Mode.SOUND)
    options = {"include_undetected": True, "top": 3} | options
    return (
        Finder(SearchSettings(rerank=False)).find(library.view("words"), query, SearchOptions(**options)).hits
    )


def regions_by_stream(library: Library) -> dict[tuple[str, int], list[tuple[int, int]]]:
    view = library.view("words")
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for region, (start, stop) in enumerate(zip(view.region_start, view.region_stop, strict=True)):
        recording = view.recordings[view.region_recording[region]]
        found.setdefault((recording.path, view.stream(region).channel), []).append((int(start), int(stop)))
    return found


def test_each_channel_is_a_stream_that_is_found_on_its_side_alone(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    left, right = noise(1), noise(2)
    (recording,) = added(library, written("two.wav", left, right))
    assert index(library, channels="each").state is OperationState.SUCCEEDED
    assert library.get_archive("words").selection == Selection("each")
    assert streams(library) == [(LEFT, RIGHT)]
    for number, sound in enumerate((left, right), 1):
        best = hits(library, sound, embedders)[0]
        assert (best.recording, best.channel, best.track) == (recording, number, 0)
        assert best.start == pytest.approx(0.0, abs=0.05)
        clip = library.clip("words", recording, 0.0, 1.0, channel=best.channel)
        np.testing.assert_allclose(clip, sound[:SAMPLE_RATE], atol=1e-3)
        only = hits(library, sound, embedders, channel=number)
        assert {hit.channel for hit in only} == {number}
        assert only[0] == best
        other = hits(library, sound, embedders, channel=3 - number)
        assert {hit.channel for hit in other} == {3 - number}


def test_the_mix_is_what_it_was_and_says_on_which_channels_something_is(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    left, right, silence = noise(1), noise(2), np.zeros(SECONDS * SAMPLE_RATE, np.float32)
    added(
        library,
        written("one.wav", left),
        written("two.wav", left, right),
        written("right.wav", silence, right),
    )
    index(library)
    assert streams(library) == [(Stream(),), (Stream(0, 0, (1, 2)),), (Stream(0, 0, (2,)),)]
    assert {hit.channel for hit in hits(library, left, embedders)} <= {0, 2}
    (best, *_) = hits(library, right, embedders, channel=2)
    assert (best.path, best.channel) == (str(library.list_recordings("words").items[2].path), 2)
    with pytest.raises(NotFound, match=r"has channel 3 by itself: .*--channels each"):
        hits(library, left, embedders, channel=3)


def test_a_channel_out_of_range_is_refused(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    added(library, written("one.wav", noise(1)))
    index(library)
    for channel in (-1, 65):
        with pytest.raises(InvalidInput, match=f"channel must be between 0 and 64, got {channel}"):
            hits(library, noise(1), embedders, channel=channel)


def test_identical_channels_are_indexed_once_and_found_under_each_number(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    one, other = noise(1), noise(2)
    added(library, written("three.wav", one, other, -0.9 * one))
    index(library, channels="each")
    assert streams(library) == [(Stream(0, 1, (1, 3)), RIGHT)]
    assert [hits(library, one, embedders, channel=number)[0].channel for number in (1, 3)] == [1, 1]
    (recording,) = library.list_recordings("words").items
    assert recording.warnings == ("channel 3 of 3 sounds as channel 1",)


def test_what_is_said_once_but_heard_by_two_microphones_is_one_hit(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    one, other = noise(1), noise(2)
    added(library, written("leak.wav", one + 0.05 * other, other + 0.05 * one))
    index(library, channels="each")
    assert len(streams(library)[0]) == 2
    places = [(hit.start, hit.end) for hit in hits(library, one, embedders, top=50)]
    for number, (start, end) in enumerate(places):
        for begin, stop in places[:number]:
            assert min(end, stop) - max(start, begin) <= 0.5 * min(end - start, stop - begin) + 0.011
    assert hits(library, one, embedders)[0].channel == 1
    assert hits(library, other, embedders)[0].channel == 2


def test_one_channel_of_all_is_indexed_and_what_lacks_it_is_said(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    left, right = noise(1), noise(2)
    added(library, written("one.wav", left), written("two.wav", left, right))
    done = index(library, channels="2")
    assert (done.recordings_done, done.recordings_failed) == (1, 1)
    first, second = library.list_recordings("words").items
    assert first.problem.endswith("one.wav has 1 channel, there is no channel 2")
    assert second.streams == (RIGHT,)
    assert {hit.channel for hit in hits(library, right, embedders)} == {2}
    clip = library.clip("words", second.id, 0.0, 1.0)  # as it is indexed
    np.testing.assert_allclose(clip, right[:SAMPLE_RATE], atol=1e-3)


@pytest.mark.parametrize("channels", ["both", "0", "65"])
def test_a_selection_that_is_none_is_refused_before_anything_starts(library: Library, channels: str) -> None:
    with pytest.raises(InvalidInput, match="channels must be mix, each or a number from 1 to 64, got"):
        library.start_index("words", channels=channels)
    assert library.list_operations("words").items == ()


def test_later_additions_keep_the_selection(
    library: Library, written: Callable[..., Path], heard: Open
) -> None:
    added(library, written("a.wav", noise(1), noise(2)))
    index(library, channels="each")
    added(library, written("b.wav", noise(3), noise(4)))
    index(library)
    library.close()
    again = heard()
    added(again, written("c.wav", noise(5), noise(6)))
    index(again, encoder="other")
    assert streams(again) == [(LEFT, RIGHT)] * 3
    assert again.get_archive("words").selection == Selection("each")


def test_a_change_reads_only_what_it_concerns_and_the_old_state_answers_meanwhile(
    library: Library, written: Callable[..., Path], embedders: Any
) -> None:
    sounds = [noise(seed) for seed in range(6)]
    added(library, *(written(f"mono{n}.wav", sounds[n]) for n in range(3)))
    added(library, written("two.wav", sounds[3], sounds[4]))
    index(library)
    before = hits(library, sounds[0], embedders)
    embedded: list[int] = []
    embedders("fake").before = embedded.append
    done = index(library, channels="each")
    assert (done.recordings_total, done.recordings_done) == (1, 1)
    assert len(embedded) == 2 * SECONDS
    assert hits(library, sounds[0], embedders)[0].path == before[0].path
    assert [len(each) for each in streams(library)] == [1, 1, 1, 2]
    assert library.verify("words") == ()
    embedded.clear()
    assert index(library, channels="each").recordings_total == 0
    assert index(library, channels="mix").recordings_done == 1
    assert hits(library, sounds[0], embedders) == before
    assert library.get_archive("words").selection == Selection()


def test_a_change_that_was_interrupted_is_resumed_with_its_selection(
    library: Library, written: Callable[..., Path], heard: Open, embedders: Any
) -> None:
    added(library, written("mono.wav", noise(1)), written("two.wav", noise(2), noise(3)))
    index(library)
    faults.arm("generation-ready", "enospc")
    failed = index(library, channels="each")
    faults.disarm()
    assert failed.state is OperationState.FAILED
    assert [len(each) for each in streams(library)] == [1, 1]
    library.close()
    again = heard()
    *_, last = again.watch_operation(again.resume_operation(failed.id).id)
    assert last.state is OperationState.SUCCEEDED
    assert [len(each) for each in streams(again)] == [1, 2]
    assert again.get_archive("words").selection == Selection("each")


def test_a_damaged_segment_is_read_anew_by_a_change(
    library: Library, written: Callable[..., Path], tmp_path: Path
) -> None:
    added(library, written("mono.wav", noise(1)))
    index(library)
    added(library, written("mono2.wav", noise(2)), written("two.wav", noise(3), noise(4)))
    index(library)
    oldest = min((tmp_path / "home" / "segments").iterdir(), key=lambda path: path.stat().st_mtime)
    data = bytearray((oldest / "vectors.npy").read_bytes())
    data[-1] ^= 1
    (oldest / "vectors.npy").write_bytes(data)
    done = index(library, channels="each")
    assert (done.state, done.recordings_done) == (OperationState.SUCCEEDED, 2)
    assert library.verify("words") == ()
    assert [len(each) for each in streams(library)] == [1, 1, 2]


def test_compaction_keeps_channels(library: Library, written: Callable[..., Path], embedders: Any) -> None:
    for seed in range(3):
        added(library, written(f"{seed}.wav", noise(2 * seed), noise(2 * seed + 1)))
        index(library, channels="each")
    before = regions_by_stream(library), hits(library, noise(3), embedders), streams(library)
    doomed = added(library, written("doomed.wav", noise(20), noise(21)))
    index(library)
    library.delete_recording("words", doomed[0])
    assert library.compact("words").segments_after == 1
    assert (regions_by_stream(library), hits(library, noise(3), embedders), streams(library)) == before


def test_small_segments_that_are_merged_by_themselves_keep_channels(
    heard: Open, written: Callable[..., Path], embedders: Any
) -> None:
    library = heard(limits=BatchLimits(recordings=1))
    library.create_archive("words")
    added(library, *(written(f"{seed}.wav", noise(2 * seed), noise(2 * seed + 1)) for seed in range(9)))
    index(library, channels="each")
    assert library.get_archive("words").segments < 9
    for seed in range(18):
        assert hits(library, noise(seed), embedders)[0].channel == seed % 2 + 1


def test_a_repair_keeps_channels(
    library: Library, written: Callable[..., Path], tmp_path: Path, embedders: Any
) -> None:
    added(library, written("two.wav", noise(1), noise(2)))
    index(library, channels="each")
    before = regions_by_stream(library)
    (segment,) = (tmp_path / "home" / "segments").iterdir()
    (segment / "spans.npy").unlink()
    assert len(library.verify("words")) == 1
    *_, last = library.watch_operation(library.repair("words").id)
    assert last.recordings_done == 1
    assert (regions_by_stream(library), streams(library)) == (before, [(LEFT, RIGHT)])


def test_a_rebuilt_catalogue_knows_channels(
    library: Library, written: Callable[..., Path], heard: Open, tmp_path: Path, embedders: Any
) -> None:
    added(library, written("mono.wav", noise(5)), written("two.wav", noise(1), noise(2)))
    index(library, channels="each")
    before = regions_by_stream(library), hits(library, noise(2), embedders), streams(library)
    library.close()
    (tmp_path / "home" / catalogue_file.NAME).unlink()
    rebuild(tmp_path / "home")
    again = heard()
    assert (regions_by_stream(again), hits(again, noise(2), embedders), streams(again)) == before
    assert again.get_archive("words").selection == Selection("each")
    assert index(again).recordings_total == 0


def test_region_audio_is_that_of_the_stream(library: Library, written: Callable[..., Path]) -> None:
    sides = noise(1), noise(2)
    (recording,) = added(library, written("two.wav", *sides))
    index(library, channels="each")
    view = library.view("words")
    for region in range(len(view.region_start)):
        stream = view.stream(region)
        stretch = SimpleNamespace(start=int(view.region_start[region]), stop=int(view.region_stop[region]))
        (sound,) = library.region_audio("words", recording, [stretch], stream)
        expected = sides[stream.channel - 1][stretch.start * 160 : stretch.stop * 160]
        np.testing.assert_allclose(sound, expected, atol=1e-3)


@pytest.mark.skipif(not sound_files.has_ffmpeg(), reason="ffmpeg is not installed: make debian")
def test_tracks_are_streams_that_hits_name(
    library: Library, written: Callable[..., Path], audio: Path, embedders: Any
) -> None:
    one, other = noise(1), noise(2)
    parts = [written("one.wav", one), written("other.wav", other)]
    path = audio / "both.mkv"
    maps = ["-map", "0:a", "-map", "1:a", "-c:a", "pcm_s16le"]
    sound_files.ffmpeg("-i", parts[0], "-i", parts[1], *maps, path)
    (recording,) = added(library, path)
    index(library)
    assert (hits(library, one, embedders)[0].track, streams(library)) == (0, [(Stream(),)])
    index(library, tracks="all")
    assert streams(library) == [(Stream(1), Stream(2))]
    for number, sound in enumerate((one, other), 1):
        best = hits(library, sound, embedders)[0]
        assert (best.track, best.channel) == (number, 0)
        clip = library.clip("words", recording, 0.0, 1.0, track=best.track)
        np.testing.assert_allclose(clip, sound[:SAMPLE_RATE], atol=1e-3)
    index(library, tracks="2")
    assert streams(library) == [(Stream(2),)]
    np.testing.assert_allclose(library.clip("words", recording, 0.0, 1.0), other[:SAMPLE_RATE], atol=1e-3)
    assert index(library, tracks="3").recordings_failed == 1
    assert (
        "both.mkv has 2 audio tracks, there is no track 3"
        in library.list_recordings("words").items[0].problem
    )


def test_segments_of_the_version_before_answer_as_they_did(
    tmp_path: Path, open_library: Open, embedders: Any
) -> None:
    shutil.copytree(HOMES / "0004", tmp_path / "home")
    library = open_library()
    for archive, encoder, expected in (
        ("words", "fake", [("second.wav", 0.3, 5.756, 0.971), ("first.wav", 0.3, 5.708, 0.9682)]),
        ("meant", "semantic", [("first.wav", 0.3, 5.937, 0.9796), ("second.wav", 0.3, 5.809, 0.9739)]),
    ):
        sound = library.clip(archive, identities(library, archive)[0], 0.0, 1.0)
        query = embed_query(QueryAudio(sound, 0, 30), embedders(encoder), Mode.SOUND)
        found = Finder().find(library.view(archive), query, SearchOptions(include_undetected=True)).hits
        assert [(hit.path, hit.end, hit.score, hit.p_correct) for hit in found] == expected
        assert {(hit.channel, hit.track) for hit in found} == {(0, 0)}
        assert {recording.streams for recording in library.list_recordings(archive).items} == {(Stream(),)}
        assert library.verify(archive) == ()


def test_a_default_archive_is_stored_as_before(
    library: Library, written: Callable[..., Path], tmp_path: Path
) -> None:
    added(library, written("one.wav", noise(1)))
    index(library)
    (segment,) = (tmp_path / "home" / "segments").iterdir()
    manifest = json.loads((segment / "manifest.json").read_text())
    assert (manifest["format"], "selection" in manifest) == (4, False)
