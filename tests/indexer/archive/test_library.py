from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.indexer.archive.conftest import files_below, identities, upload
from wordspot.indexer import faults
from wordspot.indexer.archive.batches import BatchLimits
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import CompactionSummary, RecordingState
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import (
    AlreadyExists,
    DataLoss,
    Exhausted,
    FailedPrecondition,
    InvalidInput,
    NotFound,
)
from wordspot.indexer.records import Embedder, EncoderInfo, Mode, QueryAudio, Region, Samples, SearchOptions
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.query import embed_query
from wordspot.indexer.vectors.buckets import NOMINAL_TICKS, BucketedIndex
from wordspot.indexer.vectors.policy import IndexPolicy
from wordspot.indexer.vectors.protocol import normalised
from wordspot.indexer.vectors.stored import SegmentSpans

ONE_EACH = BatchLimits(recordings=1)
HOMES = Path(__file__).parents[2] / "data" / "homes"  # by catalogue schema, as homes/make.py makes them
Open = Callable[..., Library]


def found(view: ArchiveView, query: np.ndarray) -> set[str]:
    """Recordings that a search of everything alive meets."""
    ids, _ = view.index.search(query, view.spans, 20, view.alive_spans)
    region, _, _ = view.span_extents(ids[ids >= 0])
    return {view.recordings[ordinal].id for ordinal in view.region_recording[region]}


QUERY = np.eye(1, 12, dtype=np.float32)


def heard(view: ArchiveView, mode: Mode, samples: Samples, embedder: Embedder) -> set[str]:
    """Recordings in which a search finds the first 0.3 s of the samples."""
    query = embed_query(QueryAudio(samples, 0, 30), embedder, mode)
    options = SearchOptions(include_undetected=True, mode=mode)
    return {hit.recording for hit in Finder().find(view, query, options).hits}


# Archives


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "ä", "a/b", "a" * 65, "a\n"])
def test_a_name_that_is_not_allowed_is_refused(library: Library, name: str) -> None:
    with pytest.raises(InvalidInput, match="archive name"):
        library.create_archive(name)


def test_archives_are_listed_by_name_in_pages(library: Library) -> None:
    for name in ("b", "C.2", "a" * 64):
        library.create_archive(name)
    first = library.list_archives(limit=3)
    rest = library.list_archives(first.next, limit=3)
    assert [archive.name for archive in (*first.items, *rest.items)] == ["C.2", "a" * 64, "b", "words"]
    assert rest.next == ""
    with pytest.raises(InvalidInput, match="between 1 and 1,000, got 0"):
        library.list_archives(limit=0)


def test_a_taken_name_is_refused(library: Library) -> None:
    with pytest.raises(AlreadyExists, match="'words'"):
        library.create_archive("words")


def test_an_unknown_archive_is_not_found_whatever_is_asked_of_it(
    library: Library, noise: Callable[..., Path]
) -> None:
    for ask in (
        lambda: library.get_archive("x"),
        lambda: library.delete_archive("x"),
        lambda: library.compact("x"),
        lambda: library.verify("x"),
        lambda: library.view("x"),
        lambda: library.add_path("x", noise("a")),
        lambda: library.begin_upload("x", "a.wav", "0" * 64, 1),
        lambda: library.list_recordings("x"),
        lambda: library.get_recording("x", "y"),
        lambda: library.delete_recording("x", "y"),
        lambda: library.clip("x", "y", 0.0, 1.0),
        lambda: library.start_index("x"),
        lambda: library.list_operations("x"),
    ):
        with pytest.raises(NotFound, match="no archive 'x'"):
            ask()


def test_the_summary_counts_what_is_not_deleted(filled: Library, tmp_path: Path) -> None:
    before = filled.get_archive("words")
    assert (before.recordings, before.indexed_recordings, before.audio_seconds) == (6, 6, 8.0)
    assert before.encoder == "fake"
    assert before.encoder_hash == "f" * 64
    assert before.spans == filled.view("words").spans
    assert before.size == sum(
        (tmp_path / "home" / "segments" / name).stat().st_size
        for name in files_below(tmp_path / "home" / "segments")
    )
    filled.delete_recording("words", identities(filled)[5])
    after = filled.get_archive("words")
    assert (after.recordings, after.indexed_recordings, after.audio_seconds) == (5, 5, 6.0)
    assert after.spans == before.spans - 12


def test_a_deleted_archive_is_gone_with_its_files_and_its_name_is_free(
    filled: Library, noise: Callable[..., Path], tmp_path: Path, audio: Path
) -> None:
    upload(filled, noise("uploaded"))
    filled.delete_archive("words")
    with pytest.raises(NotFound):
        filled.view("words")
    assert filled.list_archives().items == ()
    for folder in ("segments", "audio", "cache", "uploads"):
        assert files_below(tmp_path / "home" / folder) == []
    assert len(files_below(audio)) == 7  # files added by path are their owner's
    assert filled.create_archive("words").recordings == 0
    with pytest.raises(FailedPrecondition, match="'words' is not indexed yet"):
        filled.view("words")


