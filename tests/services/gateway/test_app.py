from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tests.services.conftest import BandEncoder
from wordspot.services.errors import ServiceError
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.notes import served_page
from wordspot.services.gateway.peers import Addresses
from wordspot.services.runtime import Service
from wordspot.services.settings import GatewaySettings, ServerSettings, SettingsError
from wordspot.v1 import archive_pb2, archive_pb2_grpc

NOWHERE = Addresses("127.0.0.1:1", "127.0.0.1:1")
HEAVY = ("torch", "faiss", "librosa", "sklearn", "scipy", "numba", "onnxruntime", "sqlalchemy", "typer")


def test_the_page_is_served_with_a_policy_that_forbids_inline_scripts(served: Any) -> None:
    page = served.call("GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in page.headers
    assert "Access-Control-Allow-Origin" not in page.headers


@pytest.mark.parametrize(
    "path", ["/../app.py", "/%2e%2e/app.py", "/..%2f..%2fapp.py", "/%00", "//etc/passwd"]
)
def test_nothing_but_the_page_is_served(served: Any, path: str) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example:80"])
def test_a_name_that_is_not_the_servers_is_refused(served: Any, refused: Any, host: str) -> None:
    told = refused(served.call("GET", "/", headers={"Host": host}), 421)
    assert told["field"] == "Host"


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "192.168.3.4:8080", "[::1]:80", "a.localhost"])
def test_addresses_and_names_of_this_machine_are_answered(served: Any, host: str) -> None:
    assert served.call("GET", "/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_pages_of_other_origins_change_nothing(served: Any, headers: dict[str, str]) -> None:
    served.refuse(403, "POST", "/archives/default/compact", headers=headers)


def test_the_servers_own_page_may_do_everything(served: Any) -> None:
    own = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    assert served.api("PUT", "/archives/default", headers=own).status_code == 201
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.call("GET", "/", headers=link).status_code == 200


def test_a_body_that_is_too_long_is_refused(served: Any) -> None:
    long = b" " * (1 << 20) + b"{}"
    told = served.refuse(413, "POST", "/archives/default/recordings", data=long)
    assert (told["field"], told["limit"]) == ("body", 1 << 20)
    parts = (long[at : at + 65_536] for at in range(0, len(long), 65_536))
    headers = {"Content-Type": "application/json"}
    told = served.refuse(413, "POST", "/archives/default/recordings", data=parts, headers=headers)
    assert told["limit"] == 1 << 20


def test_it_says_what_it_can_do_and_whether_it_can(served: Any) -> None:
    info = served.ask("GET", "/info")
    assert info["encoders"] == ["bands"]
    assert info["limits"]["max_hits"] == 10_000
    assert served.call("GET", "/health").json() == {"status": "ok", "problems": {}}
    assert served.call("GET", "/ready").json() == {"status": "ok", "problems": {}}


def test_services_that_do_not_answer_are_named() -> None:
    with Gateway(NOWHERE, GatewaySettings(http_port=0)) as gateway:
        assert requests.get(f"{gateway.url}/health", timeout=60).status_code == 200
        ready = requests.get(f"{gateway.url}/ready", timeout=60)
        assert (ready.status_code, list(ready.json()["problems"])) == (503, ["127.0.0.1:1"])
        answer = requests.get(f"{gateway.url}/api/v1/archives/a", timeout=60)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_request_keeps_the_id_that_it_brings(served: Any) -> None:
    assert served.call("GET", "/health", headers={"X-Request-Id": "a-1"}).headers["X-Request-Id"] == "a-1"
    given = served.call("GET", "/health", headers={"X-Request-Id": "a b"}).headers["X-Request-Id"]
    assert len(given) == 32


def test_a_taken_port_is_an_error_or_another_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use"):
            Gateway(NOWHERE, GatewaySettings(http_port=port))
        with Gateway(NOWHERE, GatewaySettings(http_port=port, any_port=True)) as gateway:
            assert not gateway.url.endswith(f":{port}")


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, wordspot.services.gateway.app; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.fixture
def impatient() -> Iterator[tuple[str, int]]:
    with Gateway(NOWHERE, GatewaySettings(http_port=0, stream_idle_seconds=0.4)) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        yield host, int(port)


HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"PUT /api/v1/archives/a/uploads/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n123"


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, HEAD + b"\r\n" + HEAD])
def test_a_caller_who_does_not_finish_a_request_is_disconnected(
    impatient: tuple[str, int], sent: bytes
) -> None:
    with socket.create_connection(impatient, timeout=30) as connection:
        connection.sendall(sent)
        with suppress(ConnectionResetError):
            while connection.recv(65_536):
                pass


