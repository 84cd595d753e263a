"""A gateway on port 0 in front of all services around a fake encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from wordspot import Client
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings

TIMEOUT_S = 60


@dataclass(frozen=True)
class Served:
    """url: of the gateway. address: of gRPC. services: their stubs."""

    url: str
    address: str
    services: SimpleNamespace

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.url}{path}"
        return requests.request(method, url, timeout=TIMEOUT_S, **options)

    def api(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.call(method, f"/api/v1{path}", json=body, **options)

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of a request that must succeed."""
        answer = self.api(method, path, body, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def refuse(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """The problem of a request that must fail."""
        return problem(self.api(method, path, body, **options), status)

    def index(self, *files: Path, archive: str = "default") -> dict[str, str]:
        """Indexes files; returns ids by the names of the files."""
        with Client(self.address) as client:
            client.index(files, archive)
            return {Path(recording.path).stem: recording.id for recording in client.recordings(archive)}


def problem(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


def events_of(answer: requests.Response) -> list[tuple[str, Any]]:
    """Names and data of all events of a stream."""
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    events = []
    for block in blocks:
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


@pytest.fixture
def events() -> Callable[[requests.Response], list[tuple[str, Any]]]:
    return events_of


@pytest.fixture
def refused() -> Callable[[requests.Response, int], dict[str, Any]]:
    return problem


@pytest.fixture
def served(running: Callable[..., SimpleNamespace]) -> Iterator[Served]:
    services = running()
    addresses = Addresses(services.address, services.address)
    with Gateway(addresses, GatewaySettings(http_port=0)) as gateway:
        yield Served(gateway.url, services.address, services)