# Recordings


def test_recordings_are_listed_in_order_of_adding_in_pages(
    library: Library, noise: Callable[..., Path]
) -> None:
    added = [library.add_path("words", noise(name))[0].id for name in "dacbe"]
    library.delete_recording("words", added[2])
    pages, after = [], ""
    while not pages or after:
        page = library.list_recordings("words", after, limit=2)
        pages.append([recording.id for recording in page.items])
        after = page.next
    assert pages == [[added[0], added[1]], [added[3], added[4]]]
    for token in ("x", "-1", "1e3", "9" * 30):
        with pytest.raises(InvalidInput, match="is not a page token"):
            library.list_recordings("words", token)


def test_a_deleted_recording_is_gone_at_once_also_from_searches_and_after_a_restart(
    filled: Library, open_library: Open
) -> None:
    before = filled.view("words")
    victim = identities(filled)[1]
    assert victim in found(before, QUERY)
    filled.delete_recording("words", victim)
    after = filled.view("words")
    assert found(after, QUERY) == found(before, QUERY) - {victim}
    for ask in (filled.get_recording, filled.delete_recording):
        with pytest.raises(NotFound, match=victim):
            ask("words", victim)
    filled.close()
    again = open_library().view("words")
    assert found(again, QUERY) == found(after, QUERY)


