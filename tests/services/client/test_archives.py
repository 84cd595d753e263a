from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from wordspot import Client, FileQuery, StoredQuery
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.sound.audio import write_wav
from wordspot.services import embedded_transport
from wordspot.services.client import connection, retries
from wordspot.services.client.indexing import IndexingEnded
from wordspot.services.client.records import IndexProgress
from wordspot.services.errors import PeerUnavailable
from wordspot.services.limits import MAX_QUERY_BYTES, MAX_UNAVAILABLE_ATTEMPTS
from wordspot.services.runtime import Service
from wordspot.services.searcher.app import Searcher
from wordspot.services.settings import SearcherSettings
from wordspot.v1 import archive_pb2, archive_pb2_grpc

Say = Callable[..., np.ndarray]


@pytest.fixture
def up(running: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return running()


@pytest.fixture
def client(up: SimpleNamespace) -> Iterator[Client]:
    """Of a server, so that files are uploaded."""
    with Client(up.address) as client:
        yield client


@pytest.fixture
def filled(client: Client, recordings: dict[str, Path]) -> Client:
    client.index(recordings.values())
    return client


@pytest.fixture
def tea(tmp_path: Path, say: Say) -> Path:
    path = tmp_path / "tea-query.wav"
    path.write_bytes(write_wav(say("tea", voice=9)))
    return path


def test_index_and_search_in_two_lines(client: Client, recordings: dict[str, Path], tea: Path) -> None:
    report = client.index([recordings["tea"].parent])
    assert (report.added, report.present, report.ignored, report.problems) == (4, 0, 0, {})
    assert report.archive.indexed_recordings == 4
    assert report.operation.spans_done == report.archive.spans > 0
    hits = client.search(tea)
    assert {hit.path for hit in hits} == {str(recordings["tea"]), str(recordings["both"])}
    assert all(hit.detected for hit in hits)


def test_indexing_again_recognises_what_is_there(filled: Client, recordings: dict[str, Path]) -> None:
    report = filled.index([recordings["tea"].parent])
    assert (report.added, report.present) == (0, 4)
    assert report.operation.recordings_done == 0
    assert report.archive.recordings == 4


def test_a_file_that_is_no_audio_is_reported_and_the_rest_goes_on(
    client: Client, recordings: dict[str, Path]
) -> None:
    folder = recordings["tea"].parent
    (folder / "broken.wav").write_bytes(b"this is text")
    (folder / "notes.txt").write_text("not looked at")
    report = client.index([folder])
    assert (report.added, report.ignored) == (4, 1)
    assert list(report.problems) == [str(folder / "broken.wav")]
    assert "not audio" in report.problems[str(folder / "broken.wav")]


def test_without_a_server_bad_files_are_reported_and_the_rest_goes_on(
    tmp_path: Path, recordings: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_transport, "MAX_FILES_PER_CALL", 2)
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    folder = recordings["tea"].parent
    (folder / "broken.wav").write_bytes(b"this is text")
    odd = folder / "odd\udcff.wav"
    odd.write_bytes(recordings["tea"].read_bytes() + bytes(2))
    told: list[IndexProgress] = []
    with Client(home=tmp_path / "home") as client:
        report = client.index([folder], encoder="naive", progress=told.append)
        assert (report.added, report.present, report.archive.indexed_recordings) == (5, 0, 5)
        assert report.problems.keys() == {str(folder / "broken.wav")}
        assert client.index([folder], encoder="naive").present == 5
    assert told[0] == IndexProgress("adding", 0, 6)
    assert [step.done for step in told if step.stage == "adding"] == sorted([*range(7), 6])


def test_progress_is_told_for_both_stages(client: Client, recordings: dict[str, Path]) -> None:
    told: list[IndexProgress] = []
    client.index(recordings.values(), progress=told.append)
    assert told[0] == IndexProgress("adding", 0, 4)
    assert IndexProgress("adding", 4, 4) in told
    assert told[-1] == IndexProgress("indexing", 4, 4)


def test_an_operation_that_fails_is_raised_with_its_problem(
    up: SimpleNamespace, client: Client, recordings: dict[str, Path]
) -> None:
    def fail() -> None:
        raise FailedPrecondition("the GPU has left")

    up.encoder.before = fail
    with pytest.raises(IndexingEnded, match="'default' failed after 0 of 1 recordings: the GPU has left"):
        client.index([recordings["tea"]])
    up.encoder.before = lambda: None
    (operation,) = client.operations()
    client.resume(operation.id)
    assert list(client.watch(operation.id))[-1].state == archive_pb2.OPERATION_STATE_SUCCEEDED


def test_an_operation_can_be_cancelled_from_elsewhere(
    up: SimpleNamespace, client: Client, recordings: dict[str, Path]
) -> None:
    go_on = threading.Event()

    def hold() -> None:
        (operation,) = client.operations()
        client.cancel(operation.id)
        assert go_on.wait(20)

    up.encoder.before = hold
    threading.Timer(0.5, go_on.set).start()
    with pytest.raises(IndexingEnded, match="cancelled"):
        client.index(recordings.values())


def test_queries_come_as_path_bytes_stretch_and_recording(filled: Client, tea: Path, say: Say) -> None:
    by_path = filled.search(str(tea))
    assert filled.search(tea.read_bytes()) == by_path
    long = tea.with_name("long.wav")
    long.write_bytes(write_wav(say("house", "large", "tea", "kind", voice=9)))
    by_stretch = filled.search(FileQuery(long, 2.7, 3.3))
    assert {hit.path for hit in by_stretch} == {hit.path for hit in by_path}
    stored = filled.search(StoredQuery(by_path[0].recording, by_path[0].start, by_path[0].end))
    assert {hit.path for hit in stored} == {hit.path for hit in by_path}


def test_several_examples_of_any_kind_are_one_query(
    filled: Client, recordings: dict[str, Path], tea: Path, say: Say
) -> None:
    other = tea.with_name("other.wav")
    other.write_bytes(write_wav(say("tea", voice=5)))
    (best, *_) = filled.search(tea)
    stretch = StoredQuery(best.recording, best.start, best.end)
    expected = {str(recordings["tea"]), str(recordings["both"])}
    for examples in (
        [tea, other],
        (str(tea), other.read_bytes()),
        [stretch, FileQuery(tea, 0.5, 1.1)],
        [stretch, stretch],
        [other],
    ):
        assert {hit.path for hit in filled.search(examples)} == expected
    assert filled.search([tea]) == filled.search(tea)
    one, both = filled.search_batch([[tea], [tea, other]])
    assert one.compared == both.compared
    assert one.hits != both.hits


def test_every_example_that_cannot_be_used_is_named(filled: Client, tea: Path) -> None:
    nowhere, gone = tea.with_name("nowhere.wav"), tea.with_name("gone.wav")
    with pytest.raises(InvalidInput, match=r"cannot read .*nowhere\.wav: .*; cannot read .*gone\.wav: "):
        filled.search([tea, nowhere, gone])
    with pytest.raises(InvalidInput, match=r"2 of 3 examples cannot be used, 'example 2', 'example 3': "):
        filled.search([tea, b"text", b"text"])
    bad, good = filled.search_batch([[b"text", tea], [tea, tea]])
    assert "1 of 2 examples" in bad.problem
    assert good.hits


@pytest.mark.parametrize("count", [0, 17])
def test_a_query_has_one_to_sixteen_examples(filled: Client, tea: Path, count: int) -> None:
    with pytest.raises(InvalidInput, match=f"examples in a query must be between 1 and 16, got {count}"):
        filled.search([tea] * count)


def test_a_stretch_of_a_long_file_travels_with_its_context_only(filled: Client, tea: Path, say: Say) -> None:
    long = tea.with_name("hour.wav")
    silence = np.zeros(16_000 * 900, np.float32)
    long.write_bytes(write_wav(np.concatenate([silence, say("tea", voice=9), silence])))
    (answer,) = filled.search_batch([FileQuery(long, 900.5, 901.1)])
    assert answer.problem == ""
    assert {Path(hit.path).stem for hit in answer.hits} == {"tea", "both"}
    assert answer.compared == (5.0, 5.6)


def test_a_stretch_is_cut_by_the_server_where_the_client_has_no_decoder(
    filled: Client, tea: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tea.with_name("minutes.wav")
    silence = np.zeros(16_000 * 90, np.float32)
    long.write_bytes(write_wav(np.concatenate([silence, say("tea", voice=9), silence])))
    (cut_here,) = filled.search_batch([FileQuery(long, 90.5, 91.1)])
    monkeypatch.setitem(sys.modules, "wordspot.indexer.sound.audio", None)
    cut_there, behind, across = filled.search_batch(
        [FileQuery(long, 90.5, 91.1), FileQuery(long, 900.0, 901.0), FileQuery(long, 181.0, 190.0)]
    )
    assert cut_there.problem == ""
    assert cut_there.compared == (90.5, 91.1)
    assert cut_there.hits[0].path == cut_here.hits[0].path
    assert cut_there.hits[0].score == pytest.approx(cut_here.hits[0].score, abs=0.01)
    assert "ends before 900 s" in behind.problem
    assert "got 181 to 190 s" in across.problem


def test_a_batch_answers_in_order_and_goes_on_after_queries_that_cannot_be_used(
    filled: Client, tea: Path, say: Say
) -> None:
    queries = [tea, tea.with_name("nowhere.wav"), b"text", StoredQuery(_first(filled), 1.6, 2.2), tea]
    answers = list(filled.search_batch(queries))
    assert [bool(answer.problem) for answer in answers] == [False, True, True, False, False]
    assert "nowhere.wav" in answers[1].problem
    assert "not audio" in answers[2].problem
    assert answers[0].hits == answers[4].hits
    assert answers[0].threshold > 0


def _first(client: Client) -> str:
    return next(iter(client.recordings())).id


def test_a_batch_ends_at_what_is_wrong_with_all_queries(filled: Client, tea: Path) -> None:
    with pytest.raises(NotFound, match="'elsewhere'"):
        list(filled.search_batch([tea], "elsewhere"))
    with pytest.raises(FailedPrecondition, match="not 'ears'"):
        list(filled.search_batch([tea], encoder="ears"))


def test_no_queries_get_no_answers(filled: Client) -> None:
    assert list(filled.search_batch([])) == []


@pytest.mark.parametrize(
    ("start", "end"), [(2.0, 1.0), (-1.0, 1.0), (0.0, 61.0), (float("nan"), 1.0), (1.0, None)]
)
def test_a_stretch_that_cannot_be_is_refused(
    filled: Client, tea: Path, start: float, end: float | None
) -> None:
    with pytest.raises(InvalidInput, match="must satisfy 0 <= start < end and be at most 60 s long"):
        filled.search(FileQuery(tea, start, end))


def test_a_stretch_without_a_start_begins_with_the_file(filled: Client, tea: Path) -> None:
    (answer,) = filled.search_batch([FileQuery(tea, None, 1.1)])
    assert answer.compared == (0.0, 1.1)


def test_a_file_too_large_for_a_query_is_refused_before_it_is_read(filled: Client, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(MAX_QUERY_BYTES + 1)
    with pytest.raises(
        InvalidInput, match=f"at most {MAX_QUERY_BYTES:,} bytes, got .* of {MAX_QUERY_BYTES + 1:,}"
    ):
        filled.search(large)


def test_clips_are_wav(filled: Client) -> None:
    samples, rate = soundfile.read(io.BytesIO(filled.clip(_first(filled), 0.5, 1.5)))
    assert (len(samples), rate) == (16_000, 16_000)


def test_clips_have_the_channels_and_the_rate_of_the_file_where_they_are_asked_for(
    client: Client, tmp_path: Path
) -> None:
    sound = np.random.default_rng(7).uniform(-0.5, 0.5, (2 * 44_100, 2)).astype(np.float32)
    soundfile.write(tmp_path / "stereo.wav", sound, 44_100)
    client.index([tmp_path / "stereo.wav"])
    samples, rate = soundfile.read(io.BytesIO(client.clip(_first(client), 0.5, 1.5, original_rate=True)))
    assert rate == 44_100
    np.testing.assert_allclose(samples, sound[22_050:66_150], atol=1e-4)


@pytest.mark.parametrize("top", [0, 10_001])
def test_a_number_of_hits_outside_its_limits_is_refused(client: Client, tea: Path, top: int) -> None:
    with pytest.raises(InvalidInput, match=f"top must be between 1 and 10,000, got {top}"):
        client.search(tea, top=top)


def test_a_deleted_recording_is_gone(filled: Client) -> None:
    gone = _first(filled)
    filled.delete(gone)
    assert gone not in {recording.id for recording in filled.recordings()}
    assert filled.compact().bytes_freed > 0
    with pytest.raises(NotFound):
        filled.clip(gone, 0, 1)


def test_archives_are_listed_shown_and_deleted(filled: Client) -> None:
    assert [archive.name for archive in filled.archives()] == ["default"]
    assert filled.archive().encoder == "bands"
    filled.ensure_archive()
    filled.delete_archive("default")
    assert list(filled.archives()) == []


def test_lists_go_over_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_PAGE_ITEMS", 2)
    for number in range(5):
        client.ensure_archive(f"a{number}")
    assert [archive.name for archive in client.archives()] == [f"a{number}" for number in range(5)]


def test_a_path_that_does_not_exist_is_refused_before_anything_is_added(client: Client) -> None:
    with pytest.raises(InvalidInput, match="nowhere, which does not exist"):
        client.index(["nowhere"])
    assert list(client.archives()) == []


class Restarting(archive_pb2_grpc.ArchiveServiceServicer):
    """Sees no file, takes an upload, and is unavailable before it answers."""

    def __init__(self, times: int) -> None:
        self.ids: list[str] = []
        self._times = times

    def AddRecordings(
        self, request: archive_pb2.AddRecordingsRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.AddRecordingsResponse]:
        unseen = archive_pb2.AddedFile(status=archive_pb2.FILE_STATUS_UNSEEN)
        yield archive_pb2.AddRecordingsResponse(files=[unseen] * len(request.files))

    def UploadRecording(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        header, *_ = request_iterator
        self.ids.append(header.header.request_id)
        if len(self.ids) <= self._times:
            raise PeerUnavailable("restarting")
        return archive_pb2.UploadRecordingResponse(recording=archive_pb2.Recording(id="kept"))


@pytest.mark.parametrize("times", [1, 100])
def test_an_upload_is_repeated_with_the_same_request_id_for_a_while(
    serving: Callable[..., Any], tea: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None))
    servicer = Restarting(times)

    def register(server: grpc.Server) -> None:
        archive_pb2_grpc.add_ArchiveServiceServicer_to_server(servicer, server)

    _, address = serving(Service("wordspot.v1.ArchiveService", register))
    with Client(address) as client:
        if times == 1:
            assert client.add(tea)[0].id == "kept"
        else:
            with pytest.raises(PeerUnavailable, match="restarting"):
                client.add(tea)
    assert len(servicer.ids) == min(times + 1, MAX_UNAVAILABLE_ATTEMPTS)
    assert len(set(servicer.ids)) == 1


def test_a_searcher_without_its_peers_keeps_recordings_and_names_what_is_missing(
    serving: Callable[..., Any], recordings: dict[str, Path], tmp_path: Path
) -> None:
    options = SearcherSettings(
        home=tmp_path / "home", isolate=False, segmenter="127.0.0.1:1", modelhost="127.0.0.1:2"
    )
    with closing(Searcher(options)) as searcher:
        _, address = serving(*searcher.services)
        with Client(address) as client:
            with pytest.raises(PeerUnavailable, match=r"no service answers at 127\.0\.0\.1:2"):
                client.index([recordings["tea"]])
            assert client.archive().recordings == 1


def test_without_a_server_the_client_works_on_the_home_by_itself(
    tmp_path: Path, recordings: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    with Client(home=tmp_path / "home") as client:
        assert client.index([recordings["tea"]]).added == 1
        (hit, *_) = client.search(FileQuery(recordings["tea"], 1.6, 2.2), all_hits=True)
        assert hit.path == str(recordings["tea"])
        assert (hit.start, hit.end) == pytest.approx((1.6, 2.2), abs=0.1)
        (recording,) = client.recordings()
        assert recording.path == str(recordings["tea"])
    assert not (tmp_path / "home" / "audio").exists() or not list((tmp_path / "home" / "audio").iterdir())
