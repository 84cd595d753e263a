from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordspot.indexer import faults
from wordspot.indexer.archive import ingest as ingest_module
from wordspot.indexer.archive.attempts import MAX_ATTEMPTS, Attempts
from wordspot.indexer.archive.audio_files import SampleBuffer
from wordspot.indexer.archive.batches import Batch, BatchLimits, PendingRecording
from wordspot.indexer.archive.ingest import Ingest
from wordspot.indexer.archive.originals import Original, Originals
from wordspot.indexer.archive.segments import SegmentReader
from wordspot.indexer.errors import Exhausted, FailedPrecondition, InvalidInput
from wordspot.indexer.records import SAMPLES_PER_TICK, Region, Samples
from wordspot.indexer.sound.opened import OpenFile
from wordspot.indexer.sound.survey import HeardTrack

ONE_EACH = BatchLimits(recordings=1, sections=1)


class Shelf:
    """Takes the batches; what a catalogue would do."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.seconds: dict[str, float] = {}
        self.problems: dict[str, str] = {}

    def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.problems |= batch.problems
        if batch.segment is not None:
            self.seconds |= dict(zip(batch.segment.recordings, batch.seconds, strict=True))


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    folder = tmp_path / "segments"
    folder.mkdir()
    return folder


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    folder = tmp_path / "attempts"
    folder.mkdir()
    return folder


@pytest.fixture
def ingest(segments: Path, attempts: Path, audio: Path, fakes: SimpleNamespace) -> Callable[..., Ingest]:
    def made(**options: object) -> Ingest:
        tools = {
            "originals": Originals(segments.parent, [audio]),
            "attempts": Attempts(attempts),
            "decoder": fakes.WaveDecoder(),
            "segmenter": fakes.LoudnessSegmenter(),
            "embedder": fakes.ProjectionEmbedder(),
            "segments": segments,
            "max_seconds": 60.0,
        }
        return Ingest(**(tools | options))

    return made


@pytest.fixture
def source(audio: Path, fakes: SimpleNamespace) -> Callable[..., PendingRecording]:
    def made(name: str, **options: object) -> PendingRecording:
        path = fakes.write_noise(audio / f"{name}.wav", seed=sum(name.encode()), **options)
        return pending(name, path)

    return made


def pending(name: str, path: Path) -> PendingRecording:
    """A recording whose file is what lies there now."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return PendingRecording(name, Original(str(path), str(path), path.stat().st_size, sha256))


def test_every_recording_is_committed_once_by_several_threads(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], segments: Path
) -> None:
    shelf = Shelf()
    names = [f"r{n}" for n in range(11)]
    ingest(workers=3, limits=BatchLimits(recordings=2)).run(
        [source(name, seconds=1.5) for name in names], shelf, threading.Event()
    )
    assert shelf.seconds == dict.fromkeys(names, 1.5)
    assert all(len(batch.seconds) <= 2 for batch in shelf.batches)
    assert {path.name for path in segments.iterdir()} == {
        batch.segment.name for batch in shelf.batches if batch.segment is not None
    }


def test_regions_and_spans_lie_where_the_speech_is(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    segments: Path,
    fakes: SimpleNamespace,
) -> None:
    shelf = Shelf()
    ingest().run([source("a", seconds=2.335)], shelf, threading.Event())
    sealed = shelf.batches[0].segment
    assert sealed is not None
    reader = SegmentReader.open(segments / sealed.name, sealed.manifest_sha256)
    np.testing.assert_array_equal(reader.regions["start"], [0, 100, 200])
    # 33.5 ticks of the last second: the region and its frames are rounded up.
    np.testing.assert_array_equal(reader.regions["stop"], [90, 190, 234])
    np.testing.assert_array_equal(reader.regions["frame"], [0, 45, 90])
    np.testing.assert_array_equal(reader.frames[:, 0], [*range(45), *range(45), *range(17)])
    np.testing.assert_array_equal(reader.regions["span"], [0, 6, 12])
    assert reader.spans["start"][12:].tolist() == [0, 15, 30]
    assert reader.spans["length"][12:].tolist() == [20, 19, 4]


def test_the_audio_of_a_region_is_what_was_recorded(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], fakes: SimpleNamespace
) -> None:
    one = source("a", seconds=3.0)
    whole = fakes.WaveDecoder().read_stretch(Path(one.original.name), 0.0, 3.0, max_seconds=9)
    heard: list[Samples] = []
    embedder = fakes.ProjectionEmbedder()

    class Listening:
        info = embedder.info

        def embed_all(self, sections: list[tuple[tuple[Samples, ...], np.ndarray]]) -> object:
            for regions, _ in sections:
                heard.extend(regions)
            return embedder.embed_all(sections)

    ingest(embedder=Listening()).run([one], Shelf(), threading.Event())
    for second, region in enumerate(heard):
        np.testing.assert_array_equal(region, whole[second * 16_000 : second * 16_000 + 14_400])
    assert len(heard) == 3


