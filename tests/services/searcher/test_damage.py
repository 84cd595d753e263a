"""Damaged segments over the wire: named by the search that reads them, verified, repaired."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.services.waiting import until
from wordspot.services.client.archives import Client
from wordspot.v1 import archive_pb2

Running = Callable[..., SimpleNamespace]


@pytest.fixture
def indexed(running: Running, recordings: dict[str, Path]) -> SimpleNamespace:
    up = running()
    with Client(up.address) as client:
        client.index(list(recordings.values()))
    return up


def zero(home: Path, name: str) -> str:
    """Zeroes the end of a file of one segment, in place; returns the segment's name."""
    segment = min((home / "segments").iterdir())
    with (segment / name).open("r+b") as file:
        file.seek(128)
        size = len(file.read()) + 128
        file.seek(128)
        file.write(bytes(size - 128))
    return segment.name


@pytest.mark.parametrize("name", ["vectors.npy", "spans.npy", "frames.npy"])
def test_a_search_of_zeros_is_data_loss_and_later_ones_say_what_they_leave_out(
    indexed: SimpleNamespace, tmp_path: Path, recordings: dict[str, Path], name: str
) -> None:
    with Client(indexed.address) as client:
        query = recordings["tea"]
        request = _stored(client)
        indexed.searches.SearchStored(request)
        segment = zero(tmp_path / "home", name)  # what is mapped and was checked changes too
        with pytest.raises(grpc.RpcError) as refusal:
            indexed.searches.SearchStored(request)
        assert refusal.value.code() is grpc.StatusCode.DATA_LOSS
        assert f"segment {segment}: {name}" in refusal.value.details()
        assert str(tmp_path) not in refusal.value.details()
        (answer,) = client.search_batch([query])
        assert [segment in warning for warning in answer.warnings] == [True]
        (quarantined,) = client.archive().quarantined
        assert quarantined.name == segment
        with pytest.warns(UserWarning, match=segment):
            client.search(query)
        operation = client.repair()
        assert operation.recordings_done == quarantined.recordings
        (answer,) = client.search_batch([query])
        assert answer.warnings == ()
        assert client.archive().quarantined == []


def _stored(client: Client) -> Any:
    from wordspot.v1 import audio_pb2, search_pb2

    recording = next(iter(client.recordings()))
    stretch = audio_pb2.Interval(start_seconds=0.5, end_seconds=1.1)
    query = search_pb2.StoredQuery(recording=recording.id, interval=stretch)
    options = search_pb2.SearchOptions(archive="default", top_k=10_000, include_undetected=True)
    return search_pb2.SearchStoredRequest(options=options, queries=[query])


def test_verification_streams_a_result_for_each_segment_and_upload(
    running: Running, recordings: dict[str, Path]
) -> None:
    indexed = running(roots=())  # which sees no file of the client's
    with Client(indexed.address) as client:
        client.index(list(recordings.values()))
    responses = list(indexed.archives.VerifyArchive(archive_pb2.VerifyArchiveRequest(name="default")))
    uploads = [r for r in responses if r.kind == archive_pb2.STORED_KIND_UPLOAD]
    segments = [r for r in responses if r.kind == archive_pb2.STORED_KIND_SEGMENT]
    assert sum(r.recordings for r in segments) == len(recordings)
    assert {Path(r.name).name for r in uploads} == {path.name for path in recordings.values()}
    assert not any(r.problem for r in responses)
    assert sum(r.size_bytes for r in segments) > 0
    with pytest.raises(grpc.RpcError) as refusal:
        list(indexed.archives.VerifyArchive(archive_pb2.VerifyArchiveRequest(name="x")))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("sqlite_code", "status", "told"),
    [
        (sqlite3.SQLITE_READONLY, grpc.StatusCode.FAILED_PRECONDITION, "cannot be used: as SQLite says"),
        (sqlite3.SQLITE_CANTOPEN, grpc.StatusCode.FAILED_PRECONDITION, "cannot be used: as SQLite says"),
        (sqlite3.SQLITE_CORRUPT, grpc.StatusCode.DATA_LOSS, "is damaged: as SQLite says"),
        (sqlite3.SQLITE_FULL, grpc.StatusCode.RESOURCE_EXHAUSTED, "no space left"),
    ],
)
def test_a_catalogue_that_fails_under_a_server_is_a_status_that_says_why(
    indexed: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    sqlite_code: int,
    status: grpc.StatusCode,
    told: str,
) -> None:
    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("as SQLite says")
        error.sqlite_errorcode = sqlite_code
        raise OperationalError("INSERT", {}, error)

    monkeypatch.setattr(Session, "flush", fail)
    with pytest.raises(grpc.RpcError) as refusal:
        indexed.archives.CreateArchive(archive_pb2.CreateArchiveRequest(name="more"))
    assert refusal.value.code() is status
    assert told in refusal.value.details()


def test_a_scrub_finds_damage_that_no_search_has_met(
    running: Running, recordings: dict[str, Path], tmp_path: Path
) -> None:
    up = running(scrub_hours=1e-5)
    with Client(up.address) as client:
        client.index(list(recordings.values()))
        segment = zero(tmp_path / "home", "vectors.npy")
        until(lambda: client.archive().quarantined)
        (quarantined,) = client.archive().quarantined
        assert quarantined.name == segment
