from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest
import requests

from wordspot.services.errors import ServiceError
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings

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
