from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from wordspot.models.errors import BadInput
from wordspot.services.errors import DeadlinePassed, Overloaded
from wordspot.services.modelhost.batcher import Batcher
from wordspot.services.modelhost.capabilities import CAPABILITIES
from wordspot.services.modelhost.tasks import Task
from wordspot.services.settings import ModelHostSettings

Sections = Batcher[Task, Any]


def section(seconds: float, seed: int = 0) -> Task:
    samples = np.random.default_rng(seed).standard_normal(round(16_000 * seconds)).astype(np.float32)
    return Task("embed", section=([samples], np.array([[0, 0, 20], [0, 5, 40]], np.int32)))


class Gate:
    """Holds the encoder back until it is opened."""

    def __init__(self, encoder: Any) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        encoder.before = self._wait

    def open(self) -> None:
        self._open.set()

    def _wait(self) -> None:
        self.reached.set()
        assert self._open.wait(10)


@pytest.fixture
def scheduled(band_encoder: Any) -> Any:
    made: list[Sections] = []
    embed = CAPABILITIES["embed"]

    def make(**settings: Any) -> tuple[Any, Sections]:
        encoder = band_encoder()
        limits = embed.limits(ModelHostSettings(**settings))
        made.append(Sections("bands", lambda tasks: embed.call(encoder, tasks), embed.weight, limits))
        return encoder, made[-1]

    yield make
    for batcher in made:
        batcher.close()


def test_sections_that_wait_together_run_as_one_batch(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled()
    gate = Gate(encoder)
    first = batcher.submit(section(1))
    assert gate.reached.wait(5)
    rest = [batcher.submit(section(1, seed)) for seed in range(5)]
    gate.open()
    for answer in (first, *rest):
        assert answer.result(5)[0].shape == (2, encoder.dimension)
    assert encoder.batches == [1, 5]


def test_callers_that_come_again_and_again_share_batches(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled(batch_delay_ms=200.0, batch_sections=8)
    gate = Gate(encoder)

    def ask(seed: int) -> None:
        for _ in range(5):
            batcher.submit(section(1, seed)).result(10)

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(ask, seed) for seed in range(4)]
        assert gate.reached.wait(5)
        time.sleep(0.2)  # the others come meanwhile
        gate.open()
        for caller in callers:
            caller.result(10)
    assert sum(encoder.batches) == 20
    assert len(encoder.batches) <= 10
    assert max(encoder.batches) <= 4


def test_a_lone_caller_does_not_wait_for_company(scheduled: Callable[..., Any]) -> None:
    _, batcher = scheduled(batch_delay_ms=1_000.0)
    begun = time.monotonic()
    for seed in range(5):
        batcher.submit(section(1, seed)).result(10)
    assert time.monotonic() - begun < 1


def test_each_caller_gets_the_answer_to_its_own_section(
    scheduled: Callable[..., Any], band_encoder: Any
) -> None:
    _, batcher = scheduled(batch_delay_ms=50.0)
    sections = [section(1 + seed / 10, seed) for seed in range(6)]
    answers = [batcher.submit(one) for one in sections]
    for one, answer in zip(sections, answers, strict=True):
        (alone,) = band_encoder().embed_sections([one.section])
        vectors, frames = answer.result(5)
        assert np.array_equal(vectors, alone[0])
        assert np.array_equal(frames[0], alone[1][0])


def test_a_batch_holds_at_most_so_much_audio(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled(batch_seconds=5.0)
    gate = Gate(encoder)
    first = batcher.submit(section(1))
    assert gate.reached.wait(5)
    rest = [batcher.submit(section(2, seed)) for seed in range(4)]
    gate.open()
    for answer in (first, *rest):
        answer.result(5)
    assert encoder.batches == [1, 2, 2]


def test_a_full_queue_turns_work_away_at_once(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled(queue_sections=2)
    gate = Gate(encoder)
    under_way = batcher.submit(section(1))
    assert gate.reached.wait(5)
    waiting = [batcher.submit(section(1)) for _ in range(2)]
    with pytest.raises(Overloaded, match=r"at most 2 requests may wait for .*, and 2 do") as caught:
        batcher.submit(section(1))
    assert caught.value.retry_seconds > 0
    gate.open()
    for answer in (under_way, *waiting):
        answer.result(5)


def test_cancelled_work_makes_room_in_a_full_queue(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled(queue_sections=1)
    gate = Gate(encoder)
    under_way = batcher.submit(section(1))
    assert gate.reached.wait(5)
    assert batcher.submit(section(1)).cancel()
    wanted = batcher.submit(section(1))
    gate.open()
    under_way.result(5)
    wanted.result(5)


def test_work_whose_deadline_passed_is_dropped_unseen(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled()
    gate = Gate(encoder)
    under_way = batcher.submit(section(1))
    assert gate.reached.wait(5)
    late = batcher.submit(section(1), remaining=0.05)
    wanted = batcher.submit(section(1), remaining=30)
    time.sleep(0.1)
    gate.open()
    under_way.result(5)
    wanted.result(5)
    with pytest.raises(DeadlinePassed):
        late.result(5)
    assert encoder.batches == [1, 1]


def test_cancelled_work_is_dropped_unseen(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled()
    gate = Gate(encoder)
    under_way = batcher.submit(section(1))
    assert gate.reached.wait(5)
    dropped = batcher.submit(section(1))
    wanted = batcher.submit(section(1))
    assert dropped.cancel()
    gate.open()
    under_way.result(5)
    wanted.result(5)
    assert encoder.batches == [1, 1]


def test_a_bad_section_does_not_fail_its_neighbours(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled(batch_delay_ms=50.0)
    encoder.poison = 32_000
    answers = [batcher.submit(section(seconds)) for seconds in (1, 2, 3)]
    answers[0].result(5)
    answers[2].result(5)
    with pytest.raises(BadInput, match="poisoned"):
        answers[1].result(5)


def test_closing_turns_waiting_work_away(scheduled: Callable[..., Any]) -> None:
    encoder, batcher = scheduled()
    gate = Gate(encoder)
    under_way = batcher.submit(section(1))
    assert gate.reached.wait(5)
    waiting = batcher.submit(section(1))
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(Overloaded, match="shut down"):
        waiting.result(5)
    gate.open()
    closing.join(5)
    under_way.result(5)
    with pytest.raises(Overloaded, match="shut down"):
        batcher.submit(section(1))