def test_a_silent_recording_is_indexed_without_spans(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording]
) -> None:
    shelf = Shelf()
    ingest().run([source("quiet", seconds=1.0, silent=True)], shelf, threading.Event())
    assert shelf.seconds == {"quiet": 1.0}
    segment = shelf.batches[0].segment
    assert segment is not None
    assert segment.spans == (0,)


def test_a_recording_that_cannot_be_read_is_a_problem_and_the_rest_goes_on(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    audio: Path,
    fakes: SimpleNamespace,
) -> None:
    text = audio / "text.wav"
    text.write_text("not audio")
    changed, gone, linked = source("changed"), source("gone"), source("linked")
    with (audio / "changed.wav").open("ab") as file:
        file.write(b"more")
    (audio / "gone.wav").unlink()
    (audio / "linked.wav").unlink()
    (audio / "linked.wav").symlink_to("/etc/hostname")
    sources = [
        source("one"), pending("text", text), changed, gone, linked,
        source("long", seconds=3.0), source("two"),
    ]  # fmt: skip
    shelf = Shelf()
    ingest(max_seconds=2.0).run(sources, shelf, threading.Event())
    assert set(shelf.seconds) == {"one", "two"}
    assert "is not audio" in shelf.problems["text"]
    assert "bytes; it had 32044 when it was added" in shelf.problems["changed"]
    assert "cannot be read any more" in shelf.problems["gone"]
    assert "linked.wav has been replaced by a link" in shelf.problems["linked"]
    assert "longer than 2.0 s" in shelf.problems["long"]


def test_a_recording_that_fails_half_way_leaves_nothing_in_the_segment(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    segments: Path,
    fakes: SimpleNamespace,
) -> None:
    embedder = fakes.ProjectionEmbedder()

    def refuse_third(count: int) -> None:
        if count == 3:
            raise InvalidInput("no such sound")

    embedder.before = refuse_third
    shelf = Shelf()
    ingest(workers=1, embedder=embedder, limits=BatchLimits(sections=1)).run(
        [source("bad", seconds=5.0), source("good", seconds=1.0)], shelf, threading.Event()
    )
    assert shelf.problems == {"bad": "no such sound"}
    sealed = shelf.batches[0].segment
    assert sealed is not None
    reader = SegmentReader.open(segments / sealed.name, sealed.manifest_sha256)
    assert reader.recordings == ("good",)
    assert len(reader.regions) == 1
    assert (reader.spans["start"] + reader.spans["length"]).max() <= 100


def test_only_problems_make_a_batch_without_a_segment(
    ingest: Callable[..., Ingest], audio: Path, segments: Path
) -> None:
    shelf = Shelf()
    ingest().run(
        [PendingRecording("gone", Original("gone.wav", str(audio / "gone.wav"), 1, "0" * 64))],
        shelf,
        threading.Event(),
    )
    assert [batch.segment for batch in shelf.batches] == [None]
    assert not list(segments.iterdir())


@pytest.mark.parametrize(
    "limits", [BatchLimits(recordings=1), BatchLimits(bytes=1), BatchLimits(seconds=0.0)]
)
def test_a_batch_ends_at_whichever_limit_comes_first(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], limits: BatchLimits
) -> None:
    shelf = Shelf()
    ingest(limits=limits).run([source("a"), source("b"), source("c")], shelf, threading.Event())
    assert [len(batch.seconds) for batch in shelf.batches] == [1, 1, 1]


def test_sections_of_short_recordings_are_embedded_together_and_committed_in_order(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], fakes: SimpleNamespace
) -> None:
    embedder = fakes.ProjectionEmbedder()
    together: list[int] = []

    class Counting:
        info = embedder.info

        def embed_all(self, sections: list[tuple[tuple[Samples, ...], np.ndarray]]) -> object:
            together.append(len(sections))
            return embedder.embed_all(sections)

    shelf = Shelf()
    names = [f"r{n}" for n in range(10)]
    sources = [source(name) for name in names] + [source("quiet", silent=True), source("long", seconds=6.0)]
    ingest(workers=1, embedder=Counting(), limits=BatchLimits(sections=4)).run(
        sources, shelf, threading.Event()
    )
    assert together == [4, 4, 4, 4]
    (batch,) = shelf.batches
    assert batch.segment is not None
    assert batch.segment.recordings == (*names, "quiet", "long")


