from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wordspot.v1 import archive_pb2


def test_an_archive_is_made_once_listed_and_deleted(served: Any) -> None:
    assert served.api("PUT", "/archives/talks").status_code == 201
    assert served.api("PUT", "/archives/talks").status_code == 200
    assert served.ask("GET", "/archives")["archives"] == [served.ask("GET", "/archives/talks")]
    assert served.api("DELETE", "/archives/talks").status_code == 204
    assert served.refuse(404, "GET", "/archives/talks")["detail"] == "no archive 'talks'"


def test_an_archive_has_the_fields_of_its_message(served: Any) -> None:
    archive = served.ask("PUT", "/archives/talks")
    assert archive.keys() == set(archive_pb2.Archive.DESCRIPTOR.fields_by_name)


def test_archives_come_in_pages(served: Any) -> None:
    for name in "abc":
        served.ask("PUT", f"/archives/{name}")
    first = served.ask("GET", "/archives?page_size=2")
    rest = served.ask("GET", f"/archives?page_size=2&page_token={first['next_page_token']}")
    assert [archive["name"] for archive in (*first["archives"], *rest["archives"])] == ["a", "b", "c"]
    assert rest["next_page_token"] == ""


def test_verifying_sends_what_was_compared(
    served: Any, recordings: dict[str, Path], events: Callable[..., Any]
) -> None:
    served.index(recordings["tea"])
    sent = events(served.api("POST", "/archives/default/verify"))
    assert [name for name, _ in sent][-1] == "end"
    kinds = [data["kind"] for name, data in sent if name == "verified"]
    assert set(kinds) >= {"catalogue", "segment"}
    assert not any(data["problem"] for name, data in sent if name == "verified")


def test_an_archive_is_indexed_and_followed(
    served: Any, recordings: dict[str, Path], events: Callable[..., Any]
) -> None:
    served.ask("PUT", "/archives/default")
    for path in recordings.values():
        assert served.api("POST", "/archives/default/recordings", {"path": str(path)}).status_code == 201
    operation = served.api("POST", "/archives/default/index")
    assert operation.status_code == 202
    sent = events(served.api("GET", f"/operations/{operation.json()['id']}/events"))
    name, last = sent[-1]
    assert (name, last["state"], last["recordings_done"]) == ("end", "succeeded", len(recordings))
    assert all(name == "progress" for name, _ in sent[:-1])
    assert served.ask("GET", "/archives/default/operations")["operations"] == [last]
    assert served.ask("GET", f"/operations/{last['id']}") == last
    assert served.ask("POST", f"/operations/{last['id']}/cancel") == last
    told = served.refuse(412, "POST", f"/operations/{last['id']}/resume")
    assert told["type"] == "urn:wordspot:problem:failed-precondition"
    assert served.ask("POST", "/archives/default/compact")["segments_after"] == 1


def test_recordings_are_listed_and_deleted(served: Any, recordings: dict[str, Path]) -> None:
    ids = served.index(*recordings.values())
    page = served.ask("GET", "/archives/default/recordings?page_size=3")
    assert (len(page["recordings"]), page["total"]) == (3, len(recordings))
    first = page["recordings"][0]
    assert served.ask("GET", f"/archives/default/recordings/{first['id']}") == first
    assert (first["state"], first["sample_rate"]) == ("indexed", 16_000)
    assert served.api("DELETE", f"/archives/default/recordings/{ids['tea']}").status_code == 204
    assert served.ask("GET", "/archives/default/recordings")["total"] == len(recordings) - 1


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/archives?page_size=1001", 422, "page_size"),
        ("GET", "/archives?page_size=many", 422, "page_size"),
        ("GET", "/archives?page_token=%FF", 400, "page_token"),
        ("PUT", "/archives/a%20b", 400, None),
        ("GET", "/archives/none/recordings", 404, None),
        ("GET", "/operations/none", 404, None),
        ("POST", "/archives", 405, None),
        ("GET", "/archive", 404, None),
    ],
)
def test_what_is_wrong_is_named(served: Any, method: str, path: str, status: int, field: str | None) -> None:
    assert served.refuse(status, method, path).get("field") == field


def test_a_file_elsewhere_is_not_added(served: Any) -> None:
    served.ask("PUT", "/archives/default")
    told = served.refuse(403, "POST", "/archives/default/recordings", {"path": "/etc/passwd"})
    assert "does not lie below a folder that this server may read" in told["detail"]


def test_files_that_are_gone_are_found_and_pruned(
    served: Any, recordings: dict[str, Path], events: Callable[..., Any]
) -> None:
    served.ask("PUT", "/archives/default")
    for path in recordings.values():
        served.ask("POST", "/archives/default/recordings", {"path": str(path)})
    recordings["tea"].unlink()
    sent = events(served.api("POST", "/archives/default/refresh"))
    changes = [change for _, data in sent for change in data.get("changes", ())]
    assert [
        Path(change["recording"]["path"]).stem for change in changes if change["status"] == "missing"
    ] == ["tea"]
    assert served.ask("GET", "/archives/default/recordings?state=missing")["total"] == 1
    assert events(served.api("POST", "/archives/default/prune"))[-1][0] == "end"
    assert served.ask("GET", "/archives/default/recordings")["total"] == len(recordings) - 1
