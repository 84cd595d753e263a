from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from wordspot.indexer.sound.audio import write_wav
from wordspot.services.gateway.problems import Problem
from wordspot.services.gateway.spool import Spool, Spooled, new_id
from wordspot.services.limits import MAX_UPLOAD_BYTES, UPLOAD_EXPIRY_S

UPLOADS = "/archives/default/uploads"
PIECE = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


@pytest.fixture
def sound(say: Any) -> bytes:
    return write_wav(say("some", "tea", "please"))


@pytest.fixture
def begin(served: Any) -> Callable[..., str]:
    """Begins an upload; returns its path."""
    served.ask("PUT", "/archives/default")

    def create(length: int, **values: str) -> str:
        headers = {"Upload-Length": str(length), "Upload-Metadata": metadata(**values)}
        answer = served.api("POST", UPLOADS, headers=headers | {"Tus-Resumable": "1.0.0"})
        assert answer.status_code == 201, answer.text
        assert answer.headers["Upload-Offset"] == "0"
        return f"/archives/default/{answer.headers['Location']}"

    return create


def piece(served: Any, path: str, offset: int, data: bytes, **headers: str) -> requests.Response:
    answer: requests.Response = served.api(
        "PATCH", path, data=data, headers=PIECE | {"Upload-Offset": str(offset)} | headers
    )
    return answer


def test_a_file_arrives_in_pieces_and_becomes_a_recording(
    served: Any, begin: Callable[..., str], sound: bytes
) -> None:
    path = begin(len(sound), filename="Gespräch 1.wav", sha256=hashlib.sha256(sound).hexdigest())
    first = piece(served, path, 0, sound[:1_000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    head = served.api("HEAD", path)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("1000", str(len(sound)))
    done = piece(served, path, 1_000, sound[1_000:])
    assert done.status_code == 201
    recording = done.json()
    assert (recording["path"], recording["state"]) == ("Gespräch 1.wav", "added")
    assert served.ask("GET", f"/archives/default/recordings/{recording['id']}") == recording
    assert served.ask("GET", path)["recording"] == recording
    again = piece(served, path, len(sound), b"")
    assert (again.status_code, again.json()) == (201, recording)


def test_a_connection_that_breaks_leaves_what_arrived(
    served: Any, begin: Callable[..., str], say: Any
) -> None:
    sound = write_wav(say(*["long"] * 100))
    path = begin(len(sound), filename="a.wav")
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\n"
        head += f"Content-Type: {PIECE['Content-Type']}\r\nContent-Length: {len(sound)}\r\n\r\n"
        connection.sendall(head.encode() + sound[:3_000_000])
    deadline = time.monotonic() + 30
    while True:
        offset = int(served.api("HEAD", path).headers["Upload-Offset"])
        answer = piece(served, path, offset, sound[offset:])
        if answer.status_code not in (409, 423):  # the first request may not have ended yet
            break
        assert time.monotonic() < deadline
    assert offset >= 1_000_000
    assert answer.status_code == 201, answer.text


def test_a_piece_at_another_offset_is_refused(served: Any, begin: Callable[..., str], sound: bytes) -> None:
    path = begin(len(sound), filename="a.wav")
    piece(served, path, 0, sound[:10])
    answer = piece(served, path, 9, sound[9:])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "10")
    assert answer.json()["detail"] == "the upload goes on at byte 10, got 9"


def test_a_piece_has_its_checksum(served: Any, begin: Callable[..., str], sound: bytes) -> None:
    path = begin(len(sound), filename="a.wav")
    digest = base64.b64encode(hashlib.sha1(sound[:10]).digest()).decode()
    wrong = piece(served, path, 0, sound[1:11], **{"Upload-Checksum": f"sha1 {digest}"})
    assert wrong.status_code == 460
    assert served.api("HEAD", path).headers["Upload-Offset"] == "0"
    right = piece(served, path, 0, sound[:10], **{"Upload-Checksum": f"sha1 {digest}"})
    assert right.headers["Upload-Offset"] == "10"
    unknown = piece(served, path, 10, sound[10:], **{"Upload-Checksum": "crc32 AAAA"})
    assert (unknown.status_code, unknown.json()["field"]) == (400, "Upload-Checksum")


def test_a_file_that_is_not_what_was_announced_is_dropped(
    served: Any, begin: Callable[..., str], sound: bytes
) -> None:
    path = begin(len(sound), filename="a.wav", sha256="0" * 64)
    assert piece(served, path, 0, sound).status_code == 460
    assert served.api("HEAD", path).status_code == 404


def test_a_file_that_is_no_sound_is_refused_and_dropped(served: Any, begin: Callable[..., str]) -> None:
    path = begin(4, filename="a.wav")
    answer = piece(served, path, 0, b"text")
    assert answer.status_code == 400
    assert "a.wav" in answer.json()["detail"]
    assert served.api("HEAD", path).status_code == 404


def test_more_than_was_announced_is_refused(served: Any, begin: Callable[..., str]) -> None:
    path = begin(4, filename="a.wav")
    answer = piece(served, path, 0, b"texts")
    assert (answer.status_code, answer.json()["limit"]) == (413, 4)
    assert served.api("HEAD", path).headers["Upload-Offset"] == "0"


def test_an_upload_can_be_given_up(served: Any, begin: Callable[..., str]) -> None:
    path = begin(4, filename="a.wav")
    assert served.api("DELETE", path).status_code == 204
    assert served.api("HEAD", path).status_code == 404


def test_an_upload_may_begin_with_its_first_piece(served: Any, sound: bytes) -> None:
    served.ask("PUT", "/archives/default")
    headers = PIECE | {"Upload-Length": str(len(sound)), "Upload-Metadata": metadata(filename="b.wav")}
    answer = served.api("POST", UPLOADS, data=sound, headers=headers)
    assert answer.status_code == 201
    assert answer.headers["Upload-Offset"] == str(len(sound))
    assert served.ask("GET", "/archives/default/recordings")["recordings"][0]["path"] == "b.wav"


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Upload-Length": "x"}, 400, "Upload-Length"),
        ({}, 400, "Upload-Length"),
        ({"Upload-Length": "0"}, 400, "Upload-Length"),
        ({"Upload-Length": str(MAX_UPLOAD_BYTES + 1)}, 413, "Upload-Length"),
        ({"Upload-Length": "5", "Upload-Metadata": "filename !"}, 400, "Upload-Metadata"),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(sha256="ab")}, 400, "filename"),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(filename="a", sha256="ab")}, 400, "sha256"),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(filename="a", tags="[]")}, 400, "tags"),
        ({"Upload-Length": "5", "Tus-Resumable": "0.1.0"}, 412, "Tus-Resumable"),
    ],
)
def test_what_is_wrong_with_an_upload_is_named(
    served: Any, headers: dict[str, str], status: int, field: str
) -> None:
    served.ask("PUT", "/archives/default")
    if "Upload-Metadata" not in headers:
        headers |= {"Upload-Metadata": metadata(filename="a.wav")}
    assert served.refuse(status, "POST", UPLOADS, headers=headers)["field"] == field


