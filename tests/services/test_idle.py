from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from wordspot.services import idle
from wordspot.services.idle import IdleWatch

LONG_S = 60.0


class Call:
    """A call that can be ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def cancel(self) -> None:
        self.ended.set()


@pytest.fixture
def watching() -> Iterator[Callable[[float], IdleWatch]]:
    watches: list[IdleWatch] = []

    def start(idle_seconds: float) -> IdleWatch:
        watches.append(IdleWatch(idle_seconds))
        watches[-1].start()
        return watches[-1]

    yield start
    for watch in watches:
        watch.stop()


def test_a_call_is_ended_while_it_waits_for_a_message(watching: Callable[[float], IdleWatch]) -> None:
    call = Call()

    def requests() -> Iterator[int]:
        yield 1
        assert call.ended.wait(LONG_S)

    with watching(0.1).watched(call) as watched:  # type: ignore[arg-type]
        assert list(watched.received(requests())) == [1]
    assert call.ended.is_set()


def test_a_call_is_ended_while_its_caller_does_not_read(watching: Callable[[float], IdleWatch]) -> None:
    call = Call()
    with watching(0.1).watched(call) as watched:  # type: ignore[arg-type]
        for response in watched.sent(iter([1, 2])):
            assert response == 2 or call.ended.wait(LONG_S)


def test_a_call_that_the_server_works_on_is_left_alone(watching: Callable[[float], IdleWatch]) -> None:
    watch = watching(0.1)
    busy, idle_call = Call(), Call()
    with watch.watched(busy) as working, watch.watched(idle_call) as waiting:  # type: ignore[arg-type]
        for _ in working.received(iter([1])):
            with waiting.waiting():
                assert idle_call.ended.wait(LONG_S)
    assert not busy.ended.is_set()


def test_room_is_made_by_the_call_that_waits_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "MIN_IDLE_SECONDS", 0.0)
    watch = IdleWatch(LONG_S)
    calls = [Call() for _ in range(3)]
    with (
        watch.watched(calls[0]),  # type: ignore[arg-type]
        watch.watched(calls[1]) as second,  # type: ignore[arg-type]
        watch.watched(calls[2]) as third,  # type: ignore[arg-type]
        second.waiting(),
        third.waiting(),
    ):
        watch.make_room()
    assert [call.ended.is_set() for call in calls] == [False, True, False]


def test_no_room_is_made_by_calls_that_have_only_begun_to_wait() -> None:
    watch = IdleWatch(LONG_S)
    call = Call()
    with watch.watched(call) as watched, watched.waiting():  # type: ignore[arg-type]
        watch.make_room()
    assert not call.ended.is_set()


def test_room_is_made_by_the_newest_of_calls_that_wait_for_something_else_where_none_is_idle() -> None:
    watch = IdleWatch(LONG_S)
    calls = [Call() for _ in range(3)]
    with (
        watch.watched(calls[0]) as first,  # type: ignore[arg-type]
        watch.watched(calls[1]) as second,  # type: ignore[arg-type]
        watch.watched(calls[2]),  # type: ignore[arg-type]
        first.parked(),
        second.parked(),
    ):
        watch.make_room()
    assert [call.ended.is_set() for call in calls] == [False, True, False]
