"""Real servers that ask for tokens, on a port of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wordspot.indexer.errors import NotAllowed
from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import TokenFile
from wordspot.services.errors import Overloaded, ServiceError, Unauthenticated
from wordspot.services.runtime import open_channel
from wordspot.v1 import archive_pb2, archive_pb2_grpc


def test_a_call_without_a_token_is_refused_and_health_is_not(guarded: Callable[..., SimpleNamespace]) -> None:
    server = guarded()
    with pytest.raises(Unauthenticated, match="the call needs a token"):
        list(server.client().archives())
    with open_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "ws_1_2",
        "Bearer ws_1_2",
        "Bearer a.b.c",
        "Bearer " + "x" * 8_192,
    ],
)
def test_no_other_authorization_opens_anything(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, value: str
) -> None:
    tokens.create("somebody", Scope.ADMIN)
    with open_channel(guarded().address) as channel:
        stub = archive_pb2_grpc.ArchiveServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListArchives(archive_pb2.ListArchivesRequest(), metadata=(("authorization", value),))
    assert refused.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    if refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # gRPC's own limit on headers
        assert len(value) > 8_000


def test_a_scope_allows_what_it_names_and_no_more(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    server = guarded()
    reader, writer, admin = (server.client(tokens.create("it", scope)[1]) for scope in Scope)
    with pytest.raises(NotAllowed, match=r"CreateArchive needs scope write, \w+ has read"):
        reader.index(recordings.values())
    writer.index(recordings.values())
    assert [archive.name for archive in reader.archives()] == ["default"]
    with pytest.raises(NotAllowed, match="DeleteArchive needs scope admin"):
        writer.delete_archive("default")
    admin.delete_archive("default")


def test_a_token_that_calls_too_often_is_told_when_to_call_again(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile
) -> None:
    client = guarded().client(tokens.create("it", Scope.READ, calls_per_minute=6)[1])
    list(client.archives())
    with pytest.raises(Overloaded, match="may make 6 calls a minute") as refused:
        list(client.archives())
    assert 0 < refused.value.retry_seconds <= 10


def test_the_audit_log_says_who_asked_what_and_how_it_ended(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path], tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    server = guarded(audit_log=log)
    token, text = tokens.create("it", Scope.WRITE, "radio")
    client = server.client(text)
    client.index([recordings["tea"]])
    client.search(recordings["tea"], all_hits=True)
    with pytest.raises(NotAllowed):
        client.delete_archive("default")
    with pytest.raises(Unauthenticated):
        list(server.client("ws_a_b").archives())
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    search = next(entry for entry in entries if entry["method"] == "Search")
    assert (search["principal"], search["tenant"], search["status"]) == (token.id, "radio", "OK")
    assert search["archive"] == ["default"]
    assert search["label"] == [str(recordings["tea"])]
    ends = [(entry["method"], entry["principal"], entry["status"]) for entry in entries[-2:]]
    assert ends == [("DeleteArchive", token.id, "PERMISSION_DENIED"), ("ListArchives", "", "UNAUTHENTICATED")]
    assert text not in log.read_text()


def test_an_audit_log_that_is_rotated_goes_on_in_a_new_file(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    client = guarded(audit_log=log).client(tokens.create("it", Scope.READ)[1])
    list(client.archives())
    log.rename(tmp_path / "audit.1")
    list(client.archives())
    assert [len(path.read_text().splitlines()) for path in (log, tmp_path / "audit.1")] == [1, 1]
    assert oct(log.stat().st_mode & 0o777) == "0o600"


def test_a_file_of_tokens_that_is_not_there_stops_the_start(
    guarded: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=f"there is no file of tokens {tmp_path}/other"):
        guarded(tokens=tmp_path / "other.json")
