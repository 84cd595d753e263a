"""Callers that leave, at a real server: what their calls would still cost is not spent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
import torch
from torch import Generator, Tensor, nn

from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.cancellation import check_cancelled
from wordspot.models.model import Model
from wordspot.models.registry import register
from wordspot.services.embedded import serving_models
from wordspot.services.errors import CallEnded, DeadlinePassed
from wordspot.services.modelhost.batcher import Batcher, QueueLimits
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import models_pb2, models_pb2_grpc

ENDLESS_STEPS = 1_000_000


@dataclass(frozen=True)
class SlowConfig:
    channels: int = 1
    height: int = 2
    width: int = 2


@register("slow_sampler")
class SlowSampler(Model[SlowConfig]):
    """Takes a step for one picture, and as good as endless ones for more.

    steps: taken since the test began. under_way: whether an endless call has begun.
    """

    Config = SlowConfig
    modality = "picture"
    steps: ClassVar[int] = 0
    under_way: ClassVar[threading.Event] = threading.Event()

    def __init__(self, config: SlowConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(1, 1)

    def sample(self, count: int, rng: Generator) -> Tensor:
        for _ in range(ENDLESS_STEPS if count > 1 else 1):
            self.step()
        return torch.zeros(count, 1, 2, 2)

    def step(self) -> None:
        check_cancelled()
        self.take_step()

    def take_step(self) -> None:
        type(self).steps += 1
        type(self).under_way.set()
        time.sleep(0.001)


@register("slow_layers")
class SlowLayers(SlowSampler):
    """Checks nothing itself: its layers do."""

    def step(self) -> None:
        self.layer(torch.zeros(1, 1))
        self.take_step()


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Any]:
    for name, kind in (("loop", SlowSampler), ("layers", SlowLayers)):
        kind.steps, kind.under_way = 0, threading.Event()
        artifact.save(kind(SlowConfig()), TrainingRecord(name), tmp_path / "models" / name)
    with serving_models(ModelHostSettings(home=tmp_path, device="cpu")) as address:
        channel = open_channel(address)
        yield models_pb2_grpc.ModelServiceStub(channel)
        channel.close()


KINDS: dict[str, type[SlowSampler]] = {"loop": SlowSampler, "layers": SlowLayers}


@pytest.mark.parametrize("model", KINDS)
def test_the_next_call_is_answered_once_a_long_one_is_cancelled(stub: Any, model: str) -> None:
    kind = KINDS[model]
    stub.LoadModel(models_pb2.LoadModelRequest(name=model), timeout=60)
    long_call = stub.Sample.future(models_pb2.SampleRequest(model=model, count=1_024))
    assert kind.under_way.wait(30)
    long_call.cancel()
    answer = stub.Sample(models_pb2.SampleRequest(model=model, count=1), timeout=60)
    assert len(answer.pictures.png) == 1
    steps = kind.steps
    assert steps < ENDLESS_STEPS
    assert len(stub.Sample(models_pb2.SampleRequest(model=model, count=1), timeout=60).pictures.png) == 1
    assert kind.steps == steps + 1


def test_the_next_call_is_answered_once_the_deadline_of_a_long_one_has_passed(stub: Any) -> None:
    stub.LoadModel(models_pb2.LoadModelRequest(name="loop"), timeout=60)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Sample(models_pb2.SampleRequest(model="loop", count=1_024), timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(stub.Sample(models_pb2.SampleRequest(model="loop", count=1), timeout=60).pictures.png) == 1
    assert SlowSampler.steps < ENDLESS_STEPS


class Steps:
    """Work of as many steps as are let through. begun: whether it is under way. batches: their sizes."""

    def __init__(self) -> None:
        self.begun, self.batches = threading.Event(), list[int]()
        self._permits = threading.Semaphore(0)

    def __call__(self, work: Any) -> list[str]:
        self.batches.append(len(work))
        self.begun.set()
        assert self._permits.acquire(timeout=30)
        check_cancelled()
        if "bad" in work:
            raise ValueError("bad")
        return [f"{item} done" for item in work]

    def let_through(self, steps: int = 1) -> None:
        self._permits.release(steps)


@pytest.fixture
def batcher() -> Iterator[Callable[[Steps], Batcher[str, str]]]:
    created: list[Batcher[str, str]] = []

    def create(steps: Steps) -> Batcher[str, str]:
        created.append(Batcher("steps", steps, lambda work: 1, QueueLimits(8, 8, 0.0, 8)))
        return created[-1]

    yield create
    for one in created:
        one.close()


def waiting_together(batcher: Batcher[str, str], steps: Steps, *works: str) -> list[Any]:
    """Returns answers of work that runs as one batch, which is under way."""
    first = batcher.submit("first")
    assert steps.begun.wait(30)
    steps.begun.clear()
    answers = [batcher.submit(work) for work in works]
    steps.let_through()
    assert first.result(30) == "first done"
    assert steps.begun.wait(30)
    return answers


def test_a_batch_goes_on_while_one_of_its_callers_waits(batcher: Any) -> None:
    steps = Steps()
    left, stays = waiting_together(batcher(steps), steps, "left", "stays")
    left.cancel()
    steps.let_through()
    assert stays.result(30) == "stays done"
    assert steps.batches == [1, 2]


def test_a_batch_stops_once_all_its_callers_have_left(batcher: Any) -> None:
    steps = Steps()
    answers = waiting_together(batcher(steps), steps, "one", "two")
    for answer in answers:
        answer.cancel()
    steps.let_through()
    for answer in answers:
        with pytest.raises(CallEnded):
            answer.result(30)


def test_a_batch_stops_once_the_deadlines_of_all_its_callers_have_passed() -> None:
    now = [0.0]
    steps = Steps()
    batcher = Batcher("steps", steps, lambda work: 1, QueueLimits(8, 8, 0.0, 8), clock=lambda: now[0])
    answer = batcher.submit("late", remaining=5.0)
    assert steps.begun.wait(30)
    now[0] = 5.0
    steps.let_through()
    with pytest.raises(DeadlinePassed):
        answer.result(30)
    batcher.close()


def test_what_failed_together_is_not_run_again_for_a_caller_who_has_left(batcher: Any) -> None:
    steps = Steps()
    bad, left, stays = waiting_together(batcher(steps), steps, "bad", "left", "stays")
    left.cancel()
    steps.let_through(3)
    assert stays.result(30) == "stays done"
    with pytest.raises(ValueError, match="bad"):
        bad.result(30)
    with pytest.raises(CallEnded):
        left.result(30)
    assert steps.batches == [1, 3, 1, 1]