def test_an_archive_or_upload_that_is_not_there_is_named(served: Any, begin: Callable[..., str]) -> None:
    headers = {"Upload-Length": "5", "Upload-Metadata": metadata(filename="a.wav")}
    assert (
        served.refuse(404, "POST", "/archives/none/uploads", headers=headers)["detail"] == "no archive 'none'"
    )
    path = begin(5, filename="a.wav")
    assert served.api("HEAD", path.replace("default", "other")).status_code == 404
    assert served.api("GET", f"{UPLOADS}/..%2f..%2fa").status_code in (404, 405)


def test_it_says_what_of_tus_it_understands(served: Any) -> None:
    headers = served.api("OPTIONS", UPLOADS).headers
    assert headers["Tus-Version"] == "1.0.0"
    assert "expiration" in headers["Tus-Extension"].split(",")
    assert int(headers["Tus-Max-Size"]) == MAX_UPLOAD_BYTES


def test_a_whole_file_is_put(served: Any, sound: bytes) -> None:
    served.ask("PUT", "/archives/default")
    answer = served.api("PUT", f"{UPLOADS}/interviews/a%20b.wav", data=sound)
    assert (answer.status_code, answer.json()["path"]) == (201, "interviews/a b.wav")
    lines = served.api("PUT", f"{UPLOADS}/two%0Alines.wav", data=sound)
    assert (lines.status_code, lines.json()["id"]) == (200, answer.json()["id"])
    again = served.api("PUT", f"{UPLOADS}/interviews/a%20b.wav", data=sound)
    assert (again.status_code, again.json()) == (200, answer.json())


def test_a_file_is_put_by_ranges(served: Any, sound: bytes) -> None:
    served.ask("PUT", "/archives/default")
    size = len(sound)

    def ranged(start: int, stop: int) -> requests.Response:
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        answer: requests.Response = served.api(
            "PUT", f"{UPLOADS}/a.wav", data=sound[start:stop], headers=headers
        )
        return answer

    assert (ranged(0, 100).status_code, ranged(100, 300).json()["offset"]) == (202, 300)
    assert ranged(200, 400).headers["Upload-Offset"] == "300"
    asked = served.api("PUT", f"{UPLOADS}/a.wav", headers={"Content-Range": f"bytes */{size}"})
    assert (asked.status_code, asked.json()["offset"]) == (202, 300)
    assert ranged(300, size).status_code == 201
    wrong = served.refuse(
        400, "PUT", f"{UPLOADS}/a.wav", data=b"abc", headers={"Content-Range": "bytes 0-9/3"}
    )
    assert wrong["field"] == "Content-Range"


def test_an_upload_outlives_its_server_and_expires(tmp_path: Path) -> None:
    upload = Spooled(new_id(), "default", "a.wav", 9, tags={"place": "Gent"})
    Spool(tmp_path / "spool").create(upload)
    with Spool(tmp_path / "spool").open_at(upload, 0) as file:
        file.write(b"12345")
    again = Spool(tmp_path / "spool")
    assert again.load(upload.id) == upload
    assert again.offset(upload) == 5
    card = tmp_path / "spool" / f"{upload.id}.json"
    assert json.loads(card.read_text())["tags"] == {"place": "Gent"}
    assert (card.stat().st_mode & 0o777, card.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    os.utime(card, (0, time.time() - UPLOAD_EXPIRY_S - 1))
    os.utime(card.with_suffix(".part"), (0, time.time() - UPLOAD_EXPIRY_S - 1))
    again.sweep()
    assert not list(card.parent.iterdir())
    with pytest.raises(Problem, match="no upload"):
        again.load(upload.id)
