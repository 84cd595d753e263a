from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from wordspot.models.errors import BadInput, DamagedArtifact, UnknownModel
from wordspot.services.errors import DeadlinePassed, Overloaded
from wordspot.services.modelhost.scheduler import Encoders, Scheduler
from wordspot.services.settings import ModelHostSettings


def section(seconds: float, seed: int = 0) -> Any:
    samples = np.random.default_rng(seed).standard_normal(round(16_000 * seconds)).astype(np.float32)
    return [samples], np.array([[0, 0, 20], [0, 5, 40]], np.int32)


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
    made = []

    def make(**settings: Any) -> tuple[Any, Scheduler]:
        encoder = band_encoder()
        made.append(Scheduler(encoder, ModelHostSettings(**settings)))
        return encoder, made[-1]

    yield make
    for scheduler in made:
        scheduler.close()


def test_sections_that_wait_together_run_as_one_batch(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled()
    gate = Gate(encoder)
    first = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    rest = [scheduler.submit(section(1, seed)) for seed in range(5)]
    gate.open()
    for answer in (first, *rest):
        assert answer.result(5)[0].shape == (2, encoder.dimension)
    assert encoder.batches == [1, 5]


def test_callers_that_come_again_and_again_share_batches(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled(batch_delay_ms=200.0, batch_sections=8)
    gate = Gate(encoder)

    def ask(seed: int) -> None:
        for _ in range(5):
            scheduler.submit(section(1, seed)).result(10)

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
    _, scheduler = scheduled(batch_delay_ms=1_000.0)
    begun = time.monotonic()
    for seed in range(5):
        scheduler.submit(section(1, seed)).result(10)
    assert time.monotonic() - begun < 1


def test_each_caller_gets_the_answer_to_its_own_section(
    scheduled: Callable[..., Any], band_encoder: Any
) -> None:
    _, scheduler = scheduled(batch_delay_ms=50.0)
    sections = [section(1 + seed / 10, seed) for seed in range(6)]
    answers = [scheduler.submit(one) for one in sections]
    for one, answer in zip(sections, answers, strict=True):
        (alone,) = band_encoder().embed_sections([one])
        vectors, frames = answer.result(5)
        assert np.array_equal(vectors, alone[0])
        assert np.array_equal(frames[0], alone[1][0])


def test_a_batch_holds_at_most_so_much_audio(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled(batch_seconds=5.0)
    gate = Gate(encoder)
    first = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    rest = [scheduler.submit(section(2, seed)) for seed in range(4)]
    gate.open()
    for answer in (first, *rest):
        answer.result(5)
    assert encoder.batches == [1, 2, 2]


def test_a_full_queue_turns_work_away_at_once(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled(queue_sections=2)
    gate = Gate(encoder)
    under_way = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    waiting = [scheduler.submit(section(1)) for _ in range(2)]
    with pytest.raises(Overloaded, match=r"2 requests wait .* at most 2") as caught:
        scheduler.submit(section(1))
    assert caught.value.retry_seconds > 0
    gate.open()
    for answer in (under_way, *waiting):
        answer.result(5)


def test_cancelled_work_makes_room_in_a_full_queue(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled(queue_sections=1)
    gate = Gate(encoder)
    under_way = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    assert scheduler.submit(section(1)).cancel()
    wanted = scheduler.submit(section(1))
    gate.open()
    under_way.result(5)
    wanted.result(5)


def test_work_whose_deadline_passed_is_dropped_unseen(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled()
    gate = Gate(encoder)
    under_way = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    late = scheduler.submit(section(1), remaining=0.05)
    wanted = scheduler.submit(section(1), remaining=30)
    time.sleep(0.1)
    gate.open()
    under_way.result(5)
    wanted.result(5)
    with pytest.raises(DeadlinePassed):
        late.result(5)
    assert encoder.batches == [1, 1]


def test_cancelled_work_is_dropped_unseen(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled()
    gate = Gate(encoder)
    under_way = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    dropped = scheduler.submit(section(1))
    wanted = scheduler.submit(section(1))
    assert dropped.cancel()
    gate.open()
    under_way.result(5)
    wanted.result(5)
    assert encoder.batches == [1, 1]


def test_a_bad_section_does_not_fail_its_neighbours(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled(batch_delay_ms=50.0)
    encoder.poison = 32_000
    answers = [scheduler.submit(section(seconds)) for seconds in (1, 2, 3)]
    answers[0].result(5)
    answers[2].result(5)
    with pytest.raises(BadInput, match="poisoned"):
        answers[1].result(5)


def test_closing_turns_waiting_work_away(scheduled: Callable[..., Any]) -> None:
    encoder, scheduler = scheduled()
    gate = Gate(encoder)
    under_way = scheduler.submit(section(1))
    assert gate.reached.wait(5)
    waiting = scheduler.submit(section(1))
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    with pytest.raises(Overloaded, match="shut down"):
        waiting.result(5)
    gate.open()
    closing.join(5)
    under_way.result(5)
    with pytest.raises(Overloaded, match="shut down"):
        scheduler.submit(section(1))


def test_an_encoder_is_loaded_at_first_use_and_once(band_encoder: Any) -> None:
    loaded = []

    def load(name: str) -> Any:
        loaded.append(name)
        return band_encoder(name)

    encoders = Encoders(lambda: ["a", "b"], load, ModelHostSettings())
    try:
        assert loaded == []
        assert encoders.get("a") is encoders.get("a")
        assert loaded == ["a"]
    finally:
        encoders.close()


def test_an_encoder_that_cannot_be_loaded_is_not_offered_and_says_why(band_encoder: Any) -> None:
    def load(name: str) -> Any:
        if name == "broken":
            raise DamagedArtifact("card.json is no card")
        return band_encoder(name)

    encoders = Encoders(lambda: ["whole", "broken"], load, ModelHostSettings())
    try:
        assert [encoder.name for encoder in encoders.offered()] == ["whole"]
        with pytest.raises(DamagedArtifact, match="no card"):
            encoders.get("broken")
    finally:
        encoders.close()


def test_an_unknown_encoder_is_not_looked_for_among_folders(tmp_path: Any) -> None:
    from wordspot.models import registry
    from wordspot.services.modelhost.__main__ import load_encoders

    encoders = load_encoders(ModelHostSettings(home=tmp_path))
    folder = next(iter(registry.folders().values()))
    with pytest.raises(UnknownModel, match="no encoder"):
        encoders.get(str(folder))
