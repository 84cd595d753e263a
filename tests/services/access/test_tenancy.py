"""Two tenants of one server never meet: archives, recordings, hits, counts, operations, errors."""

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from wordspot import Client, StoredQuery
from wordspot.indexer.errors import ArchiveError, Exhausted, InvalidInput, NotAllowed, NotFound
from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import TokenFile
from wordspot.v1 import archive_pb2

CALLS = 1_000


def test_tenants_use_the_same_names_and_see_only_their_own(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    server = guarded()
    radio, phone = (server.client(tokens.create("it", Scope.WRITE, name)[1]) for name in ("radio", "phone"))
    radio.index([recordings["tea"], recordings["milk"]])
    phone.index([recordings["none"]])
    assert (radio.archive().recordings, phone.archive().recordings) == (2, 1)
    assert [archive.name for archive in radio.archives()] == ["default"]
    assert {hit.path for hit in radio.search(recordings["tea"], all_hits=True)} <= {
        str(recordings["tea"]),
        str(recordings["milk"]),
    }
    assert {hit.path for hit in phone.search(recordings["tea"], all_hits=True)} <= {str(recordings["none"])}


def test_an_operator_sees_all_archives_by_their_full_names(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile
) -> None:
    server = guarded()
    for tenant in ("radio", "phone"):
        server.client(tokens.create("it", Scope.WRITE, tenant)[1]).ensure_archive("a")
    server.client(tokens.create("it", Scope.WRITE)[1]).ensure_archive("a")
    names = [it.name for it in server.client(tokens.create("it", Scope.ADMIN)[1]).archives()]
    assert names == ["a", "phone:a", "radio:a"]
    assert [it.name for it in server.client(tokens.create("it", Scope.READ)[1]).archives()] == ["a"]


def test_no_name_reaches_into_another_tenant(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile
) -> None:
    server = guarded()
    server.client(tokens.create("it", Scope.WRITE, "phone")[1]).ensure_archive("secret")
    radio = server.client(tokens.create("it", Scope.ADMIN, "radio")[1])
    for name in ("phone:secret", "radio:secret", ":secret"):
        with pytest.raises(InvalidInput, match="must have no ':'"):
            radio.archive(name)
    with pytest.raises(NotFound, match="'secret'") as missing:
        radio.archive("secret")
    assert "radio" not in str(missing.value)
    with pytest.raises(InvalidInput, match="at most 58 characters, got 59"):
        radio.ensure_archive("x" * 59)


def test_an_operation_of_another_tenant_is_like_none(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    server = guarded()
    radio, phone = (server.client(tokens.create("it", Scope.WRITE, name)[1]) for name in ("radio", "phone"))
    radio.index([recordings["tea"]])
    (operation,) = radio.operations()
    for call in (phone.cancel, phone.resume, lambda it: list(phone.watch(it))):
        with pytest.raises(NotFound) as told:
            call(operation.id)
        with pytest.raises(NotFound) as unknown:
            call("0" * len(operation.id))
        assert str(told.value).replace(operation.id, "") == str(unknown.value).replace(
            "0" * len(operation.id), ""
        )
    assert list(radio.watch(operation.id))[-1].archive == "default"


def test_a_tenant_takes_no_files_of_the_server(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    radio = guarded().client(tokens.create("it", Scope.ADMIN, "radio")[1])
    radio.ensure_archive()
    request = archive_pb2.AddRecordingRequest(archive="default", path=str(recordings["tea"]))
    with pytest.raises(grpc.RpcError) as refused:
        radio._archives.AddRecording(request)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_tenant_keeps_within_its_hours(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    radio = guarded().client(tokens.create("it", Scope.WRITE, "radio", audio_hours=1 / 3600)[1])
    radio.index([recordings["tea"]])
    with pytest.raises(Exhausted, match=r"may hold 0\.000277778 hours of sound"):
        radio.add(recordings["milk"])


def test_a_thousand_random_calls_of_each_of_two_tenants_tell_nothing_of_the_other(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, recordings: dict[str, Path]
) -> None:
    server = guarded()
    rng = random.Random(7)
    names = ("radio", "phone")
    clients = {name: server.client(tokens.create("it", Scope.WRITE, name)[1]) for name in names}
    own = {"radio": ("tea", "both"), "phone": ("milk", "none")}
    for name, client in clients.items():
        client.index([recordings[file] for file in own[name]])
    ids = {name: [it.id for it in client.recordings()] for name, client in clients.items()}
    paths = {name: {str(recordings[file]) for file in own[name]} for name in names}
    answers = {"given": 0, "refused": 0}
    for turn in range(2 * CALLS):
        name = names[turn % 2]
        other = names[1 - turn % 2]
        foreign = rng.random() < 0.5
        recording = rng.choice(ids[other if foreign else name])
        try:
            told = _random_call(rng, clients[name], recording, recordings)
            answers["given"] += 1
        except ArchiveError as error:
            told = str(error).replace(recording, "")
            answers["refused"] += 1
        assert not any(text in told for text in (*ids[other], *paths[other], other, f"{name}:")), told
    assert sum(answers.values()) == 2 * CALLS
    assert min(answers.values()) > CALLS / 4


def _random_call(rng: random.Random, client: Client, recording: str, recordings: dict[str, Path]) -> str:
    """Makes a call; returns all that it tells."""
    calls: list[Callable[[], object]] = [
        lambda: list(client.archives()),
        lambda: client.archive(rng.choice(["default", "other", "third"])),
        lambda: list(client.recordings()),
        lambda: list(client.operations()),
        lambda: len(client.clip(recording, 0.2, 0.5)),
        lambda: client.search(StoredQuery(recording, 0.5, 1.1), all_hits=True),
        lambda: client.search(recordings["tea"].read_bytes(), all_hits=True, recordings=[recording]),
        lambda: client.delete("0" * 32) if rng.random() < 0.5 else client.clip(recording, 5, 4),
    ]
    try:
        return str(rng.choice(calls)())
    except NotAllowed as error:
        return str(error)
