import threading
from collections.abc import Callable, Iterator

import pytest

from wordspot.services.admission import MAX_RETRY_S, CallLimit, WorkSlots
from wordspot.services.errors import Overloaded

LONG_S = 60.0


def held(slots: WorkSlots) -> tuple[threading.Thread, threading.Event]:
    """A thread that holds a slot until the event is set."""
    ready, finish = threading.Event(), threading.Event()

    def work() -> None:
        with slots.slot():
            ready.set()
            finish.wait(LONG_S)

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(LONG_S)
    return thread, finish


def wait_until(condition: Callable[[], bool]) -> None:
    ended = threading.Event()
    while not condition():
        ended.wait(0.001)


class TestWorkSlots:
    def test_work_beyond_the_slots_waits_in_order_of_arrival(self) -> None:
        slots = WorkSlots(1, LONG_S)
        first, finish = held(slots)
        order: list[int] = []
        threads = []

        def work(number: int) -> None:
            with slots.slot():
                order.append(number)

        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            wait_until(lambda number=number: slots.waiting == number + 1)  # type: ignore[misc]
        assert order == []
        finish.set()
        for thread in (first, *threads):
            thread.join()
        assert order == [0, 1, 2, 3, 4]
        assert slots.waiting == 0

    def test_work_that_cannot_begin_before_its_deadline_is_turned_away_and_leaves_the_queue(self) -> None:
        slots = WorkSlots(1, LONG_S)
        thread, finish = held(slots)
        with pytest.raises(Overloaded) as caught, slots.slot(remaining_s=0.01):
            raise AssertionError("no slot is free")
        assert 0 < caught.value.retry_seconds <= MAX_RETRY_S
        assert slots.waiting == 0
        finish.set()
        thread.join()
        with slots.slot(remaining_s=0.01):
            pass

    def test_a_queue_longer_than_the_patience_turns_work_away_at_once(self) -> None:
        slots = WorkSlots(1, patience_s=0.5)
        slots._mean_s = 1.0
        thread, finish = held(slots)
        begin = threading.Event()
        with pytest.raises(Overloaded), slots.slot():
            begin.set()
        assert not begin.is_set()
        assert not slots.has_room()
        finish.set()
        thread.join()
        assert slots.has_room()

    def test_a_call_that_had_a_slot_waits_as_long_as_its_deadline_allows(self) -> None:
        slots = WorkSlots(1, patience_s=0.01)
        slots._mean_s = 1.0
        thread, finish = held(slots)
        answered = threading.Event()

        def work() -> None:
            with slots.slot(LONG_S, admitted=True):
                answered.set()

        waiting = threading.Thread(target=work)
        waiting.start()
        wait_until(lambda: slots.waiting == 1)
        finish.set()
        thread.join()
        waiting.join()
        assert answered.is_set()

    def test_a_lease_returns_its_slot_while_its_call_waits_for_the_caller(self) -> None:
        slots = WorkSlots(1, LONG_S)
        with slots.lease(lambda: None) as lease:
            with lease.paused(), slots.slot(0.0):
                pass
            with pytest.raises(Overloaded), slots.slot(0.0):
                raise AssertionError("no slot is free")
        with slots.slot(0.0):
            pass

    def test_a_lease_that_ends_while_its_call_waits_returns_no_slot_twice(self) -> None:
        slots = WorkSlots(1, LONG_S)
        with pytest.raises(ZeroDivisionError), slots.lease(lambda: None) as lease, lease.paused():
            raise ZeroDivisionError
        with slots.slot(), pytest.raises(Overloaded), slots.slot(0.0):
            raise AssertionError("no slot is free")

    def test_a_lease_waits_for_its_slot_again_as_long_as_its_deadline_allows(self) -> None:
        slots = WorkSlots(1, 0.0)
        remaining = [LONG_S]

        def work() -> Iterator[tuple[threading.Thread, threading.Event]]:
            with slots.lease(lambda: remaining[0]) as lease, lease.paused():
                yield held(slots)
                remaining[0] = 0.01

        working = work()
        thread, finish = next(working)
        with pytest.raises(Overloaded):
            next(working)
        finish.set()
        thread.join()
        with slots.slot(0.0):
            pass

    def test_a_slot_is_given_back_when_the_work_fails(self) -> None:
        slots = WorkSlots(1, LONG_S)
        for _ in range(3):
            with pytest.raises(KeyError), slots.slot():
                raise KeyError


class TestCallLimit:
    def test_calls_beyond_the_limit_are_turned_away_until_one_ends(self) -> None:
        limit = CallLimit(1)
        with limit.admitted():
            assert limit.full
            with pytest.raises(Overloaded, match="1 calls are under way"), limit.admitted():
                raise AssertionError("the limit is 1")
        assert not limit.full
        with limit.admitted():
            pass
