from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wordspot.indexer.errors import FailedPrecondition
from wordspot.services import embedded
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.errors import ServiceError
from wordspot.services.runtime import open_channel
from wordspot.services.settings import SearcherSettings, ServerSettings
from wordspot.v1 import archive_pb2, archive_pb2_grpc

SERVICES = ("SegmentationService", "EmbeddingService", "ArchiveService", "SearchService")


def settings(home: Path, **server: Any) -> EmbeddedSettings:
    searcher = SearcherSettings(home=home, isolate=False)
    return EmbeddedSettings(searcher=searcher, server=ServerSettings(**server) if server else None)


def test_all_services_answer_at_one_address(tmp_path: Path, offering: Callable[..., Any]) -> None:
    with (
        EmbeddedServer(settings(tmp_path / "home", host="127.0.0.1"), offering()) as server,
        open_channel(server.address) as channel,
    ):
        assert server.address.startswith("127.0.0.1:")
        health = health_pb2_grpc.HealthStub(channel)
        for name in SERVICES:
            answer = health.Check(health_pb2.HealthCheckRequest(service=f"wordspot.v1.{name}"))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_without_a_port_it_listens_where_only_its_user_can_reach(
    tmp_path: Path, offering: Callable[..., Any]
) -> None:
    with EmbeddedServer(settings(tmp_path / "home"), offering()) as server:
        socket = Path(server.address.removeprefix("unix:"))
        assert socket.is_socket()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert not socket.parent.exists()


def test_a_long_temporary_folder_does_not_make_the_socket_s_path_too_long(
    tmp_path: Path, offering: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with (
        EmbeddedServer(settings(tmp_path / "home"), offering()) as server,
        open_channel(server.address) as channel,
    ):
        archives = archive_pb2_grpc.ArchiveServiceStub(channel)
        assert not archives.ListArchives(archive_pb2.ListArchivesRequest()).archives
    assert list(long.iterdir()) == []


def test_a_home_is_open_once(tmp_path: Path, offering: Callable[..., Any]) -> None:
    with (
        EmbeddedServer(settings(tmp_path / "home"), offering()),
        pytest.raises(FailedPrecondition, match="home"),
    ):
        EmbeddedServer(settings(tmp_path / "home"), offering())


def test_a_start_that_fails_leaves_neither_folder_nor_thread_behind(
    tmp_path: Path, offering: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = tmp_path / "t"
    sockets.mkdir()
    monkeypatch.setattr(embedded.tempfile, "tempdir", str(sockets))
    monkeypatch.setattr(embedded, "MAX_SOCKET_PATH_BYTES", 1_000)
    (tmp_path / "home").write_text("a file where the folder should be")
    before = threading.active_count()
    with pytest.raises(Exception, match="home"):
        EmbeddedServer(settings(tmp_path / "home"), offering())
    assert list(sockets.iterdir()) == []
    assert threading.active_count() <= before + 1  # gRPC ends its own thread a moment later


def test_calls_that_wait_for_other_services_do_not_take_their_threads(
    running: Callable[..., Any], recordings: dict[str, Path]
) -> None:
    up = running()
    request = archive_pb2.CreateArchiveRequest(name="a")
    up.archives.CreateArchive(request)
    for path in recordings.values():
        up.archives.AddRecording(archive_pb2.AddRecordingRequest(archive="a", path=str(path)))
    operation = up.archives.IndexArchive(archive_pb2.IndexArchiveRequest(archive="a")).operation
    request = archive_pb2.WatchOperationRequest(id=operation.id)
    watches = [up.archives.WatchOperation(request, timeout=60) for _ in range(40)]
    for watch in watches:
        last = [response.operation for response in watch][-1]
        assert last.state == archive_pb2.OPERATION_STATE_SUCCEEDED
    assert isinstance(watches[0], grpc.Future)


def test_no_folder_for_temporary_files_is_an_error_that_says_what_to_do(
    tmp_path: Path, offering: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(embedded.tempfile, "gettempdir", fail)
    with pytest.raises(ServiceError, match=r"temporary files cannot be written .*set TMPDIR"):
        EmbeddedServer(settings(tmp_path / "home"), offering())
