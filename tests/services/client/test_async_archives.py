"""The client by asyncio, over real servers: it does what the other does."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_overloads

import grpc
import numpy as np
import pytest

from wordspot import AsyncClient, Client, FileQuery, RecordingFilter
from wordspot.indexer.errors import InvalidInput, NotFound, Overloaded
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.client.records import IndexProgress
from wordspot.services.errors import DeadlinePassed, PeerUnavailable
from wordspot.services.runtime import Service
from wordspot.v1 import archive_pb2, archive_pb2_grpc

Say = Callable[..., np.ndarray]


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.fixture
def up(running: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return running()


@pytest.fixture
def filled(up: SimpleNamespace, recordings: dict[str, Path]) -> str:
    """The address of a server whose archive holds the recordings."""
    with Client(up.address) as client:
        client.index(recordings.values())
    address: str = up.address
    return address


@pytest.fixture
def tea(tmp_path: Path, say: Say) -> Path:
    path = tmp_path / "tea-query.wav"
    path.write_bytes(write_wav(say("tea", voice=9)))
    return path


async def listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def test_it_has_the_methods_and_arguments_of_the_other_client() -> None:
    ours, theirs = public(AsyncClient), public(Client)
    assert ours.keys() == theirs.keys()
    for name, method in theirs.items():
        assert not get_overloads(method)
        expected = inspect.signature(method).parameters
        assert {**inspect.signature(ours[name]).parameters}.keys() == {**expected}.keys(), name
        assert inspect.iscoroutinefunction(ours[name]) or inspect.isasyncgenfunction(ours[name]), name
    assert list(inspect.signature(AsyncClient).parameters) == list(inspect.signature(Client).parameters)


def test_it_indexes_searches_and_lists_what_the_other_does(
    up: SimpleNamespace, recordings: dict[str, Path], tea: Path
) -> None:
    steps: list[IndexProgress] = []

    async def use() -> tuple[Any, ...]:
        async with AsyncClient(up.address) as wordspot:
            report = await wordspot.index(recordings.values(), progress=steps.append)
            hits = await wordspot.search(tea, all_hits=True)
            archives = await listed(wordspot.archives())
            known = await listed(wordspot.recordings())
            operations = await listed(wordspot.operations())
            clip = await wordspot.clip(hits[0].recording, hits[0].start, hits[0].end)
            return report, hits, archives, known, operations, clip

    report, hits, archives, known, operations, clip = asyncio.run(use())
    assert report.added == len(recordings)
    assert {step.stage for step in steps} == {"adding", "indexing", "looking"}
    with Client(up.address) as client:
        assert hits == client.search(tea, all_hits=True)
        assert archives == list(client.archives())
        assert known == list(client.recordings())
        assert operations == list(client.operations())
        assert clip == client.clip(hits[0].recording, hits[0].start, hits[0].end)


def test_many_searches_run_side_by_side_in_one_loop(filled: str, tea: Path) -> None:
    async def use() -> list[Any]:
        async with AsyncClient(filled) as wordspot:
            return await asyncio.gather(*(wordspot.search(tea) for _ in range(40)))

    first, *others = asyncio.run(use())
    assert first
    assert all(hits == first for hits in others)


def test_a_batch_answers_in_order_and_goes_on_after_queries_that_cannot_be_used(
    filled: str, tea: Path, tmp_path: Path
) -> None:
    queries = [tea, tmp_path / "absent.wav", FileQuery(tea, 5.0, 4.0), tea]

    async def use() -> list[Any]:
        async with AsyncClient(filled) as wordspot:
            return await listed(wordspot.search_batch(queries))

    answers = asyncio.run(use())
    assert [bool(answer.problem) for answer in answers] == [False, True, True, False]
    with Client(filled) as client:
        others = list(client.search_batch(queries))
    assert [(answer.hits, answer.problem) for answer in answers] == [
        (answer.hits, answer.problem) for answer in others
    ]


def test_errors_are_those_of_the_other_client(filled: str, tmp_path: Path) -> None:
    async def use() -> None:
        wordspot = AsyncClient(filled)
        with pytest.raises(NotFound, match="'no'"):
            await wordspot.archive("no")
        with pytest.raises(InvalidInput, match=r"cannot read .*absent"):
            await wordspot.search(tmp_path / "absent.wav")
        with pytest.raises(InvalidInput, match="top must be between"):
            await wordspot.search(b"", top=0)
        await wordspot.close()
        elsewhere = AsyncClient("127.0.0.1:1", retry_timeout=0)
        with pytest.raises(PeerUnavailable, match=r"127\.0\.0\.1:1"):
            await elsewhere.archive()
        await elsewhere.close()

    asyncio.run(use())


def test_recordings_and_archives_are_added_deleted_verified_and_compacted(filled: str, tea: Path) -> None:
    async def use() -> None:
        async with AsyncClient(filled) as wordspot:
            assert await wordspot.ensure_archive("other")
            assert not await wordspot.ensure_archive("other")
            recording, present = await wordspot.add(tea, "other")
            assert not present
            operation = await wordspot.follow(await wordspot.start_index("other"))
            assert operation.recordings_done == 1
            assert await wordspot.interrupted("other") is None
            await wordspot.delete(recording.id, "other")
            assert not [result async for result in wordspot.verify("other") if result.problem]
            assert (await wordspot.compact("other")).segments_before == 1
            await wordspot.delete_archive("other")
            with pytest.raises(NotFound):
                await wordspot.archive("other")

    asyncio.run(use())


def test_it_works_on_a_home_without_a_server(tmp_path: Path) -> None:
    async def use() -> tuple[bool, list[Any]]:
        async with AsyncClient(home=tmp_path / "home") as wordspot:
            return await wordspot.ensure_archive("mine"), await listed(wordspot.archives())

    created, archives = asyncio.run(use())
    assert created
    assert [archive.name for archive in archives] == ["mine"]


def test_tags_and_verdicts_are_those_of_the_other_client(filled: str, tea: Path) -> None:
    async def use() -> tuple[Any, ...]:
        async with AsyncClient(filled) as wordspot:
            first, *_ = await wordspot.search(tea, all_hits=True)
            tagged = await wordspot.tag(first.recording, {"place": "gent"})
            known = await listed(wordspot.recordings(filter=RecordingFilter(tags={"place": ("gent",)})))
            stored = await wordspot.judge(first, "tea", correct=True, author="me")
            verdicts = await listed(wordspot.verdicts(query="tea"))
            tags = await listed(wordspot.tags())
            await wordspot.delete_verdicts([verdict.id for verdict in stored])
            with pytest.raises(InvalidInput):
                await wordspot.tag(first.recording, {"No Key": ""})
            return tagged, known, stored, verdicts, tags, await listed(wordspot.verdicts())

    tagged, known, stored, verdicts, tags, left = asyncio.run(use())
    assert known == [tagged]
    assert stored == verdicts
    assert [(tag.key, tag.value) for tag in tags] == [("place", "gent")]
    assert left == []


class Slow(archive_pb2_grpc.ArchiveServiceServicer):
    """Answers once it is told to; turns callers away `refusals` times before. ended: a call was cancelled."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.calls = refusals, 0
        self.go_on, self.entered, self.ended = threading.Event(), threading.Event(), threading.Event()

    def GetArchive(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls += 1
        if self.calls <= self.refusals:
            raise Overloaded("busy", retry_seconds=0.02)
        context.add_callback(self.ended.set)
        self.entered.set()
        self.go_on.wait(20)
        return archive_pb2.GetArchiveResponse(archive=archive_pb2.Archive(name=request.name))


@pytest.fixture
def slow(serving: Callable[..., Any]) -> Iterator[Callable[..., tuple[Slow, str]]]:
    started: list[Slow] = []

    def start(refusals: int = 0) -> tuple[Slow, str]:
        servicer = Slow(refusals)
        started.append(servicer)
        service = Service(
            "wordspot.v1.ArchiveService",
            lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(servicer, server),
        )
        return servicer, serving(service)[1]

    yield start
    for servicer in started:
        servicer.go_on.set()


def test_a_call_ends_with_its_timeout_in_both_clients(slow: Callable[..., tuple[Slow, str]]) -> None:
    _, address = slow()

    async def use() -> None:
        async with AsyncClient(address, timeout=0.2) as wordspot:
            with pytest.raises(DeadlinePassed, match="did not answer in time"):
                await wordspot.archive()

    asyncio.run(use())
    with (
        Client(address, timeout=0.2) as client,
        pytest.raises(DeadlinePassed, match="did not answer in time"),
    ):
        client.archive()


def test_a_call_that_is_turned_away_is_repeated(slow: Callable[..., tuple[Slow, str]]) -> None:
    servicer, address = slow(refusals=3)
    servicer.go_on.set()

    async def use(retry_timeout: float) -> str:
        async with AsyncClient(address, retry_timeout=retry_timeout) as wordspot:
            return (await wordspot.archive("a")).name

    with pytest.raises(Overloaded):
        asyncio.run(use(0))
    assert asyncio.run(use(30)) == "a"
    assert servicer.calls == 4


def test_a_task_that_is_cancelled_cancels_its_call(slow: Callable[..., tuple[Slow, str]]) -> None:
    servicer, address = slow()

    async def use() -> None:
        async with AsyncClient(address) as wordspot:
            task = asyncio.create_task(wordspot.archive())
            assert await asyncio.to_thread(servicer.entered.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(servicer.ended.wait, 20)

    asyncio.run(use())


def test_indexing_that_is_cancelled_ends_its_operation(
    up: SimpleNamespace, recordings: dict[str, Path]
) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(20)

    up.encoder.before = hold

    async def use() -> Any:
        async with AsyncClient(up.address) as wordspot:
            task = asyncio.create_task(wordspot.index(recordings.values()))
            assert await asyncio.to_thread(held.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (operation,) = await listed(wordspot.operations())
            go_on.set()
            return (await listed(wordspot.watch(operation.id)))[-1].state

    assert asyncio.run(use()) == archive_pb2.OPERATION_STATE_CANCELLED
