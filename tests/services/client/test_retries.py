"""Calls that a server turns away, over real servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from wordspot import Client, Models
from wordspot.indexer.errors import Exhausted, NotAllowed, Overloaded
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.client.retries import Retries, repeatable_methods
from wordspot.services.errors import PeerUnavailable
from wordspot.services.limits import MAX_UNAVAILABLE_ATTEMPTS
from wordspot.services.runtime import Service
from wordspot.v1 import (
    archive_pb2,
    archive_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)

DELAY_S = 0.02


class Busy:
    """Turns callers away. refusals: raised by one call after another. calls: by their methods' names."""

    def __init__(self, *refusals: Exception) -> None:
        self.calls: list[str] = []
        self._refusals = list(refusals)

    def admit(self, name: str) -> None:
        self.calls.append(name)
        if self._refusals:
            raise self._refusals.pop(0)


class BusyAtSecond(Busy):
    """Turns the second of all calls away."""

    def admit(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) == 2:
            raise Overloaded("busy", retry_seconds=DELAY_S)


class BusyArchives(archive_pb2_grpc.ArchiveServiceServicer):
    def __init__(self, busy: Busy) -> None:
        self._busy = busy

    def GetArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._busy.admit("GetArchive")
        return archive_pb2.GetArchiveResponse(archive=archive_pb2.Archive(name=request.name))

    def DeleteArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._busy.admit("DeleteArchive")
        return archive_pb2.DeleteArchiveResponse()

    def GetClip(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._busy.admit("GetClip")
        yield archive_pb2.GetClipResponse(chunk=b"a")
        self._busy.admit("GetClip, second part")
        yield archive_pb2.GetClipResponse(chunk=b"b")

    def AddRecordings(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        raise NotAllowed("no folder of this server")

    def UploadRecording(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        header, *chunks = request_iterator
        self._busy.admit(header.header.request_id)
        assert chunks
        return archive_pb2.UploadRecordingResponse(recording=archive_pb2.Recording(id="kept"))


class BusySearches(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, busy: Busy) -> None:
        self._busy = busy

    def Search(self, request_iterator: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        next(request_iterator)
        for request in request_iterator:
            if request.WhichOneof("part") == "query":
                self._busy.admit(request.query.label)
                yield search_pb2.SearchResponse(result=search_pb2.SearchResult(label=request.query.label))


class BusyModels(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, busy: Busy) -> None:
        self._busy = busy

    def ListNeighbours(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._busy.admit("ListNeighbours")
        return models_pb2.ListNeighboursResponse()


@pytest.fixture
def serve(serving: Callable[..., Any]) -> Callable[[Busy], str]:
    """Starts the services; returns their address."""

    def start(busy: Busy) -> str:
        services = (
            Service(
                "wordspot.v1.ArchiveService",
                lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(
                    BusyArchives(busy), server
                ),
            ),
            Service(
                "wordspot.v1.SearchService",
                lambda server: search_pb2_grpc.add_SearchServiceServicer_to_server(
                    BusySearches(busy), server
                ),
            ),
            Service(
                "wordspot.v1.ModelService",
                lambda server: models_pb2_grpc.add_ModelServiceServicer_to_server(BusyModels(busy), server),
            ),
        )
        address: str = serving(*services)[1]
        return address

    return start


def overloaded(times: int, seconds: float = DELAY_S) -> list[Overloaded]:
    return [Overloaded("busy", retry_seconds=seconds) for _ in range(times)]


def test_a_call_is_repeated_after_the_delays_that_the_server_asks_for(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(3))
    begin = time.monotonic()
    with Client(serve(busy)) as client:
        assert client.archive("a").name == "a"
    assert busy.calls == ["GetArchive"] * 4
    assert time.monotonic() - begin >= 3 * DELAY_S


def test_calls_of_models_are_repeated_too(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(2))
    with Models(serve(busy)) as models:
        assert models.neighbours("m", "king") == []
    assert len(busy.calls) == 3


def test_no_call_is_repeated_beyond_the_time_for_it(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(1_000, seconds=10))
    begin = time.monotonic()
    with Client(serve(busy), retry_timeout=5) as client, pytest.raises(Overloaded) as refusal:
        client.archive()
    assert busy.calls == ["GetArchive"]
    assert refusal.value.retry_seconds == 10
    assert time.monotonic() - begin < 5


def test_none_is_repeated_where_the_caller_wants_none(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(1))
    with Client(serve(busy), retry_timeout=0) as client, pytest.raises(Overloaded):
        client.archive()
    assert len(busy.calls) == 1


def test_what_is_not_harmless_to_repeat_is_not_repeated(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(1))
    with Client(serve(busy)) as client, pytest.raises(Overloaded):
        client.delete_archive("a")
    assert busy.calls == ["DeleteArchive"]


def test_a_full_disk_is_no_overload(serve: Callable[[Busy], str]) -> None:
    busy = Busy(Exhausted("no space left"))
    with Client(serve(busy)) as client, pytest.raises(Exhausted):
        client.archive()
    assert len(busy.calls) == 1


def test_a_stream_is_repeated_until_its_first_part_came(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*overloaded(2))
    with Client(serve(busy)) as client:
        assert client.clip("r", 0, 1) == b"ab"
    assert busy.calls == ["GetClip"] * 3 + ["GetClip, second part"]


def test_a_stream_that_breaks_off_is_not_repeated(serve: Callable[[Busy], str]) -> None:
    busy = BusyAtSecond()
    with Client(serve(busy)) as client, pytest.raises(Overloaded):
        client.clip("r", 0, 1)
    assert busy.calls == ["GetClip", "GetClip, second part"]


def test_a_batch_goes_on_with_the_query_that_was_turned_away(
    serve: Callable[[Busy], str], tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for path in paths:
        path.write_bytes(b"sound")
    busy = BusyAtSecond()
    with Client(serve(busy)) as client:
        answers = list(client.search_batch(paths))
    assert [answer.label for answer in answers] == [str(path) for path in paths]
    assert [Path(call).name for call in busy.calls] == ["a.wav", "b.wav", "b.wav", "c.wav"]


def test_an_upload_is_repeated_with_its_request_id(serve: Callable[[Busy], str], tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(write_wav(np.zeros(16_000, np.float32)))
    busy = Busy(*overloaded(2))
    with Client(serve(busy)) as client:
        assert client.add(path)[0].id == "kept"
    assert len(busy.calls) == 3
    assert len(set(busy.calls)) == 1


def test_a_search_is_repeated_a_few_times_while_a_peer_is_unavailable(serve: Callable[[Busy], str]) -> None:
    busy = Busy(*(PeerUnavailable("gone") for _ in range(100)))
    with Client(serve(busy), retry_timeout=100) as client, pytest.raises(PeerUnavailable):
        client.search(b"a")
    assert len(busy.calls) == MAX_UNAVAILABLE_ATTEMPTS


def test_what_is_no_failed_call_is_not_repeated() -> None:
    assert not Retries(10).pause(ValueError("x"))


def test_calls_that_change_something_are_not_among_those_to_repeat() -> None:
    methods = {name.rpartition("/")[2] for name in repeatable_methods()}
    assert {"GetArchive", "ListRecordings", "GetClip", "ReadRecording", "SearchStored"} <= methods
    assert not methods & {"DeleteArchive", "DeleteRecording", "CreateArchive", "ResumeOperation"}