def test_a_clip_is_the_sound_of_the_stretch(
    library: Library, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    path = noise("a", seconds=2.0)
    recording, _ = library.add_path("words", path)
    whole = fakes.WaveDecoder().read_stretch(path, 0.0, 2.0, max_seconds=9.0)
    np.testing.assert_array_equal(library.clip("words", recording.id, 0.5, 0.75), whole[8_000:12_000])
    np.testing.assert_array_equal(library.clip("words", recording.id, 1.5, 3.0), whole[24_000:])


def test_the_sound_of_regions_is_that_of_the_recording_and_silence_behind_its_end(
    library: Library, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    path = noise("a", seconds=3.0)
    recording, _ = library.add_path("words", path)
    whole = fakes.WaveDecoder().read_stretch(path, 0.0, 3.0, max_seconds=9.0)
    regions = [Region(10, 40), Region(40, 45), Region(250, 310)]
    first, second, third = library.region_audio("words", recording.id, regions)
    np.testing.assert_array_equal(first, whole[1_600:6_400])
    np.testing.assert_array_equal(second, whole[6_400:7_200])
    np.testing.assert_array_equal(third, np.pad(whole[40_000:], (0, 1_600)))
    path.unlink()
    with pytest.raises(FailedPrecondition, match=r"a\.wav cannot be read any more"):
        list(library.region_audio("words", recording.id, regions))


def test_the_content_of_a_recording_is_that_of_its_file(library: Library, noise: Callable[..., Path]) -> None:
    path = noise("a", seconds=20.0)
    recording, _ = library.add_path("words", path)
    data = path.read_bytes()
    pieces = list(library.content("words", recording.id))
    assert b"".join(piece.data for piece in pieces) == data
    assert {piece.size for piece in pieces} == {len(data)}
    assert len(pieces) > 2
    (part,) = library.content("words", recording.id, 600_000, 99)
    assert part.data == data[600_000:600_099]
    assert b"".join(piece.data for piece in library.content("words", recording.id, 600_000)) == data[600_000:]
    for offset, length in ((-1, 0), (len(data), 0), (0, -1)):
        with pytest.raises(InvalidInput, match="must be"):
            list(library.content("words", recording.id, offset, length))


def test_content_that_changes_while_it_is_read_is_told_at_the_end(
    library: Library, noise: Callable[..., Path]
) -> None:
    path = noise("a", seconds=20.0)
    recording, _ = library.add_path("words", path)
    pieces = library.content("words", recording.id)
    next(pieces)
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(FailedPrecondition, match=r"a\.wav"):
        list(pieces)


@pytest.mark.parametrize(
    ("start", "end"),
    [(1.0, 1.0), (-1.0, 1.0), (0.0, float("nan")), (0.0, float("inf")), (0.0, 60.1), (9.0, 10.0)],
)
def test_a_clip_that_cannot_be_is_refused(
    library: Library, noise: Callable[..., Path], start: float, end: float
) -> None:
    recording, _ = library.add_path("words", noise("a"))
    with pytest.raises(InvalidInput):
        library.clip("words", recording.id, start, end)


def test_a_clip_of_a_file_that_vanished_or_changed_says_so(
    library: Library, noise: Callable[..., Path]
) -> None:
    recording, _ = library.add_path("words", noise("a"))
    noise("a", seconds=2.0)
    with pytest.raises(FailedPrecondition, match="has 64044 bytes; it had 32044 when it was added"):
        library.clip("words", recording.id, 0.0, 0.1)
    Path(recording.path).unlink()
    with pytest.raises(FailedPrecondition, match=r"a\.wav cannot be read any more"):
        library.clip("words", recording.id, 0.0, 0.1)


# Indexing


def test_indexing_makes_recordings_searchable(
    library: Library, noise: Callable[..., Path], fakes: SimpleNamespace, audio: Path
) -> None:
    (audio / "cut.wav").write_bytes(noise("whole").read_bytes())
    ids = [library.add_path("words", noise(name))[0].id for name in "ab"]
    quiet, _ = library.add_path("words", noise("quiet", silent=True))
    cut, _ = library.add_path("words", audio / "cut.wav")
    with (audio / "cut.wav").open("ab") as file:
        file.write(b"?")
    operation = fakes.index(library, "words")
    assert operation.state is OperationState.SUCCEEDED
    assert (operation.recordings_total, operation.recordings_done, operation.recordings_failed) == (4, 3, 1)
    assert (operation.audio_seconds_done, operation.spans_done, operation.problem) == (3.0, 12, "")
    assert library.get_recording("words", ids[0]).state is RecordingState.INDEXED
    assert library.get_recording("words", quiet.id).state is RecordingState.INDEXED
    failed = library.get_recording("words", cut.id)
    assert failed.state is RecordingState.FAILED
    assert "32045 bytes; it had 32044" in failed.problem
    assert found(library.view("words"), QUERY) == set(ids)


def test_the_view_gives_each_span_its_recording_times_vector_and_frames(
    filled: Library, fakes: SimpleNamespace
) -> None:
    view = filled.view("words")
    assert len(view.vectors) > 1
    assert view.encoder == fakes.ENCODER
    assert {entry.id: entry.duration for entry in view.recordings} == {
        recording.id: recording.seconds for recording in filled.list_recordings("words").items
    }
    rows = np.concatenate(view.vectors)
    assert len(rows) == view.spans == view.index.size == 6 * 6 + 2 * 6
    region, start, stop = view.span_extents(np.arange(view.spans))
    assert (view.region_start[region] <= start).all()
    assert (start < stop).all()
    assert (stop <= view.region_stop[region]).all()
    for number, first, last in zip(region.tolist(), start.tolist(), stop.tolist(), strict=True):
        frames = view.region_frames(number, first, last)
        assert frames[0, 0] == (first - view.region_start[number]) // 2
    for ordinal, (first, last) in enumerate(view.span_ranges(range(len(view.recordings)))):
        assert (view.region_recording[region[first:last]] == ordinal).all()
    assert view.recording_span[-1] == view.spans
    some = np.array([30, 2, 47, 2])
    np.testing.assert_array_equal(view.span_vectors(some), rows[some])
    # The same file embedded by itself gives the row that the view shows.
    entry = view.recordings[2]
    audio = fakes.WaveDecoder().read_stretch(Path(entry.path), 0.0, 0.9, max_seconds=9)
    spans = np.stack([np.zeros(6), range(0, 90, 15), np.minimum(np.arange(0, 90, 15) + 20, 90)], 1).astype(
        int
    )
    expected = fakes.ProjectionEmbedder().embed([audio], spans).vectors
    stored = normalised(rows[slice(*view.span_ranges([2])[0])])
    np.testing.assert_allclose(stored, expected, atol=1e-2)
    with pytest.raises(ValueError, match="read-only"):
        view.region_start[0] = 1


def test_an_archive_that_was_never_indexed_cannot_be_searched(library: Library) -> None:
    with pytest.raises(FailedPrecondition, match="'words' is not indexed yet"):
        library.view("words")
    with pytest.raises(FailedPrecondition, match="'words' is not indexed yet"):
        library.compact("words")


def test_an_empty_archive_can_be_indexed_and_searched(library: Library, fakes: SimpleNamespace) -> None:
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    view = library.view("words")
    assert view.spans == 0
    assert (view.index.search(QUERY, 5, 20)[0] == -1).all()


def test_an_unknown_encoder_is_not_found(library: Library) -> None:
    with pytest.raises(NotFound, match="no encoder 'x'"):
        library.start_index("words", "x")


def test_adding_a_recording_indexes_only_that(
    filled: Library, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    segments = {path: path.stat().st_mtime_ns for path in (tmp_path / "home" / "segments").iterdir()}
    filled.add_path("words", noise("new"))
    operation = fakes.index(filled, "words")
    assert (operation.recordings_total, operation.recordings_done) == (1, 1)
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "home" / "segments").iterdir()}
    assert segments.items() < now.items()
    assert len(now) == len(segments) + 1


def test_recordings_become_searchable_batch_by_batch(
    open_library: Open, noise: Callable[..., Path], fakes: SimpleNamespace, embedders: object
) -> None:
    library = open_library(limits=ONE_EACH, workers=1)
    library.create_archive("words")
    ids = [library.add_path("words", noise(name))[0].id for name in "abc"]
    reached, go_on = threading.Event(), threading.Event()

    def hold_third(count: int) -> None:
        if count == 3:
            reached.set()
            assert go_on.wait(10)

    embedders.known["fake"].before = hold_third
    operation = library.start_index("words")
    assert operation.state is OperationState.RUNNING
    assert reached.wait(10)
    now = library.get_operation(operation.id)
    assert (now.state, now.recordings_done) == (OperationState.RUNNING, 2)
    early = library.view("words")
    assert found(early, QUERY) == set(ids[:2])
    go_on.set()
    seen = list(library.watch_operation(operation.id))
    assert seen[-1].state is OperationState.SUCCEEDED
    assert found(library.view("words"), QUERY) == set(ids)
    assert found(early, QUERY) == set(ids[:2])
    assert early.index.search(QUERY, 100, 20)[0].max() < early.spans


def test_watching_shows_each_change_and_ends_with_the_operation_or_when_told(
    open_library: Open, noise: Callable[..., Path], embedders: object
) -> None:
    library = open_library(limits=ONE_EACH, workers=1)
    library.create_archive("words")
    for name in "abcd":
        library.add_path("words", noise(name))
    gate = threading.Semaphore(0)
    embedders.known["fake"].before = lambda count: gate.acquire(timeout=10)
    operation = library.start_index("words")
    stop = threading.Event()
    watching = library.watch_operation(operation.id, stop.is_set)
    assert next(watching).recordings_done == 0
    for done in (1, 2):
        gate.release()
        assert next(watching).recordings_done == done
    stop.set()
    began = time.monotonic()
    assert list(watching) == []
    assert time.monotonic() - began < 2
    gate.release(2)
    *_, last = library.watch_operation(operation.id)
    assert last.state is OperationState.SUCCEEDED
    assert list(library.watch_operation(operation.id)) == [last]
    with pytest.raises(NotFound, match="no operation 'x'"):
        next(library.watch_operation("x"))


def test_a_cancelled_operation_keeps_what_is_committed_and_can_be_resumed(
    open_library: Open, noise: Callable[..., Path], embedders: object, tmp_path: Path
) -> None:
    library = open_library(limits=ONE_EACH, workers=1)
    library.create_archive("words")
    ids = [library.add_path("words", noise(name))[0].id for name in "abcd"]
    reached, go_on = threading.Event(), threading.Event()

    def hold_second(count: int) -> None:
        if count == 2:
            reached.set()
            assert go_on.wait(10)

    embedders.known["fake"].before = hold_second
    operation = library.start_index("words")
    assert reached.wait(10)
    library.cancel_operation(operation.id)
    go_on.set()
    *_, cancelled = library.watch_operation(operation.id)
    assert cancelled.state is OperationState.CANCELLED
    # The second was complete when the stop was noticed.
    assert (cancelled.recordings_total, cancelled.recordings_done) == (4, 2)
    assert found(library.view("words"), QUERY) == set(ids[:2])
    assert len(list((tmp_path / "home" / "segments").iterdir())) == 2
    assert library.cancel_operation(operation.id) == cancelled
    resumed = library.resume_operation(operation.id)
    assert (resumed.id, resumed.state) == (operation.id, OperationState.RUNNING)
    *_, done = library.watch_operation(operation.id)
    assert (done.state, done.recordings_total, done.recordings_done) == (OperationState.SUCCEEDED, 4, 4)
    assert found(library.view("words"), QUERY) == set(ids)
    with pytest.raises(FailedPrecondition, match="is succeeded; only failed, cancelled, interrupted"):
        library.resume_operation(operation.id)
    assert library.list_operations("words").items == (done,)


def test_closing_interrupts_and_the_next_start_can_resume(
    open_library: Open, noise: Callable[..., Path], embedders: object
) -> None:
    library = open_library(limits=ONE_EACH, workers=1)
    library.create_archive("words")
    for name in "abc":
        library.add_path("words", noise(name, seconds=3.0))
    slow = threading.Event()
    embedders.known["fake"].before = lambda count: slow.wait(0.05)
    operation = library.start_index("words")
    library.close()
    again = open_library()
    found_again = again.get_operation(operation.id)
    assert found_again.state is OperationState.INTERRUPTED
    assert found_again.recordings_done < 3
    again.resume_operation(operation.id)
    *_, done = again.watch_operation(operation.id)
    assert (done.state, done.recordings_done) == (OperationState.SUCCEEDED, 3)


def test_one_operation_at_a_time_changes_an_archive(
    library: Library, noise: Callable[..., Path], embedders: object
) -> None:
    library.add_path("words", noise("a"))
    library.create_archive("other")
    go_on = threading.Event()
    embedders.known["fake"].before = lambda count: go_on.wait(10)
    operation = library.start_index("words", request_id="r")
    for ask in (
        lambda: library.start_index("words"),
        lambda: library.compact("words"),
        lambda: library.delete_archive("words"),
    ):
        with pytest.raises(FailedPrecondition, match="archive 'words' is busy with indexing"):
            ask()
    with pytest.raises(FailedPrecondition, match="is running; only"):
        library.resume_operation(operation.id)
    assert library.start_index("words", request_id="r").id == operation.id
    library.delete_archive("other")
    go_on.set()
    *_, last = library.watch_operation(operation.id)
    assert library.start_index("words", request_id="r") == last
    library.delete_archive("words")


@pytest.mark.parametrize("point", ["recording-written", "segment-synced"])
def test_a_full_disk_fails_the_operation_keeps_earlier_batches_and_leaves_no_files(
    open_library: Open, noise: Callable[..., Path], tmp_path: Path, point: str, embedders: object
) -> None:
    library = open_library(limits=ONE_EACH, workers=1)
    library.create_archive("words")
    ids = [library.add_path("words", noise(name))[0].id for name in "abc"]
    embedders.known["fake"].before = lambda count: faults.arm(point, "enospc") if count == 2 else None
    operation = library.start_index("words")
    *_, failed = library.watch_operation(operation.id)
    assert (failed.state, failed.recordings_done) == (OperationState.FAILED, 1)
    assert failed.problem.startswith("no space left on the disk while")
    assert len(list((tmp_path / "home" / "segments").iterdir())) == 1
    assert found(library.view("words"), QUERY) == {ids[0]}
    faults.disarm()
    library.resume_operation(operation.id)
    *_, done = library.watch_operation(operation.id)
    assert (done.state, done.recordings_done, done.problem) == (OperationState.SUCCEEDED, 3, "")


def test_an_unexpected_error_fails_the_operation_without_telling_the_caller_its_text(
    library: Library, noise: Callable[..., Path], embedders: object, caplog: pytest.LogCaptureFixture
) -> None:
    library.add_path("words", noise("a"))

    def break_down(count: int) -> None:
        raise RuntimeError("secret of the inside")

    embedders.known["fake"].before = break_down
    *_, failed = library.watch_operation(library.start_index("words").id)
    assert failed.state is OperationState.FAILED
    assert failed.problem == "internal error (RuntimeError), see the log of the server"
    assert "secret of the inside" in caplog.text


def test_an_uploads_problem_names_the_file_as_the_client_did(
    library: Library, noise: Callable[..., Path], tmp_path: Path, fakes: SimpleNamespace
) -> None:
    recording, _ = upload(library, noise("a"), filename="mine.wav")
    (kept,) = (tmp_path / "home" / "audio").iterdir()
    kept.unlink()
    fakes.index(library, "words")
    problem = library.get_recording("words", recording.id).problem
    assert problem == "mine.wav cannot be read any more: No such file or directory"


# Generations


def test_the_old_encoder_answers_until_the_new_vectors_are_complete(
    filled: Library, fakes: SimpleNamespace, embedders: object, tmp_path: Path
) -> None:
    old = filled.view("words")
    reached, go_on = threading.Event(), threading.Event()

    def hold(count: int) -> None:
        reached.set()
        assert go_on.wait(10)

    embedders.known["other"].before = hold
    operation = filled.start_index("words", "other")
    assert reached.wait(10)
    assert filled.view("words") is old
    victim = identities(filled)[0]
    filled.delete_recording("words", victim)
    go_on.set()
    *_, done = filled.watch_operation(operation.id)
    assert (done.state, done.encoder, done.recordings_done) == (OperationState.SUCCEEDED, "other", 6)
    new = filled.view("words")
    assert new.encoder == fakes.OTHER_ENCODER
    assert found(new, QUERY[:, :8]) == set(identities(filled))
    # A search that began before the change goes on with the old vectors.
    assert len(found(old, QUERY)) == 6
    assert old.vectors[0][0].any()
    segments = list((tmp_path / "home" / "segments").iterdir())
    assert len(segments) == len(new.vectors)
    assert filled.get_archive("words").encoder == "other"


def test_without_a_name_the_archives_own_encoder_is_used(filled: Library, fakes: SimpleNamespace) -> None:
    fakes.index(filled, "words", "other")
    operation = fakes.index(filled, "words")
    assert (operation.encoder, operation.recordings_total) == ("other", 0)


def test_an_encoder_that_was_trained_anew_indexes_everything_anew(
    filled: Library, fakes: SimpleNamespace, embedders: object
) -> None:
    changed = EncoderInfo("fake", "1" * 64, 12, 3, 2)
    embedders.known["fake"] = fakes.ProjectionEmbedder(changed)
    operation = fakes.index(filled, "words")
    assert operation.recordings_done == 6
    assert filled.view("words").encoder == changed
    assert filled.get_archive("words").encoder_hash == "1" * 64


def test_an_encoder_of_meanings_is_known_again_by_index_compaction_and_a_restart(
    library: Library,
    noise: Callable[..., Path],
    fakes: SimpleNamespace,
    embedders: Any,
    open_library: Open,
) -> None:
    library.add_path("words", noise("a"))
    assert fakes.index(library, "words", "semantic").recordings_done == 1
    assert fakes.index(library, "words").recordings_total == 0
    library.add_path("words", noise("b"))
    assert fakes.index(library, "words").recordings_done == 1
    library.delete_recording("words", identities(library)[0])
    assert library.compact("words").segments_after == 1
    assert fakes.index(library, "words").recordings_total == 0
    library.close()
    again = open_library()
    assert again.view("words").encoder == fakes.SEMANTIC_ENCODER
    assert fakes.index(again, "words").recordings_total == 0
    (sound,) = fakes.WaveDecoder().read_blocks(noise("b", seconds=0.4), max_seconds=1)
    for mode in Mode:
        assert heard(again.view("words"), mode, sound, embedders("semantic")) == set(identities(again))


def test_a_cancelled_change_of_encoder_can_be_resumed_or_given_up(
    filled: Library, fakes: SimpleNamespace, embedders: object, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    third = EncoderInfo("third", "3" * 64, 5, 2, 1)
    embedders.known["third"] = fakes.ProjectionEmbedder(third)
    reached, go_on = threading.Event(), threading.Event()

    def hold_from_third(count: int) -> None:
        if count >= 3:
            reached.set()
            assert go_on.wait(10)

    for number in range(40):  # more than are embedded together
        filled.add_path("words", noise(f"more {number}", seconds=1 + number / 100))
    assert fakes.index(filled, "words").recordings_done == 40
    embedders.known["other"].before = hold_from_third
    operation = filled.start_index("words", "other")
    assert reached.wait(10)
    filled.cancel_operation(operation.id)
    go_on.set()
    *_, cancelled = filled.watch_operation(operation.id)
    assert cancelled.state is OperationState.CANCELLED
    assert 0 < cancelled.recordings_done < 46
    assert filled.view("words").encoder == fakes.ENCODER
    # The old generation can still grow.
    filled.add_path("words", noise("late"))
    assert fakes.index(filled, "words").recordings_done == 1
    filled.resume_operation(operation.id)
    *_, done = filled.watch_operation(operation.id)
    assert (done.state, done.recordings_done) == (OperationState.SUCCEEDED, 47)
    assert filled.view("words").encoder == fakes.OTHER_ENCODER

    embedders.known["third"].before = lambda count: filled.cancel_operation(
        filled.list_operations("words").items[-1].id
    )
    fakes.index(filled, "words", "third")
    assert fakes.index(filled, "words", "fake").recordings_done == 47
    assert len(list((tmp_path / "home" / "segments").iterdir())) == len(filled.view("words").vectors)


# Homes of earlier versions


@pytest.mark.parametrize(("archive", "encoder"), [("words", "ENCODER"), ("meant", "SEMANTIC_ENCODER")])
def test_a_home_of_the_first_schema_is_opened_as_it_is_and_goes_on(
    tmp_path: Path, open_library: Open, fakes: SimpleNamespace, embedders: Any, archive: str, encoder: str
) -> None:
    shutil.copytree(HOMES / "0001", tmp_path / "home")
    library = open_library()
    before = library.view(archive)
    assert before.encoder == getattr(fakes, encoder)
    assert library.verify(archive) == ()
    assert fakes.index(library, archive).recordings_total == 0
    first, second = identities(library, archive)
    sound = library.clip(archive, first, 0.0, 1.0)
    assert heard(before, Mode.SOUND, sound, embedders(before.encoder.name)) == {first, second}
    library.delete_recording(archive, first)
    assert library.compact(archive).segments_after == 1
    library.close()
    again = open_library()
    assert again.view(archive).encoder == before.encoder
    assert fakes.index(again, archive).recordings_total == 0
    assert heard(again.view(archive), Mode.SOUND, sound, embedders(before.encoder.name)) == {second}


# Compaction, damage, cache


def test_compaction_merges_segments_and_drops_what_was_deleted(
    filled: Library, tmp_path: Path, open_library: Open
) -> None:
    ids = identities(filled)
    filled.delete_recording("words", ids[1])
    filled.delete_recording("words", ids[4])
    before = filled.view("words")
    size = filled.get_archive("words").size
    result = filled.compact("words")
    after = filled.view("words")
    assert result == CompactionSummary(len(before.vectors), 1, size - filled.get_archive("words").size)
    assert result.freed > 0
    assert {entry.id for entry in after.recordings} == set(ids) - {ids[1], ids[4]}
    assert after.alive.all()
    assert len(list((tmp_path / "home" / "segments").iterdir())) == 1
    # Each recording has the rows it had.
    for view in (before, after):
        assert found(view, QUERY) == set(ids) - {ids[1], ids[4]}
    for number, entry in enumerate(after.recordings):
        was = [old.id for old in before.recordings].index(entry.id)
        np.testing.assert_array_equal(
            np.concatenate(after.vectors)[slice(*after.span_ranges([number])[0])],
            np.concatenate(before.vectors)[slice(*before.span_ranges([was])[0])],
        )
        for region in np.flatnonzero(after.region_recording == number):
            np.testing.assert_array_equal(after.region_frames(int(region), 0, 10**6)[:, 0], np.arange(45))
    assert filled.verify("words") == ()
    assert filled.compact("words") == CompactionSummary(1, 1, 0)
    filled.close()
    assert open_library().view("words").recordings == after.recordings


def test_compaction_of_an_archive_whose_recordings_are_all_deleted_leaves_no_segment(
    filled: Library, tmp_path: Path, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    for identity in identities(filled):
        filled.delete_recording("words", identity)
    assert filled.compact("words").segments_after == 0
    assert files_below(tmp_path / "home" / "segments") == []
    assert filled.view("words").spans == 0
    filled.add_path("words", noise("a"))
    assert fakes.index(filled, "words").recordings_done == 1


def test_a_full_disk_during_compaction_changes_nothing(filled: Library, tmp_path: Path) -> None:
    filled.delete_recording("words", identities(filled)[0])
    before, files = filled.view("words"), files_below(tmp_path / "home" / "segments")
    faults.arm("segment-synced", "enospc")
    with pytest.raises(Exhausted):
        filled.compact("words")
    assert filled.view("words") is before
    assert files_below(tmp_path / "home" / "segments") == files


def test_damage_is_reported_excluded_and_mended_by_indexing(
    filled: Library, tmp_path: Path, open_library: Open, fakes: SimpleNamespace
) -> None:
    everything = found(filled.view("words"), QUERY)
    filled.close()
    segment = min((tmp_path / "home" / "segments").iterdir())
    with (segment / "vectors.npy").open("r+b") as file:
        file.truncate(150)
    library = open_library()
    with pytest.raises(DataLoss, match=rf"^segment {segment.name}: vectors\.npy has 150 bytes"):
        library.view("words")
    assert found(library.view("words"), QUERY) < everything
    assert [quarantined.name for quarantined in library.view("words").quarantined] == [segment.name]
    assert [f"segment {segment.name}: vectors.npy" in problem for problem in library.verify("words")] == [
        True
    ]
    operation = fakes.index(library, "words")
    assert operation.state is OperationState.SUCCEEDED
    assert operation.recordings_done >= 1
    assert found(library.view("words"), QUERY) == everything
    assert library.verify("words") == ()
    assert not segment.exists()


@pytest.fixture
def cached(open_library: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path) -> Path:
    """An archive large enough for a trained index, closed; the folder of its cached index."""
    with open_library(index=IndexPolicy("ivf-sq8")) as library:
        library.create_archive("words")
        for name in "abcdefgh":
            library.add_path("words", noise(name, seconds=8.0))
        assert fakes.index(library, "words").state is OperationState.SUCCEEDED
        assert library.view("words").spans >= 256
    (folder,) = (tmp_path / "home" / "cache").iterdir()
    return folder


def stamp(folder: Path) -> int:
    return (folder / f"index-{NOMINAL_TICKS[0]}").stat().st_mtime_ns


def test_a_cached_index_is_used_and_grown(
    cached: Path,
    open_library: Open,
    noise: Callable[..., Path],
    fakes: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert files_below(cached) == sorted([*(f"index-{ticks}" for ticks in NOMINAL_TICKS), "index.json"])
    library = open_library(index=IndexPolicy("ivf-sq8"))

    def refuse(self: IndexPolicy, dimension: int, rows: object) -> None:
        raise AssertionError("built anew")

    monkeypatch.setattr(IndexPolicy, "build", refuse)
    before = library.view("words")
    assert len(found(before, QUERY)) == 8
    library.add_path("words", noise("new"))
    was = stamp(cached)
    fakes.index(library, "words")
    assert stamp(cached) > was
    assert len(found(library.view("words"), QUERY)) == 9
    assert len(found(before, QUERY)) == 8
    assert before.index.search(QUERY, 10_000, 20)[0].max() < before.spans
    library.close()
    assert len(found(open_library(index=IndexPolicy("ivf-sq8")).view("words"), QUERY)) == 9


@pytest.mark.parametrize(
    "damage", ["missing", "card missing", "flipped", "truncated", "card", "stale", "foreign"]
)
def test_a_cached_index_that_is_not_right_is_rebuilt(
    cached: Path, open_library: Open, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, card = cached / f"index-{NOMINAL_TICKS[0]}", cached / "index.json"
    data, content = index.read_bytes(), json.loads(card.read_bytes())
    match damage:
        case "missing":
            index.unlink()
        case "card missing":
            card.unlink()
        case "flipped":
            index.write_bytes(data[:-5] + bytes([data[-5] ^ 4]) + data[-4:])
        case "truncated":
            index.write_bytes(data[:100])
        case "card":
            card.write_bytes(b"{")
        case "stale":
            card.write_text(json.dumps(content | {"segments": ["0" * 32]}))
        case "foreign":
            card.write_text(json.dumps(content | {"encoder_hash": "0" * 64}))
    built = []
    build = BucketedIndex.build

    def counted(policy: IndexPolicy, dimension: int, segments: Sequence[SegmentSpans]) -> BucketedIndex:
        built.append(len(segments))
        return build(policy, dimension, segments)

    monkeypatch.setattr(BucketedIndex, "build", counted)
    library = open_library(index=IndexPolicy("ivf-sq8"))
    assert len(found(library.view("words"), QUERY)) == 8
    assert len(built) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(
    open_library: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    library = open_library(index=IndexPolicy("ivf-sq8"))
    library.create_archive("words")
    library.add_path("words", noise("a", seconds=60.0))
    faults.arm("cache-written", "enospc")
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    assert library.view("words").spans >= 256
    assert files_below(tmp_path / "home" / "cache") == []


def test_a_search_never_waits_for_a_refresh(
    filled: Library, noise: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled.view("words")
    filled.add_path("words", noise("new"))
    building, go_on = threading.Event(), threading.Event()
    extended = BucketedIndex.extended

    def slow(*arguments: Any) -> BucketedIndex:
        building.set()
        assert go_on.wait(10)
        return extended(*arguments)

    monkeypatch.setattr(BucketedIndex, "extended", slow)
    operation = filled.start_index("words")
    assert building.wait(10)
    began = time.monotonic()
    assert filled.view("words") is before
    victim = before.recordings[0].id
    filled.delete_recording("words", victim)
    assert victim not in found(filled.view("words"), QUERY)
    assert time.monotonic() - began < 2
    go_on.set()
    list(filled.watch_operation(operation.id))
    assert victim not in found(filled.view("words"), QUERY)
    assert len(found(filled.view("words"), QUERY)) == 6


# The home


def test_a_home_is_open_once(library: Library, open_library: Open) -> None:
    with pytest.raises(FailedPrecondition, match=f"is in use by process {os.getpid()}"):
        open_library()
    library.close()
    assert open_library().get_archive("words").name == "words"


def test_a_home_with_a_foreign_catalogue_is_not_touched(
    filled: Library, tmp_path: Path, open_library: Open
) -> None:
    filled.close()
    before = files_below(tmp_path / "home" / "segments")
    assert before
    for url in (f"sqlite:///{tmp_path / 'new.db'}", f"sqlite:///{tmp_path / 'new.db'}"):
        with pytest.raises(FailedPrecondition, match="do not belong together"):
            open_library(database_url=url)
    (tmp_path / "home" / "identity").unlink()
    with pytest.raises(FailedPrecondition, match="do not belong together"):
        open_library(database_url=f"sqlite:///{tmp_path / 'new.db'}")
    assert files_below(tmp_path / "home" / "segments") == before


def test_opening_removes_what_the_catalogue_does_not_know(
    filled: Library, noise: Callable[..., Path], tmp_path: Path, open_library: Open
) -> None:
    upload(filled, noise("uploaded"))
    filled.close()
    home = tmp_path / "home"
    before = files_below(home)
    for orphan in ("segments/tmp-1/vectors.npy", "segments/2/spans.npy", "cache/99/index-26"):
        (home / orphan).parent.mkdir()
        (home / orphan).touch()
    for orphan in ("uploads/1.wav", "audio/2.wav"):
        (home / orphan).touch()
    library = open_library()
    assert len(found(library.view("words"), QUERY)) == 6
    library.close()
    assert files_below(home) == before


def test_a_home_may_have_any_name(tmp_path: Path, audio: Path, fakes: SimpleNamespace) -> None:
    home = tmp_path / "50%?x=1#ü home"
    with fakes.library_at(home, [audio], fakes.Embedders()) as library:
        library.create_archive("words")
    assert (home / "catalogue.db").exists()
    with fakes.library_at(home, [audio], fakes.Embedders()) as library:
        assert library.get_archive("words").name == "words"


def test_another_database_can_hold_the_catalogue(
    open_library: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    with open_library(database_url=url) as library:
        library.create_archive("words")
        library.add_path("words", noise("a"))
        fakes.index(library, "words")
    assert not (tmp_path / "home" / "catalogue.db").exists()
    with open_library(database_url=url) as library:
        assert library.get_archive("words").indexed_recordings == 1
