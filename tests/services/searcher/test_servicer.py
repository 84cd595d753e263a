from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from wordspot.indexer.sound.audio import write_wav
from wordspot.services import errors
from wordspot.services.admission import WorkSlots
from wordspot.services.errors import Overloaded
from wordspot.services.limits import MAX_CHUNK_BYTES, MAX_QUERY_BYTES
from wordspot.services.searcher.servicer import ArchiveServicer
from wordspot.v1 import archive_pb2, audio_pb2, search_pb2

Running = Callable[..., SimpleNamespace]
Say = Callable[..., np.ndarray]


def refused(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def header(data: bytes, **fields: Any) -> archive_pb2.UploadRecordingRequest:
    known = {
        "archive": "a",
        "filename": "tea.wav",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "request_id": "one",
    }
    return archive_pb2.UploadRecordingRequest(header=archive_pb2.UploadHeader(**(known | fields)))


def chunk(data: bytes) -> archive_pb2.UploadRecordingRequest:
    return archive_pb2.UploadRecordingRequest(chunk=data)


def created(up: SimpleNamespace, name: str = "a") -> SimpleNamespace:
    up.archives.CreateArchive(archive_pb2.CreateArchiveRequest(name=name))
    return up


def added(up: SimpleNamespace, path: Path, request_id: str = "") -> archive_pb2.AddRecordingResponse:
    return up.archives.AddRecording(
        archive_pb2.AddRecordingRequest(archive="a", path=str(path), request_id=request_id)
    )


def watched(up: SimpleNamespace, operation: str) -> list[archive_pb2.Operation]:
    request = archive_pb2.WatchOperationRequest(id=operation)
    return [response.operation for response in up.archives.WatchOperation(request)]


def indexed(up: SimpleNamespace, **fields: Any) -> archive_pb2.Operation:
    request = archive_pb2.IndexArchiveRequest(archive="a", **fields)
    return watched(up, up.archives.IndexArchive(request).operation.id)[-1]


@pytest.fixture
def filled(running: Running, recordings: dict[str, Path]) -> SimpleNamespace:
    """An archive "a" of the sentences, indexed. ids: of the recordings by name."""
    up = created(running())
    up.ids = {name: added(up, path).recording.id for name, path in recordings.items()}
    assert indexed(up).state == archive_pb2.OPERATION_STATE_SUCCEEDED
    return up


def asked(up: SimpleNamespace, *parts: Any, **options: Any) -> list[search_pb2.SearchResult]:
    """parts: query headers, bytes of files, stored queries, whole requests."""

    def requests() -> Iterator[search_pb2.SearchRequest]:
        yield search_pb2.SearchRequest(options=search_pb2.SearchOptions(**({"archive": "a"} | options)))
        for part in parts:
            if isinstance(part, bytes):
                for start in range(0, len(part), MAX_CHUNK_BYTES):
                    yield search_pb2.SearchRequest(chunk=part[start : start + MAX_CHUNK_BYTES])
            elif isinstance(part, search_pb2.StoredQuery):
                yield search_pb2.SearchRequest(stored=part)
            elif isinstance(part, search_pb2.SearchRequest):
                yield part
            else:
                yield search_pb2.SearchRequest(query=part)

    return [response.result for response in up.searches.Search(requests())]


def interval(start: float, end: float) -> audio_pb2.Interval:
    return audio_pb2.Interval(start_seconds=start, end_seconds=end)


def more(label: str = "", *stretches: search_pb2.Stretch) -> search_pb2.SearchRequest:
    """The head of one more example."""
    return search_pb2.SearchRequest(example=search_pb2.QueryHeader(label=label, examples=stretches))


TEA = search_pb2.QueryHeader(label="tea")


class TestArchives:
    def test_an_archive_is_made_found_listed_and_deleted(self, running: Running) -> None:
        up = created(running())
        request = archive_pb2.GetArchiveRequest(name="a")
        archive = up.archives.GetArchive(request).archive
        assert (archive.name, archive.recordings, archive.encoder) == ("a", 0, "")
        assert archive.create_time.seconds > 1_600_000_000
        up.archives.DeleteArchive(archive_pb2.DeleteArchiveRequest(name="a"))
        error = refused(lambda: up.archives.GetArchive(request))
        assert error.code() == grpc.StatusCode.NOT_FOUND
        assert "'a'" in error.details()

    def test_a_name_is_taken_once_and_must_be_a_name(self, running: Running) -> None:
        up = created(running())
        assert refused(lambda: created(up)).code() == grpc.StatusCode.ALREADY_EXISTS
        error = refused(lambda: created(up, "../etc"))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert errors.reason_of(error) == "INVALID_INPUT"

    def test_pages_follow_one_another_by_token(self, running: Running) -> None:
        up = running()
        for number in range(5):
            created(up, f"a{number}")
        names, token, pages = [], "", 0
        while pages == 0 or token:
            page = up.archives.ListArchives(archive_pb2.ListArchivesRequest(page_size=2, page_token=token))
            names += [archive.name for archive in page.archives]
            token, pages = page.next_page_token, pages + 1
        assert names == [f"a{number}" for number in range(5)]
        assert pages == 3

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"page_size": 1_001}, "page_size must be between 0 and 1,000, got 1001"),
            ({"page_size": -1}, "page_size must be between 0 and 1,000, got -1"),
            ({"page_token": "?"}, "page_token must be a next_page_token of this list, got '?'"),
        ],
    )
    def test_a_page_that_cannot_be_is_invalid(
        self, running: Running, fields: dict[str, Any], told: str
    ) -> None:
        up = running()
        error = refused(lambda: up.archives.ListArchives(archive_pb2.ListArchivesRequest(**fields)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert told in error.details()

    def test_compaction_tells_what_it_did(self, filled: SimpleNamespace) -> None:
        filled.archives.DeleteRecording(
            archive_pb2.DeleteRecordingRequest(archive="a", recording=filled.ids["tea"])
        )
        done = filled.archives.CompactArchive(archive_pb2.CompactArchiveRequest(name="a"))
        assert done.segments_after <= done.segments_before
        assert done.bytes_freed > 0


class TestRecordings:
    def test_an_upload_is_kept_with_its_name_and_figures(self, running: Running, say: Say) -> None:
        up = created(running())
        data = write_wav(say("tea", "milk"))
        stream = [header(data), chunk(data[:1_000]), chunk(data[1_000:])]
        answer = up.archives.UploadRecording(iter(stream))
        recording = answer.recording
        assert not answer.already_present
        assert (recording.path, recording.format, recording.sample_rate) == ("tea.wav", "WAV", 16_000)
        assert recording.sha256 == hashlib.sha256(data).hexdigest()
        assert recording.state == archive_pb2.RECORDING_STATE_ADDED
        request = archive_pb2.GetRecordingRequest(archive="a", recording=recording.id)
        assert up.archives.GetRecording(request).recording == recording

    def test_a_retried_upload_gets_the_first_answer_and_adds_nothing(
        self, running: Running, say: Say
    ) -> None:
        up = created(running())
        data = write_wav(say("tea"))
        first = up.archives.UploadRecording(iter([header(data), chunk(data)]))
        again = up.archives.UploadRecording(iter([header(data), chunk(data)]))
        assert again == first
        other = up.archives.UploadRecording(iter([header(data, request_id="two"), chunk(data)]))
        assert other.already_present
        assert other.recording.id == first.recording.id
        assert up.archives.GetArchive(archive_pb2.GetArchiveRequest(name="a")).archive.recordings == 1

    def test_many_files_are_added_in_one_call(
        self, running: Running, recordings: dict[str, Path], tmp_path: Path
    ) -> None:
        up = created(running())
        bad = tmp_path / "bad.wav"
        bad.write_bytes(b"text")
        paths = [*recordings.values(), bad, recordings["tea"]]
        files = [archive_pb2.FileToAdd(path=str(path), request_id=f"{n}") for n, path in enumerate(paths)]
        request = archive_pb2.AddRecordingsRequest(archive="a", files=files)
        (answer,) = up.archives.AddRecordings(request)
        *fresh, refusal, again = answer.files
        assert [file.recording.path for file in fresh] == [str(path) for path in recordings.values()]
        assert not any(file.already_present or file.problem for file in fresh)
        assert (refusal.HasField("recording"), str(bad) in refusal.problem) == (False, True)
        assert (again.recording, again.already_present) == (fresh[0].recording, True)
        assert list(up.archives.AddRecordings(request)) == [answer]
        assert added(up, recordings["tea"]).recording == fresh[0].recording

    def test_a_file_that_may_not_be_read_ends_the_call_after_what_came_before(
        self, running: Running, recordings: dict[str, Path]
    ) -> None:
        up = created(running())
        files = [archive_pb2.FileToAdd(path=path) for path in (str(recordings["tea"]), "/etc/passwd")]
        stream = up.archives.AddRecordings(archive_pb2.AddRecordingsRequest(archive="a", files=files))
        assert next(stream).files[0].recording.path == files[0].path
        assert refused(lambda: next(stream)).code() == grpc.StatusCode.PERMISSION_DENIED
        assert up.archives.GetArchive(archive_pb2.GetArchiveRequest(name="a")).archive.recordings == 1

    def test_too_many_files_in_one_call_are_refused(self, running: Running) -> None:
        up = created(running())
        files = [archive_pb2.FileToAdd(path="/a.wav")] * 1_001
        request = archive_pb2.AddRecordingsRequest(archive="a", files=files)
        error = refused(lambda: list(up.archives.AddRecordings(request)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "the number of files must be at most 1,000, got 1001" in error.details()

    def test_an_upload_cut_off_leaves_nothing(self, running: Running, say: Say, tmp_path: Path) -> None:
        up = created(running())
        data = write_wav(say("tea"))
        uploads = tmp_path / "home" / "uploads"
        ended = threading.Event()

        def stream() -> Iterator[archive_pb2.UploadRecordingRequest]:
            yield header(data)
            yield chunk(data[:1_000])
            ended.wait(30)

        def eventually(holds: Callable[[], bool]) -> bool:
            deadline = time.monotonic() + 20
            while not holds() and time.monotonic() < deadline:
                time.sleep(0.02)
            return holds()

        call = up.archives.UploadRecording.future(stream())
        assert eventually(lambda: len(list(uploads.iterdir())) == 1)
        call.cancel()
        ended.set()
        assert eventually(lambda: list(uploads.iterdir()) == [])
        assert up.archives.GetArchive(archive_pb2.GetArchiveRequest(name="a")).archive.recordings == 0

    @pytest.mark.parametrize(
        ("stream", "told"),
        [
            ([], "must hold header, got nothing"),
            ([chunk(b"x")], "must hold header, got chunk"),
            ([header(b"x"), header(b"x")], "must hold chunk, got header"),
            ([header(b"x"), chunk(bytes(MAX_CHUNK_BYTES + 1))], "at most 262,144"),
            ([header(b"x", sha256="abc"), chunk(b"x")], "got 'abc'"),
            ([header(b"xy"), chunk(b"x")], "announced 2 bytes, got 1"),
            ([header(b"x"), chunk(b"xy")], "announced 1 bytes, got more"),
            ([header(b"x", sha256="0" * 64), chunk(b"x")], "the announced SHA-256"),
            ([header(b"not audio"), chunk(b"not audio")], "not audio"),
        ],
    )
    def test_an_upload_that_is_not_as_announced_is_invalid(
        self, running: Running, stream: list[Any], told: str
    ) -> None:
        up = created(running())
        error = refused(lambda: up.archives.UploadRecording(iter(stream)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert told in error.details()
        assert up.archives.GetArchive(archive_pb2.GetArchiveRequest(name="a")).archive.recordings == 0

    def test_a_path_is_added_only_below_the_roots(
        self, running: Running, recordings: dict[str, Path], tmp_path: Path
    ) -> None:
        up = created(running(roots=(tmp_path / "recordings",)))
        assert added(up, recordings["tea"]).recording.path == str(recordings["tea"])
        outside = tmp_path / "outside.wav"
        outside.write_bytes(recordings["milk"].read_bytes())
        for path in (outside, tmp_path / "recordings" / ".." / "outside.wav"):
            assert refused(lambda path=path: added(up, path)).code() == grpc.StatusCode.PERMISSION_DENIED

    def test_adding_the_same_path_with_the_same_request_id_is_harmless(
        self, running: Running, recordings: dict[str, Path]
    ) -> None:
        up = created(running())
        first = added(up, recordings["tea"], "one")
        assert added(up, recordings["tea"], "one") == first
        assert added(up, recordings["tea"], "two").already_present

    def test_recordings_are_listed_in_order_page_by_page(self, filled: SimpleNamespace) -> None:
        request = archive_pb2.ListRecordingsRequest(archive="a", page_size=3)
        first = filled.archives.ListRecordings(request)
        request.page_token = first.next_page_token
        second = filled.archives.ListRecordings(request)
        listed = [recording.id for recording in (*first.recordings, *second.recordings)]
        assert listed == list(filled.ids.values())
        assert second.next_page_token == ""
        assert {r.state for r in first.recordings} == {archive_pb2.RECORDING_STATE_INDEXED}

    def test_a_clip_is_the_sound_of_that_stretch(self, filled: SimpleNamespace, say: Say) -> None:
        request = archive_pb2.GetClipRequest(
            archive="a", recording=filled.ids["milk"], interval=interval(0.25, 1.5)
        )
        data = b"".join(part.chunk for part in filled.archives.GetClip(request))
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        assert rate == 16_000
        original = say("milk", "with", "honey", voice=1)[4_000:24_000]
        assert np.allclose(samples, original, atol=1e-3)

    def test_a_clip_must_be_a_bounded_stretch(self, filled: SimpleNamespace) -> None:
        for start, end in ((1.0, 1.0), (0.0, 61.0), (-1.0, 1.0)):
            request = archive_pb2.GetClipRequest(
                archive="a", recording=filled.ids["milk"], interval=interval(start, end)
            )
            error = refused(lambda request=request: list(filled.archives.GetClip(request)))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_a_recording_is_read_byte_for_byte(
        self, filled: SimpleNamespace, recordings: dict[str, Path]
    ) -> None:
        data = recordings["milk"].read_bytes()
        request = archive_pb2.ReadRecordingRequest(archive="a", recording=filled.ids["milk"], offset=7)
        parts = list(filled.archives.ReadRecording(request))
        assert b"".join(part.chunk for part in parts) == data[7:]
        assert {part.size_bytes for part in parts} == {len(data)}
        request.offset = len(data)
        error = refused(lambda: list(filled.archives.ReadRecording(request)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_a_clip_waits_for_its_turn_among_queries(self) -> None:
        slots = WorkSlots(1, 0.05)
        servicer = ArchiveServicer(SimpleNamespace(clip=lambda *_, **__: np.zeros(160, np.float32)), slots)  # type: ignore[arg-type]
        request = archive_pb2.GetClipRequest(archive="a", recording="r", interval=interval(0, 1))
        assert list(servicer.GetClip(request, None))  # type: ignore[arg-type]
        with slots.slot(), pytest.raises(Overloaded):
            list(servicer.GetClip(request, None))  # type: ignore[arg-type]

    def test_a_deleted_recording_is_not_found_any_more(self, filled: SimpleNamespace, say: Say) -> None:
        request = archive_pb2.DeleteRecordingRequest(archive="a", recording=filled.ids["tea"])
        filled.archives.DeleteRecording(request)
        assert refused(lambda: filled.archives.DeleteRecording(request)).code() == grpc.StatusCode.NOT_FOUND
        results = asked(filled, TEA, write_wav(say("tea", voice=9)), include_undetected=True)
        assert filled.ids["tea"] not in {hit.recording for hit in results[0].hits}


class TestOperations:
    def test_indexing_is_watched_to_its_end(self, running: Running, recordings: dict[str, Path]) -> None:
        up = created(running())
        for path in recordings.values():
            added(up, path)
        operation = up.archives.IndexArchive(archive_pb2.IndexArchiveRequest(archive="a")).operation
        last = watched(up, operation.id)[-1]
        assert last.state == archive_pb2.OPERATION_STATE_SUCCEEDED
        assert (last.recordings_total, last.recordings_done, last.recordings_failed) == (4, 4, 0)
        assert last.spans_done > 0
        assert last.encoder == "bands"
        assert up.archives.GetOperation(archive_pb2.GetOperationRequest(id=operation.id)).operation == last
        listed = up.archives.ListOperations(archive_pb2.ListOperationsRequest(archive="a")).operations
        assert list(listed) == [last]

    def test_the_same_request_id_starts_one_operation(
        self, running: Running, recordings: dict[str, Path]
    ) -> None:
        up = created(running())
        added(up, recordings["tea"])
        request = archive_pb2.IndexArchiveRequest(archive="a", request_id="one")
        first = up.archives.IndexArchive(request).operation
        watched(up, first.id)
        assert up.archives.IndexArchive(request).operation.id == first.id

    def test_a_cancelled_operation_can_be_resumed(
        self, running: Running, recordings: dict[str, Path], band_encoder: Any, say: Say
    ) -> None:
        encoder = band_encoder()
        reached, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            reached.set()
            assert go_on.wait(20)

        encoder.before = hold
        up = created(running(encoder, workers=1))
        for path in recordings.values():
            added(up, path)
        for voice in range(20, 36):  # more than are embedded together
            path = recordings["tea"].with_name(f"{voice}.wav")
            path.write_bytes(write_wav(say("tea", voice=voice)))
            added(up, path)
        operation = up.archives.IndexArchive(archive_pb2.IndexArchiveRequest(archive="a")).operation
        assert reached.wait(20)
        busy = refused(lambda: up.archives.IndexArchive(archive_pb2.IndexArchiveRequest(archive="a")))
        assert busy.code() == grpc.StatusCode.FAILED_PRECONDITION
        up.archives.CancelOperation(archive_pb2.CancelOperationRequest(id=operation.id))
        go_on.set()
        cancelled = watched(up, operation.id)[-1]
        assert cancelled.state == archive_pb2.OPERATION_STATE_CANCELLED
        assert cancelled.recordings_done < 20
        request = archive_pb2.ResumeOperationRequest(id=operation.id)
        assert up.archives.ResumeOperation(request).operation.id == operation.id
        done = watched(up, operation.id)[-1]
        assert done.state == archive_pb2.OPERATION_STATE_SUCCEEDED
        assert done.recordings_done == 20
        again = refused(lambda: up.archives.ResumeOperation(request))
        assert again.code() == grpc.StatusCode.FAILED_PRECONDITION

    def test_a_watcher_who_leaves_is_noticed(
        self, running: Running, recordings: dict[str, Path], band_encoder: Any
    ) -> None:
        encoder = band_encoder()
        go_on = threading.Event()
        encoder.before = lambda: go_on.wait(20)
        up = created(running(encoder))
        added(up, recordings["tea"])
        operation = up.archives.IndexArchive(archive_pb2.IndexArchiveRequest(archive="a")).operation
        watch = up.archives.WatchOperation(archive_pb2.WatchOperationRequest(id=operation.id))
        assert next(watch).operation.state == archive_pb2.OPERATION_STATE_RUNNING
        watch.cancel()
        go_on.set()
        assert watched(up, operation.id)[-1].state == archive_pb2.OPERATION_STATE_SUCCEEDED

    def test_an_unknown_encoder_or_operation_is_not_found(self, running: Running) -> None:
        up = created(running())
        request = archive_pb2.IndexArchiveRequest(archive="a", encoder="ears")
        error = refused(lambda: up.archives.IndexArchive(request))
        assert error.code() == grpc.StatusCode.NOT_FOUND
        assert "no encoder 'ears'; there are bands" in error.details()
        error = refused(lambda: list(up.archives.WatchOperation(archive_pb2.WatchOperationRequest(id="x"))))
        assert error.code() == grpc.StatusCode.NOT_FOUND

    def test_a_recording_that_cannot_be_embedded_has_its_problem_and_the_rest_goes_on(
        self, running: Running, recordings: dict[str, Path], tmp_path: Path, band_encoder: Any
    ) -> None:
        encoder = band_encoder()
        up = created(running(encoder))
        added(up, recordings["tea"])
        vanished = tmp_path / "vanished.wav"
        vanished.write_bytes(recordings["milk"].read_bytes())
        added(up, vanished)
        vanished.unlink()
        done = indexed(up)
        assert done.state == archive_pb2.OPERATION_STATE_SUCCEEDED
        assert (done.recordings_done, done.recordings_failed) == (1, 1)
        listed = up.archives.ListRecordings(archive_pb2.ListRecordingsRequest(archive="a")).recordings
        (failed,) = [r for r in listed if r.state == archive_pb2.RECORDING_STATE_FAILED]
        assert "vanished.wav" in failed.problem


class TestSearch:
    def test_a_word_is_found_where_it_was_said_best_first(self, filled: SimpleNamespace, say: Say) -> None:
        (result,) = asked(filled, TEA, write_wav(say("tea", voice=9)))
        assert result.label == "tea"
        found = {hit.recording: hit for hit in result.hits}
        assert set(found) == {filled.ids["tea"], filled.ids["both"]}
        assert found[filled.ids["tea"]].start_seconds == pytest.approx(1.6, abs=0.15)
        assert found[filled.ids["tea"]].end_seconds == pytest.approx(2.2, abs=0.15)
        assert all(hit.detected and hit.score >= result.threshold for hit in result.hits)
        scores = [hit.score for hit in result.hits]
        assert scores == sorted(scores, reverse=True)
        assert result.compared.start_seconds == pytest.approx(0.5, abs=0.15)
        assert result.compared.end_seconds == pytest.approx(1.1, abs=0.15)
        assert result.seconds > 0

    def test_a_word_never_said_yields_no_hit_unless_all_are_asked_for(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        query = write_wav(say("elephant", voice=9))
        (result,) = asked(filled, TEA, query)
        assert [hit for hit in result.hits if hit.detected] == []
        (result,) = asked(filled, TEA, query, include_undetected=True)
        assert result.hits
        assert not result.hits[0].detected

    def test_several_queries_come_back_in_order_with_their_labels(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        stored = search_pb2.StoredQuery(
            label="stored", recording=filled.ids["milk"], interval=interval(0.5, 1.1)
        )
        results = asked(
            filled,
            search_pb2.QueryHeader(label="first"),
            write_wav(say("tea", voice=9)),
            stored,
            search_pb2.QueryHeader(label="last"),
            write_wav(say("honey", voice=9)),
        )
        assert [result.label for result in results] == ["first", "stored", "last"]
        best = {hit.recording for hit in results[1].hits[:2]}
        assert best == {filled.ids["milk"], filled.ids["both"]}  # the same sound, in both
        assert {hit.recording for hit in results[2].hits} == {filled.ids["milk"], filled.ids["both"]}

    def test_the_meant_stretch_is_what_is_compared(self, filled: SimpleNamespace, say: Say) -> None:
        audio = write_wav(say("elephant", "tea", voice=9))
        query = search_pb2.QueryHeader(interval=interval(1.6, 2.2))
        (result,) = asked(filled, query, audio)
        assert {hit.recording for hit in result.hits} == {filled.ids["tea"], filled.ids["both"]}
        assert (result.compared.start_seconds, result.compared.end_seconds) == (1.6, 2.2)

    def test_a_stored_query_finds_itself_and_others_without_audio_travelling(
        self, filled: SimpleNamespace
    ) -> None:
        request = search_pb2.SearchStoredRequest(
            options=search_pb2.SearchOptions(archive="a"),
            queries=[
                search_pb2.StoredQuery(label="x", recording=filled.ids["tea"], interval=interval(1.6, 2.2))
            ],
        )
        (result,) = filled.searches.SearchStored(request).results
        assert result.label == "x"
        assert result.hits[0].recording == filled.ids["tea"]
        assert result.hits[0].start_seconds == pytest.approx(1.6, abs=0.1)
        assert {hit.recording for hit in result.hits} == {filled.ids["tea"], filled.ids["both"]}
        assert (result.compared.start_seconds, result.compared.end_seconds) == (1.6, 2.2)

    def test_a_query_in_several_voices_finds_the_same_stretch_of_it(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        audio = write_wav(say("elephant", "tea", voice=9))
        query = search_pb2.QueryHeader(label="tea", interval=interval(1.6, 2.2))
        results = [
            asked(filled, query, audio, voices=voices, include_undetected=True)[0] for voices in (0, 1, 3)
        ]
        assert results[0].hits == results[1].hits
        assert results[1].hits != results[2].hits
        assert {hit.recording for hit in results[2].hits[:2]} == {filled.ids["tea"], filled.ids["both"]}
        assert results[2].label == "tea"
        assert results[2].compared == results[1].compared

    def test_a_number_of_voices_that_is_not_offered_is_refused(self, filled: SimpleNamespace) -> None:
        for voices in (-1, 2, 11):
            error = refused(lambda voices=voices: asked(filled, TEA, b"", voices=voices))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert f"voices must be one of 0, 1, 3, 5, 7, 9, got {voices}" in error.details()

    def test_several_examples_are_one_query_and_its_scores_are_their_means(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        one, other = write_wav(say("tea", voice=9)), write_wav(say("tea", voice=5))
        (together,) = asked(filled, TEA, one, more("other"), other, include_undetected=True)
        assert together.label == "tea"
        alone = [asked(filled, TEA, audio, include_undetected=True)[0] for audio in (one, other)]
        assert together.compared == alone[0].compared
        for hit in together.hits[:2]:
            scores = [max(h.score for h in a.hits if h.recording == hit.recording) for a in alone]
            assert hit.score == pytest.approx(sum(scores) / 2, abs=2e-3)
            assert hit.detected
        assert {hit.recording for hit in together.hits[:2]} == {filled.ids["tea"], filled.ids["both"]}

    def test_examples_of_two_words_find_both_halfway(self, filled: SimpleNamespace, say: Say) -> None:
        tea, milk = write_wav(say("tea", voice=9)), write_wav(say("milk", voice=9))
        (result,) = asked(filled, TEA, tea, more("milk"), milk, include_undetected=True)
        assert {hit.recording for hit in result.hits[:4]} == {
            filled.ids[name] for name in ("tea", "milk", "both")
        }
        (whole,) = asked(filled, TEA, tea)
        assert result.hits[0].score < whole.hits[0].score

    def test_stretches_are_further_examples_of_spoken_and_stored_queries(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        stretch = search_pb2.Stretch(recording=filled.ids["tea"], interval=interval(1.6, 2.2))
        spoken = search_pb2.QueryHeader(label="spoken", examples=[stretch])
        stored = search_pb2.StoredQuery(
            label="stored", recording=filled.ids["both"], interval=interval(2.7, 3.3), examples=[stretch]
        )
        audio = write_wav(say("tea", voice=9))
        results = asked(filled, spoken, audio, stored, TEA, audio, more("", stretch), audio)
        assert [result.label for result in results] == ["spoken", "stored", "tea"]
        for result in results:
            assert {hit.recording for hit in result.hits} == {filled.ids["tea"], filled.ids["both"]}
        assert (results[1].compared.start_seconds, results[1].compared.end_seconds) == (2.7, 3.3)
        request = search_pb2.SearchStoredRequest(
            options=search_pb2.SearchOptions(archive="a"), queries=[stored]
        )
        (answer,) = filled.searches.SearchStored(request).results
        assert list(answer.hits) == list(results[1].hits)

    def test_every_example_that_cannot_be_used_is_named_and_nothing_is_answered(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        good = write_wav(say("tea", voice=9))
        silent = write_wav(np.zeros(16_000, np.float32))
        nobody = search_pb2.Stretch(recording="nobody", interval=interval(1, 2))
        parts = (TEA, good, more("text.wav"), b"text", more(), b"", more("silent.wav", nobody), silent)
        error = refused(lambda: asked(filled, *parts))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        told = "query 'tea': 4 of 5 examples cannot be used, 'text.wav', 3, 'silent.wav', 'nobody' 1-2: "
        assert error.details().startswith(told)
        assert "no speech" in error.details()

    def test_sixteen_examples_are_enough(self, filled: SimpleNamespace, say: Say) -> None:
        stretch = search_pb2.Stretch(recording=filled.ids["tea"], interval=interval(1.6, 2.2))
        audio = write_wav(say("tea", voice=9))
        (result,) = asked(filled, search_pb2.QueryHeader(examples=[stretch] * 15), audio)
        assert len(result.hits) == 2
        stored = search_pb2.StoredQuery(recording="nobody", examples=[stretch] * 16)
        too_many = [
            (search_pb2.QueryHeader(examples=[stretch] * 16), audio),
            (TEA, *[more()] * 17),
            (stored,),
        ]
        for parts in too_many:
            error = refused(lambda parts=parts: asked(filled, *parts))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "the number of examples in a query must be between 1 and 16, got 17" in error.details()

    def test_filters_and_limits_are_honoured(self, filled: SimpleNamespace, say: Say) -> None:
        audio = write_wav(say("tea", voice=9))
        (only,) = asked(filled, TEA, audio, recordings=[filled.ids["both"]])
        assert {hit.recording for hit in only.hits} == {filled.ids["both"]}
        (without,) = asked(filled, TEA, audio, excluded_recordings=[filled.ids["both"]])
        assert {hit.recording for hit in without.hits} == {filled.ids["tea"]}
        (one,) = asked(filled, TEA, audio, top_k=1)
        assert len(one.hits) == 1
        (none,) = asked(filled, TEA, audio, min_score=1e6)
        assert len(none.hits) == 0

    def test_the_encoder_of_the_archive_may_be_named_and_no_other(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        audio = write_wav(say("tea", voice=9))
        assert asked(filled, TEA, audio, encoder="bands")
        error = refused(lambda: asked(filled, TEA, audio, encoder="ears"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "indexed with encoder 'bands', not 'ears'" in error.details()

    def test_another_artifact_under_the_same_name_asks_for_indexing_again(
        self, filled: SimpleNamespace, say: Say
    ) -> None:
        filled.encoder.hash = "f" * 64
        error = refused(lambda: asked(filled, TEA, write_wav(say("tea"))))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "index it again" in error.details()
        assert indexed(filled).state == archive_pb2.OPERATION_STATE_SUCCEEDED
        assert asked(filled, TEA, write_wav(say("tea", voice=9)))[0].hits

    def test_an_archive_that_is_unknown_or_not_indexed_says_so(self, running: Running) -> None:
        up = running()
        assert refused(lambda: asked(up, TEA, b"x")).code() == grpc.StatusCode.NOT_FOUND
        created(up)
        error = refused(lambda: asked(up, TEA, b"x"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "not indexed yet" in error.details()

    @pytest.mark.parametrize(
        ("audio", "told"),
        [
            (b"this is text", "not audio"),
            (b"", "0 bytes"),
            (write_wav(np.zeros(16_000, np.float32)), "no speech"),
            (write_wav(np.ones(400, np.float32)), "0.02 s"),
            (write_wav(np.zeros(61 * 16_000, np.float32)), "longer than the 60 s"),
        ],
    )
    def test_a_query_that_cannot_be_used_is_invalid_and_named(
        self, filled: SimpleNamespace, say: Say, audio: bytes, told: str
    ) -> None:
        good = write_wav(say("tea", voice=9))
        results = []

        def ask() -> None:
            def requests() -> Iterator[search_pb2.SearchRequest]:
                yield search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a"))
                yield search_pb2.SearchRequest(query=TEA)
                yield search_pb2.SearchRequest(chunk=good)
                yield search_pb2.SearchRequest(query=search_pb2.QueryHeader(label="bad one"))
                for start in range(0, len(audio), MAX_CHUNK_BYTES):
                    yield search_pb2.SearchRequest(chunk=audio[start : start + MAX_CHUNK_BYTES])

            results.extend(filled.searches.Search(requests()))

        error = refused(ask)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert errors.reason_of(error) == "INVALID_INPUT"
        assert "query 'bad one': " in error.details()
        assert told in error.details()
        assert [response.result.label for response in results] == ["tea"]

    def test_an_unknown_recording_or_an_empty_stretch_of_one_is_refused(
        self, filled: SimpleNamespace
    ) -> None:
        unknown = search_pb2.StoredQuery(recording="nobody", interval=interval(0, 1))
        assert refused(lambda: asked(filled, unknown)).code() == grpc.StatusCode.NOT_FOUND
        for start, end in ((1, 1), (2, 1), (0, 51), (-1, 1)):
            empty = search_pb2.StoredQuery(recording=filled.ids["tea"], interval=interval(start, end))
            assert (
                refused(lambda empty=empty: asked(filled, empty)).code() == grpc.StatusCode.INVALID_ARGUMENT
            )

    @pytest.mark.parametrize(
        ("stream", "told"),
        [
            ([], "must hold options, got nothing"),
            ([search_pb2.SearchRequest(query=TEA)], "must hold options, got query"),
            (
                [search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a", top_k=10_001))],
                "top_k must be between 0 and 10,000, got 10001",
            ),
            (
                [
                    search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a")),
                    search_pb2.SearchRequest(chunk=b"x"),
                ],
                "must hold query or stored or typed, got chunk",
            ),
            (
                [search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a")), more()],
                "must hold query or stored or typed, got example",
            ),
            (
                [
                    search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a")),
                    search_pb2.SearchRequest(query=TEA),
                    search_pb2.SearchRequest(chunk=bytes(MAX_CHUNK_BYTES + 1)),
                ],
                "at most 262,144",
            ),
            (
                [
                    search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a")),
                    search_pb2.SearchRequest(query=TEA),
                    *[search_pb2.SearchRequest(chunk=bytes(MAX_CHUNK_BYTES))]
                    * (MAX_QUERY_BYTES // MAX_CHUNK_BYTES + 1),
                ],
                f"a query must have at most {MAX_QUERY_BYTES:,} bytes",
            ),
            (
                [
                    search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a")),
                    search_pb2.SearchRequest(query=TEA),
                    *[search_pb2.SearchRequest(chunk=bytes(MAX_CHUNK_BYTES)), more()]
                    * (MAX_QUERY_BYTES // MAX_CHUNK_BYTES // 15),
                    *[search_pb2.SearchRequest(chunk=bytes(MAX_CHUNK_BYTES))]
                    * (MAX_QUERY_BYTES // MAX_CHUNK_BYTES),
                ],
                f"a query must have at most {MAX_QUERY_BYTES:,} bytes",
            ),
        ],
    )
    def test_malformed_streams_are_invalid_and_say_what_is_allowed(
        self, filled: SimpleNamespace, stream: list[Any], told: str
    ) -> None:
        error = refused(lambda: list(filled.searches.Search(iter(stream))))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert errors.reason_of(error) == "MALFORMED_REQUEST"
        assert told in error.details()

    def test_one_answer_holds_a_bounded_number_of_hits(self, filled: SimpleNamespace) -> None:
        query = search_pb2.StoredQuery(recording=filled.ids["tea"], interval=interval(1.6, 2.2))
        options = search_pb2.SearchOptions(archive="a", top_k=10_000)
        request = search_pb2.SearchStoredRequest(options=options, queries=[query] * 3)
        error = refused(lambda: filled.searches.SearchStored(request))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "queries times top_k must be at most 20,000, got 3 times 10000" in error.details()

    def test_a_search_stops_at_its_deadline(self, filled: SimpleNamespace, say: Say) -> None:
        go_on = threading.Event()
        filled.encoder.before = lambda: go_on.wait(20)
        query = write_wav(say("tea"))

        def requests() -> Iterator[search_pb2.SearchRequest]:
            yield search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a"))
            yield search_pb2.SearchRequest(query=TEA)
            yield search_pb2.SearchRequest(chunk=query)

        try:
            error = refused(lambda: list(filled.searches.Search(requests(), timeout=1.0)))
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        finally:
            go_on.set()

    def test_a_search_that_cannot_begin_in_time_is_turned_away_with_a_delay(
        self, running: Running, recordings: dict[str, Path], say: Say
    ) -> None:
        up = created(running(queue_seconds=0.1))
        added(up, recordings["tea"])
        indexed(up)
        go_on = threading.Event()
        up.encoder.before = lambda: go_on.wait(60)
        query = write_wav(say("tea"))

        def search() -> Iterator[search_pb2.SearchResponse]:
            options = search_pb2.SearchOptions(archive="a")
            requests = [
                search_pb2.SearchRequest(options=options),
                search_pb2.SearchRequest(query=TEA),
                search_pb2.SearchRequest(chunk=query),
            ]
            return up.searches.Search(iter(requests), timeout=60)  # type: ignore[no-any-return]

        searches = [search() for _ in os.sched_getaffinity(0)]
        try:
            while not (overload := next((error for error in map(ended, searches) if error), None)):
                searches.append(search())
                go_on.wait(0.2)
        finally:
            go_on.set()
        assert overload.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 0 < errors.retry_seconds_of(overload) < 60
        assert errors.reason_of(overload) == "OVERLOADED"
        served = [search for search in searches if not ended(search)]
        assert [response.result.label for search in served for response in search] == ["tea"] * len(served)

    def test_queries_of_all_callers_hold_a_bounded_number_of_bytes(
        self, filled: SimpleNamespace, say: Say, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = write_wav(say("tea"))
        second_half_sent = threading.Event()

        def requests() -> Iterator[search_pb2.SearchRequest]:
            yield search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive="a"))
            yield search_pb2.SearchRequest(query=TEA)
            yield search_pb2.SearchRequest(chunk=query[:-1])
            second_half_sent.wait(60)
            yield search_pb2.SearchRequest(chunk=query[-1:])

        monkeypatch.setattr(filled.query_bytes, "_limit", len(query))
        first = filled.searches.Search(requests())
        while filled.query_bytes.held < len(query) - 1:
            time.sleep(0.001)
        error = refused(lambda: asked(filled, TEA, query))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert errors.reason_of(error) == "OVERLOADED"
        second_half_sent.set()
        assert len(list(first)) == 1
        assert len(asked(filled, TEA, query, TEA, query)) == 2
        assert filled.query_bytes.held == 0


def ended(search: Any) -> Any:
    """The error that ended a search, if any has."""
    return search if not search.is_active() and search.code() is not grpc.StatusCode.OK else None