def test_what_the_encoder_refuses_does_not_spoil_what_came_with_it(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    segments: Path,
    fakes: SimpleNamespace,
) -> None:
    embedder = fakes.ProjectionEmbedder()

    class Picky:
        info = embedder.info

        def embed_all(self, sections: list[tuple[tuple[Samples, ...], np.ndarray]]) -> object:
            if any(len(regions[0]) < 10_000 for regions, _ in sections):
                raise InvalidInput("too short to be heard")
            return embedder.embed_all(sections)

    shelf = Shelf()
    ingest(workers=1, embedder=Picky()).run(
        [source("a"), source("bad", seconds=1.5), source("c")], shelf, threading.Event()
    )
    assert shelf.problems == {"bad": "too short to be heard"}
    (batch,) = shelf.batches
    assert batch.segment is not None
    assert batch.segment.recordings == ("a", "c")
    reader = SegmentReader.open(segments / batch.segment.name, batch.segment.manifest_sha256)
    assert len(reader.frames) == 2 * 45


def test_after_cancelling_finished_recordings_are_committed_and_the_current_is_dropped(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    segments: Path,
    fakes: SimpleNamespace,
) -> None:
    cancelled = threading.Event()
    embedder = fakes.ProjectionEmbedder()

    def cancel_at_fourth(count: int) -> None:
        if count == 4:
            cancelled.set()

    embedder.before = cancel_at_fourth
    shelf = Shelf()
    ingest(workers=1, embedder=embedder, limits=BatchLimits(sections=1)).run(
        [source("a", seconds=2.0), source("b", seconds=4.0), source("c")], shelf, cancelled
    )
    assert set(shelf.seconds) == {"a"}
    assert len(list(segments.iterdir())) == 1


def test_a_failing_encoder_ends_the_run_and_keeps_what_was_committed(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    segments: Path,
    fakes: SimpleNamespace,
) -> None:
    embedder = fakes.ProjectionEmbedder()

    def fail_at_third(count: int) -> None:
        if count == 3:
            raise FailedPrecondition("the encoder has gone")

    embedder.before = fail_at_third
    shelf = Shelf()
    with pytest.raises(FailedPrecondition, match="the encoder has gone"):
        ingest(workers=1, embedder=embedder, limits=ONE_EACH).run(
            [source(name) for name in "abcd"], shelf, threading.Event()
        )
    assert set(shelf.seconds) == {"a", "b"}
    assert len(list(segments.iterdir())) == 2


@pytest.mark.parametrize("point", ["recording-written", "segment-written", "segment-renamed"])
def test_a_full_disk_ends_the_run_and_removes_what_was_not_committed(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], segments: Path, point: str
) -> None:
    shelf = Shelf()

    def commit_then_fill_the_disk(batch: Batch) -> None:
        shelf(batch)
        faults.arm(point, "enospc")

    with pytest.raises(Exhausted, match="no space left"):
        ingest(workers=1, limits=ONE_EACH).run(
            [source("a"), source("b")], commit_then_fill_the_disk, threading.Event()
        )
    assert set(shelf.seconds) == {"a"}
    assert len(list(segments.iterdir())) == 1


def test_a_catalogue_without_space_takes_the_segment_away_again(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], segments: Path
) -> None:
    def refuse(batch: Batch) -> None:
        raise Exhausted("no space left on the disk for the catalogue")

    with pytest.raises(Exhausted):
        ingest().run([source("a")], refuse, threading.Event())
    assert not list(segments.iterdir())


def test_the_audio_held_does_not_grow_with_the_recording(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], fakes: SimpleNamespace
) -> None:
    """Ten minutes come in blocks; at most a section and a block are alive at any time."""
    alive, most = 0, 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            if self.base is None:
                alive -= len(self)

    class LongDecoder(fakes.WaveDecoder):
        def read_blocks(self, path: Path, heard: list[HeardTrack], **options: object) -> Iterator[Samples]:
            nonlocal alive, most
            heard.append(HeardTrack(1, 1, 1, (1,)))
            for _ in range(600):
                block = Counted((16_000,), dtype=np.float32)
                block[:] = 0.5
                alive += len(block)
                most = max(most, alive)
                yield block

    shelf = Shelf()
    ingest(decoder=LongDecoder(), max_seconds=900.0).run([source("long")], shelf, threading.Event())
    assert shelf.seconds == {"long": 600.0}
    assert most <= 4 * 16_000


