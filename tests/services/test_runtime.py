from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_requests import Client as ReflectionClient
from grpc_status import rpc_status

from wordspot.services import channels, errors, idle, runtime
from wordspot.services.errors import MalformedRequest, PeerUnavailable, ServiceError
from wordspot.services.runtime import Service, create_server, ensure_wanted, time_remaining
from wordspot.services.settings import ServerSettings
from wordspot.v1 import archive_pb2 as pb
from wordspot.v1 import (  # noqa: F401
    archive_pb2_grpc,
    embedding_pb2,
    search_pb2,
    segmentation_pb2,
    segmentation_pb2_grpc,
)

NAME = "wordspot.v1.ArchiveService"


class Archives(archive_pb2_grpc.ArchiveServiceServicer):
    """Answers as the test wants it."""

    def __init__(self) -> None:
        self.calls = 0
        self.unavailable = 0
        self.remaining: list[float | None] = []
        self.left = threading.Event()
        self.entered = threading.Event()
        self.release = threading.Event()

    def GetArchive(
        self, request: pb.GetArchiveRequest, context: grpc.ServicerContext
    ) -> pb.GetArchiveResponse:
        self.calls += 1
        self.remaining.append(time_remaining())
        if self.calls <= self.unavailable:
            raise PeerUnavailable("not yet")
        return pb.GetArchiveResponse(archive=pb.Archive(name=request.name))

    def DeleteArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls += 1
        raise PeerUnavailable("not now")

    def WatchOperation(
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchOperationResponse]:
        try:
            while True:
                ensure_wanted()
                yield pb.WatchOperationResponse()
                time.sleep(0.01)
        finally:
            self.left.set()

    def UploadRecording(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Any:
        return pb.UploadRecordingResponse(already_present=not list(request_iterator))

    def CompactArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.entered.set()
        assert self.release.wait(20)
        return pb.CompactArchiveResponse()


@pytest.fixture
def archives() -> Archives:
    return Archives()


@pytest.fixture
def service(archives: Archives) -> Service:
    return Service(
        NAME, lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(archives, server)
    )


Serving = Callable[..., tuple[grpc.Channel, str]]


def test_health_is_told_for_each_service_and_the_whole(serving: Serving, service: Service) -> None:
    channel, _ = serving(service)
    health = health_pb2_grpc.HealthStub(channel)
    for name in (NAME, ""):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="wordspot.v1.Nothing"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_can_call_them(serving: Serving, service: Service) -> None:
    _, address = serving(service, reflection=True)
    client = ReflectionClient.get_by_endpoint(address)
    try:
        assert NAME in client.service_names
        assert client.request(NAME, "GetArchive", {"name": "x"})["archive"]["name"] == "x"
    finally:
        client.channel.close()


def test_without_the_flag_there_is_no_reflection(serving: Serving, service: Service) -> None:
    _, address = serving(service)
    with pytest.raises(grpc.RpcError) as caught:
        ReflectionClient.get_by_endpoint(address)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_read_is_tried_again_while_the_service_is_unavailable(
    serving: Serving, service: Service, archives: Archives
) -> None:
    archives.unavailable = 2
    channel, _ = serving(service)
    answer = archive_pb2_grpc.ArchiveServiceStub(channel).GetArchive(pb.GetArchiveRequest(name="x"))
    assert answer.archive.name == "x"
    assert archives.calls == 3


def test_a_call_that_changes_something_is_tried_once(
    serving: Serving, service: Service, archives: Archives
) -> None:
    channel, _ = serving(service)
    with pytest.raises(grpc.RpcError) as caught:
        archive_pb2_grpc.ArchiveServiceStub(channel).DeleteArchive(pb.DeleteArchiveRequest(name="x"))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert archives.calls == 1


class Segments(segmentation_pb2_grpc.SegmentationServiceServicer):
    """Reads the stream to its end."""

    def Segment(
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[segmentation_pb2.SegmentResponse]:
        for _ in request_iterator:
            yield segmentation_pb2.SegmentResponse()


@pytest.mark.parametrize(
    ("arity", "method"),
    [
        ("unary_unary", f"{NAME}/GetArchive"),
        ("unary_stream", f"{NAME}/WatchOperation"),
        ("stream_unary", f"{NAME}/UploadRecording"),
        ("stream_stream", "wordspot.v1.SegmentationService/Segment"),
    ],
)
def test_bytes_that_are_no_message_are_refused_as_malformed(
    arity: str, method: str, serving: Serving, service: Service
) -> None:
    segmenter = Service(
        "wordspot.v1.SegmentationService",
        lambda server: segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(Segments(), server),
    )
    channel, _ = serving(service, segmenter)
    call = getattr(channel, arity)(f"/{method}", None, None)
    request = b"\xff\xff" if arity.startswith("unary") else iter([b"\xff\xff"])
    with pytest.raises(grpc.RpcError) as caught:
        list(call(request, timeout=20))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "a message of 2 bytes is not of the type of this call" in caught.value.details()


def test_every_method_of_the_service_config_exists() -> None:
    config = json.loads(resources.files(runtime.__package__).joinpath("service_config.json").read_text())
    pool = descriptor_pool.Default()
    named = [name for method in config["methodConfig"] for name in method["name"]]
    assert named
    for name in named:
        pool.FindMethodByName(f"{name['service']}.{name['method']}")


def test_a_handler_knows_the_caller_s_deadline(
    serving: Serving, service: Service, archives: Archives
) -> None:
    channel, _ = serving(service)
    stub = archive_pb2_grpc.ArchiveServiceStub(channel)
    stub.GetArchive(pb.GetArchiveRequest(), timeout=7)
    # gRPC rounds a deadline up to ten milliseconds on its way.
    assert 6 < archives.remaining[0] <= 7.1
    assert time_remaining() is None


def test_a_loop_ends_when_the_deadline_passes(serving: Serving, service: Service, archives: Archives) -> None:
    channel, _ = serving(service)
    stub = archive_pb2_grpc.ArchiveServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.WatchOperation(pb.WatchOperationRequest(), timeout=0.3))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert archives.left.wait(5)


def test_a_loop_ends_when_the_caller_goes(serving: Serving, service: Service, archives: Archives) -> None:
    channel, _ = serving(service)
    watch = archive_pb2_grpc.ArchiveServiceStub(channel).WatchOperation(pb.WatchOperationRequest())
    next(watch)
    watch.cancel()
    assert archives.left.wait(5)


def test_more_calls_than_allowed_are_turned_away(
    serving: Serving, service: Service, archives: Archives
) -> None:
    channel, _ = serving(service, max_calls=1)
    stub = archive_pb2_grpc.ArchiveServiceStub(channel)
    first = stub.CompactArchive.future(pb.CompactArchiveRequest())
    assert archives.entered.wait(10)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetArchive(pb.GetArchiveRequest())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1 calls are under way" in caught.value.details()
    assert errors.reason_of(caught.value) == "OVERLOADED"
    assert retry_info(caught.value)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    archives.release.set()
    first.result()
    assert stub.GetArchive(pb.GetArchiveRequest(name="x")).archive.name == "x"


def retry_info(error: Any) -> bool:
    """Whether a status says when to try again."""
    status = rpc_status.from_call(error)
    return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


def silent(channel: grpc.Channel, method: str) -> Any:
    """A call that begins and sends nothing."""
    released = threading.Event()

    def messages() -> Iterator[bytes]:
        released.wait()
        yield b""

    call = channel.stream_unary(f"/{method}").future(messages())
    call.add_done_callback(lambda _: released.set())
    return call


def translated_name(stub: archive_pb2_grpc.ArchiveServiceStub) -> str:
    with errors.translated("the server"):
        return stub.GetArchive(pb.GetArchiveRequest(name="x")).archive.name


SILENT_METHODS = (
    f"{NAME}/GetArchive",
    f"{NAME}/WatchOperation",
    f"{NAME}/UploadRecording",
    "grpc.health.v1.Health/Check",
)


@pytest.mark.parametrize("method", SILENT_METHODS)
def test_a_call_that_sends_nothing_is_ended(method: str, serving: Serving, service: Service) -> None:
    channel, _ = serving(service, stream_idle_seconds=0.3)
    with pytest.raises(grpc.RpcError) as caught:
        silent(channel, method).result(timeout=60)
    assert caught.value.code() == grpc.StatusCode.CANCELLED


def test_silent_calls_of_which_there_are_too_many_make_room(
    serving: Serving, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "MIN_IDLE_SECONDS", 0.0)
    channel, _ = serving(service, max_calls=4, stream_idle_seconds=600)
    calls = [silent(channel, f"{NAME}/GetArchive") for _ in range(4)]
    stub = archive_pb2_grpc.ArchiveServiceStub(channel)
    assert runtime.with_retries(lambda: translated_name(stub)) == "x"
    for call in calls:
        call.cancel()


def test_a_message_above_the_limit_is_refused(serving: Serving, service: Service) -> None:
    channel, _ = serving(service)
    stub = archive_pb2_grpc.ArchiveServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetArchive(pb.GetArchiveRequest(name="x" * (channels.MAX_MESSAGE_BYTES + 1)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_port_in_use_is_an_error_with_the_address(serving: Serving, service: Service) -> None:
    _, address = serving(service)
    port = int(address.rsplit(":", 1)[1])
    with pytest.raises(ServiceError, match=address):
        create_server([service], ServerSettings(port=port))


def test_chunks_are_bounded_and_keep_units_whole() -> None:
    data = bytes(range(256)) * 4_096
    pieces = list(runtime.chunks(data, unit=12))
    assert b"".join(pieces) == data
    assert all(len(piece) <= runtime.MAX_CHUNK_BYTES for piece in pieces)
    assert all(len(piece) % 12 == 0 for piece in pieces[:-1])


def test_a_chunk_above_the_limit_names_field_and_sizes() -> None:
    runtime.checked_chunk(bytes(runtime.MAX_CHUNK_BYTES), "chunk")
    with pytest.raises(MalformedRequest, match="at most 262,144 bytes, got 262,145") as caught:
        runtime.checked_chunk(bytes(runtime.MAX_CHUNK_BYTES + 1), "chunk")
    assert caught.value.field == "chunk"


def test_sigterm_lets_calls_under_way_end() -> None:
    program = """
import time
from wordspot.services.runtime import Service, create_server, serve
from wordspot.services.settings import ServerSettings
from wordspot.v1 import archive_pb2 as pb, archive_pb2_grpc

class Slow(archive_pb2_grpc.ArchiveServiceServicer):
    def GetArchive(self, request, context):
        time.sleep(1.0)
        return pb.GetArchiveResponse(archive=pb.Archive(name="done"))

register = lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(Slow(), server)
serve(create_server([Service("wordspot.v1.ArchiveService", register)], ServerSettings())[0])
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        with runtime.open_channel(address) as channel:
            call = archive_pb2_grpc.ArchiveServiceStub(channel).GetArchive.future(pb.GetArchiveRequest())
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert call.result(timeout=10).archive.name == "done"
        assert process.wait(10) == 0