def test_a_connection_between_requests_stays(impatient: tuple[str, int]) -> None:
    with requests.Session() as session:
        url = f"http://{impatient[0]}:{impatient[1]}/health"
        for _ in range(3):
            assert session.get(url, timeout=30).status_code == 200
            assert threading.Event().wait(0.6) is False


def test_too_many_headers_are_refused(served: Any, refused: Any) -> None:
    many = {f"X-{number}": "1" for number in range(120)}
    assert refused(served.call("GET", "/health", headers=many), 431)["limit"] == 100
    assert served.call("GET", "/health", headers={"X-Long": "a" * 40_000}).status_code == 431


def test_tokens_are_sent_on_to_the_services(serving: Any, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    class Archives(archive_pb2_grpc.ArchiveServiceServicer):
        def GetArchive(self, request: Any, context: Any) -> Any:
            seen.append(dict(context.invocation_metadata()))
            return archive_pb2.GetArchiveResponse()

    def register(server: Any) -> None:
        archive_pb2_grpc.add_ArchiveServiceServicer_to_server(Archives(), server)

    _, address = serving(Service("wordspot.v1.ArchiveService", register))
    with Gateway(Addresses(address, address), GatewaySettings(http_port=0)) as gateway:
        headers = {"Authorization": "Bearer ws_1", "X-Request-Id": "r-1"}
        answer = requests.get(f"{gateway.url}/api/v1/archives/a", headers=headers, timeout=60)
    assert answer.status_code == 200
    assert (seen[0]["authorization"], seen[0]["x-request-id"]) == ("Bearer ws_1", "r-1")


def test_beyond_this_machine_it_needs_what_grpc_needs() -> None:
    with pytest.raises(SettingsError, match=r"without TLS .* and tokens .*--insecure"):
        Gateway(NOWHERE, GatewaySettings(http_host="0.0.0.0", http_port=0))
    insecure = ServerSettings(insecure=True)
    with Gateway(NOWHERE, GatewaySettings(http_host="0.0.0.0", http_port=0, security=insecure)) as gateway:
        assert requests.get(f"{gateway.url}/health", timeout=60).status_code == 200


def test_a_page_that_is_served_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "home" / "page"
    with Gateway(NOWHERE, GatewaySettings(http_port=0, note=path)) as gateway:
        assert served_page(path) == gateway.url
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    path.write_text('{"url": "http://127.0.0.1:1", "process": 1}')
    assert served_page(path) is None


def test_a_stream_of_events_ends_with_the_server(
    running: Callable[..., SimpleNamespace], recordings: dict[str, Path]
) -> None:
    encoder = BandEncoder()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        leave.wait(60)

    encoder.before = hold
    services = running(encoder)
    gateway = Gateway(
        Addresses(services.address, services.address), GatewaySettings(http_port=0, grace_seconds=60)
    )
    gateway.start()
    api = f"{gateway.url}/api/v1"
    requests.put(f"{api}/archives/a", timeout=60)
    requests.post(f"{api}/archives/a/recordings", json={"path": str(recordings["tea"])}, timeout=60)
    operation = requests.post(f"{api}/archives/a/index", timeout=60).json()["id"]
    assert entered.wait(60)
    with requests.get(f"{api}/operations/{operation}/events", stream=True, timeout=60) as stream:
        assert next(stream.iter_lines()) == b"event: progress"
        begin = time.monotonic()
        gateway.stop()
        assert time.monotonic() - begin < 30
    leave.set()
