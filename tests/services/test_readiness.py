from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wordspot.services import readiness
from wordspot.services.errors import PeerUnavailable
from wordspot.services.readiness import Unusable, check_home, check_peer
from wordspot.services.runtime import Service

NAME = "wordspot.v1.ArchiveService"
OTHER = "wordspot.v1.SearchService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG_S = 60.0


class Disk:
    """Whether it can be used is the test's to say."""

    def __init__(self) -> None:
        self.full = threading.Event()

    def check(self) -> None:
        if self.full.is_set():
            raise OSError("the disk is full")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.05)


def states(channel: grpc.Channel, name: str) -> Any:
    request = health_pb2.HealthCheckRequest(service=name)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=LONG_S)


def test_health_follows_what_a_service_needs_and_so_does_the_whole(
    serving: Callable[..., tuple[grpc.Channel, str]], caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    services = [Service(NAME, lambda server: None, disk.check), Service(OTHER, lambda server: None)]
    channel, _ = serving(*services)
    watches = [states(channel, name) for name in (NAME, "")]
    assert [next(watch).status for watch in watches] == [SERVING, SERVING]
    disk.full.set()
    assert [next(watch).status for watch in watches] == [NOT_SERVING, NOT_SERVING]
    assert f"{NAME} cannot be used: the disk is full" in caplog.text
    assert next(states(channel, OTHER)).status == SERVING
    disk.full.clear()
    assert [next(watch).status for watch in watches] == [SERVING, SERVING]


def test_a_home_must_be_a_folder_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_home(tmp_path)
    with pytest.raises(Unusable, match="is not a folder that can be written to"):
        check_home(tmp_path / "gone")
    monkeypatch.setattr(readiness, "MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(Unusable, match=r"must have [\d,]+ bytes free, got [\d,]+"):
        check_home(tmp_path)


def test_a_peer_must_serve_and_answer(serving: Callable[..., tuple[grpc.Channel, str]]) -> None:
    disk = Disk()
    channel, address = serving(Service(NAME, lambda server: None, disk.check))
    check_peer(channel, address, NAME)
    disk.full.set()
    assert NOT_SERVING in (answer.status for answer in states(channel, NAME))
    with pytest.raises(PeerUnavailable, match=f"{NAME} at {address} cannot be used"):
        check_peer(channel, address, NAME)
    with grpc.insecure_channel("127.0.0.1:1") as nowhere, pytest.raises(PeerUnavailable, match="not answer"):
        check_peer(nowhere, "127.0.0.1:1", NAME)