def test_whatever_a_decoder_raises_is_the_failure_of_one_recording(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], fakes: SimpleNamespace
) -> None:
    class Broken(fakes.WaveDecoder):
        def read_blocks(self, file: OpenFile, **options: object) -> Iterator[Samples]:
            yield from super().read_blocks(file, **options)
            if file.name.endswith("broken.wav"):
                raise OSError("out of sorts")

    shelf = Shelf()
    ingest(decoder=Broken()).run([source("good"), source("broken"), source("fine")], shelf, threading.Event())
    assert set(shelf.seconds) == {"good", "fine"}
    assert list(shelf.problems) == ["broken"]
    assert "broken.wav cannot be decoded (OSError: out of sorts)" in shelf.problems["broken"]


def test_what_a_decoder_warns_of_is_kept_with_the_recording(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], fakes: SimpleNamespace
) -> None:
    class Warning(fakes.WaveDecoder):
        def read_blocks(self, file: OpenFile, warnings: list[str], **options: object) -> Iterator[Samples]:
            yield from super().read_blocks(file, **options)
            if file.name.endswith("gappy.wav"):
                warnings.append("no sound from 1 to 2 s")

    shelf = Shelf()
    ingest(decoder=Warning()).run([source("good"), source("gappy")], shelf, threading.Event())
    noticed = {name: lines for batch in shelf.batches for name, lines in batch.warnings.items()}
    assert noticed == {"gappy": ("no sound from 1 to 2 s",)}


def test_a_buffer_returns_any_stretch_that_was_not_discarded() -> None:
    whole = np.arange(1_000, dtype=np.float32)
    buffer = SampleBuffer(iter([whole[:130], whole[130:700], whole[700:]]))
    for _ in buffer:
        pass
    assert buffer.samples == 1_000
    np.testing.assert_array_equal(buffer.cut(Region(0, 5)), whole[: 5 * SAMPLES_PER_TICK])
    buffer.discard_before(1)
    np.testing.assert_array_equal(buffer.cut(Region(1, 3)), whole[160:480])
    np.testing.assert_array_equal(buffer.cut(Region(5, 7)), [*whole[800:], *[0.0] * 120])
    with pytest.raises(ValueError, match="at or after sample 130, got 0"):
        buffer.cut(Region(0, 1))


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    yield
    faults.disarm()


def test_a_recording_that_an_earlier_process_did_not_survive_comes_last_and_alone(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], attempts: Path
) -> None:
    for name in ("a", "c"):
        Attempts(attempts).begin(name)
    shelf = Shelf()
    ingest(workers=2).run([source(name) for name in "abcd"], shelf, threading.Event())
    assert shelf.seconds == dict.fromkeys("abcd", 1.0)
    lots = [batch.segment.recordings for batch in shelf.batches if batch.segment is not None]
    assert lots[-2:] == [("a",), ("c",)]
    assert Attempts(attempts).counts() == {}


def test_a_recording_that_ends_every_process_is_given_up(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], attempts: Path
) -> None:
    for _ in range(MAX_ATTEMPTS):
        Attempts(attempts).begin("poison")
    shelf = Shelf()
    ingest().run([source("poison"), source("fine")], shelf, threading.Event())
    assert shelf.problems == {"poison": f"the process died {MAX_ATTEMPTS} times while indexing it"}
    assert shelf.seconds == {"fine": 1.0}
    assert Attempts(attempts).counts() == {}  # whoever indexes again asks for it


def test_what_is_being_read_is_noted_until_its_vectors_are_written(
    ingest: Callable[..., Ingest],
    source: Callable[..., PendingRecording],
    attempts: Path,
    fakes: SimpleNamespace,
) -> None:
    embedder = fakes.ProjectionEmbedder()
    noted: list[set[str]] = []
    embedder.before = lambda count: noted.append(set(Attempts(attempts).counts()))
    ingest(embedder=embedder, workers=1, limits=ONE_EACH).run(
        [source("a"), source("b")], Shelf(), threading.Event()
    )
    assert noted == [{"a"}, {"b"}]


def test_the_first_batches_are_committed_early(
    ingest: Callable[..., Ingest], source: Callable[..., PendingRecording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a process that dies every few seconds gets on."""
    clock = itertools.count()
    monkeypatch.setattr(ingest_module.time, "monotonic", lambda: float(next(clock)))
    shelf = Shelf()
    limits = BatchLimits(seconds=1_000.0, first_seconds=1.0)
    ingest(workers=1, limits=limits).run([source(f"r{n}") for n in range(40)], shelf, threading.Event())
    sizes = [len(batch.seconds) for batch in shelf.batches]
    assert sum(sizes) == 40
    assert sizes[0] == 1
    assert sizes[:-1] == sorted(sizes[:-1])
    assert sizes[-2] > 3
