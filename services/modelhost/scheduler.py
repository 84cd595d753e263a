"""Batches across callers: one queue and one thread for each model.

What has arrived runs together. Callers tend to come again: a batch waits a moment until as many are there as
were answered last, beside those that have waited since. A lone caller does not wait. Work whose caller
has gone or whose deadline has passed is dropped before it costs anything.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import ModelError
from wordspot.services.errors import DeadlinePassed, Overloaded
from wordspot.services.modelhost.statistics import Statistics
from wordspot.services.runtime import ensure_wanted, time_remaining
from wordspot.services.settings import ModelHostSettings

_POLL_SECONDS = 0.5  # how soon work for a caller who has gone is noticed
SAMPLE_RATE = 16_000

WorkT = TypeVar("WorkT")
AnswerT = TypeVar("AnswerT")
Section = tuple[Sequence[NDArray[np.float32]], NDArray[np.int32]]
EmbeddedSection = tuple[NDArray[np.float32], list[NDArray[np.float32]]]


class SectionEncoder(Protocol):
    """What a model host needs of an encoder. Called from one thread only.

    hash: SHA-256 of the artifact, hexadecimal. threshold: score from which a hit is detected, if measured.
    meaning: how many of a vector's last numbers say what is meant.
    """

    name: str
    hash: str
    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    description: str
    threshold: float | None
    meaning: int

    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        """sections: each the audio of its regions, float32 (samples,), and spans int32 (N, 3).

        Returns for each vectors float32 (N, dimension), unit rows, and frames float32
        (T', frame_dimension) for each region.
        """
        ...


@dataclass(frozen=True)
class Limits:
    """count, size: of a batch, the latter in whatever work is weighed in; one piece of work may be larger.
    delay_s: how long work waits for those who were answered last to come again. waiting: pieces of work at
    once."""

    count: int
    size: float
    delay_s: float
    waiting: int


@dataclass(frozen=True)
class _Job(Generic[WorkT, AnswerT]):
    work: WorkT
    size: float
    arrived_ns: int  # time.perf_counter_ns()
    expires: float  # time.monotonic()
    answer: Future[AnswerT]


Watch = Callable[[Sequence[WorkT], Sequence[int], int, bool], None]
"""Told of each batch: the work, how long each piece waited, how long the batch took (nanoseconds), and
whether it was answered."""


def _unwatched(work: Sequence[Any], waited_ns: Sequence[int], took_ns: int, answered: bool) -> None:
    return


class ShutDown(Overloaded):
    """The model does not take work any more; another one of its name may."""


class Batcher(Generic[WorkT, AnswerT]):
    """Owns a function of many pieces of work and the thread that runs it.

    name: for errors. run: as many answers as pieces of work, in their order. size: of a piece.
    watch: called by the thread that runs the batches.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[WorkT]], Sequence[AnswerT]],
        size: Callable[[WorkT], float],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch[WorkT] = _unwatched,
    ) -> None:
        self.name = name
        self._function, self._size, self._limits, self._watch = run, size, limits, watch
        self._clock = clock
        self._jobs: deque[_Job[WorkT, AnswerT]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._company = 0  # pieces of work in the last batch
        self._awaited = 1  # so many are worth waking up for
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: WorkT, remaining: float | None = None) -> Future[AnswerT]:
        """remaining: seconds after which nobody wants the answer. Raises Overloaded.

        The future raises DeadlinePassed for work that was dropped; cancel it to have it dropped.
        """
        expires = float("inf") if remaining is None else self._clock() + remaining
        job = _Job(work, self._size(work), time.perf_counter_ns(), expires, Future[AnswerT]())
        with self._changed:
            if self._closed:
                raise ShutDown(f"{self.name} is being shut down")
            if len(self._jobs) >= self._limits.waiting:
                self._jobs = deque(job for job in self._jobs if not job.answer.cancelled())
            if len(self._jobs) >= self._limits.waiting:
                raise Overloaded(
                    f"{len(self._jobs)} requests wait for {self.name}; "
                    f"at most {self._limits.waiting} are allowed"
                )
            self._jobs.append(job)
            if len(self._jobs) >= self._awaited:
                self._changed.notify_all()
        return job.answer

    def close(self) -> None:
        """Drops what waits and returns when the batch under way has ended."""
        with self._changed:
            self._closed = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        for job in waiting:
            if job.answer.set_running_or_notify_cancel():
                job.answer.set_exception(ShutDown(f"{self.name} is being shut down"))
        self._thread.join()

    def finish(self) -> None:
        """Takes no more work and returns when what waits is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            wanted = [job for job in batch if self._still_wanted(job)]
            if wanted:
                self._answer(wanted)

    def _next_batch(self) -> list[_Job[WorkT, AnswerT]]:
        """Waits for work; empty once closed and nothing waits."""
        with self._changed:
            full = self._limits.count
            expected = max(min(self._company + len(self._jobs), full), 1)
            self._changed.wait_for(lambda: self._jobs or self._closed)
            self._awaited = expected
            self._changed.wait_for(
                lambda: len(self._jobs) >= self._awaited or self._closed, self._limits.delay_s
            )
            self._awaited = 1
            batch: list[_Job[WorkT, AnswerT]] = []
            size = 0.0
            while self._jobs and len(batch) < full:
                size += self._jobs[0].size
                if batch and size > self._limits.size:
                    break
                batch.append(self._jobs.popleft())
            self._company = len(batch)
            return batch

    def _still_wanted(self, job: _Job[WorkT, AnswerT]) -> bool:
        if not job.answer.set_running_or_notify_cancel():
            return False
        if self._clock() >= job.expires:
            job.answer.set_exception(DeadlinePassed("the deadline passed while the request waited its turn"))
            return False
        return True

    def _answer(self, jobs: Sequence[_Job[WorkT, AnswerT]]) -> None:
        work = [job.work for job in jobs]
        begun = time.perf_counter_ns()
        waited = [begun - job.arrived_ns for job in jobs]
        try:
            answers = self._function(work)
        except Exception as error:
            if len(jobs) == 1:
                self._watch(work, waited, time.perf_counter_ns() - begun, False)
                jobs[0].answer.set_exception(error)
                return
            # One bad request must not fail its neighbours: each by itself finds the culprit.
            for job in jobs:
                self._answer([job])
            return
        self._watch(work, waited, time.perf_counter_ns() - begun, True)
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)


class Scheduler(Batcher[Section, EmbeddedSection]):
    """Owns an encoder. A batch holds at most so many sections and so many seconds of their audio."""

    def __init__(
        self,
        encoder: SectionEncoder,
        settings: ModelHostSettings,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch[Section] = _unwatched,
    ) -> None:
        self.encoder = encoder
        limits = Limits(
            settings.batch_sections,
            settings.batch_seconds,
            settings.batch_delay_ms / 1000,
            settings.queue_sections,
        )
        super().__init__(f"encoder {encoder.name!r}", encoder.embed_sections, _seconds, limits, clock, watch)


def _spans(section: Section) -> int:
    return len(section[1])


def _seconds(section: Section) -> float:
    return sum(len(audio) for audio in section[0]) / SAMPLE_RATE


def awaited(answer: Future[AnswerT]) -> AnswerT:
    """Waits no longer than the caller of this service does."""
    try:
        while True:
            ensure_wanted()
            remaining = time_remaining()
            try:
                return answer.result(_POLL_SECONDS if remaining is None else min(_POLL_SECONDS, remaining))
            except TimeoutError:
                if answer.done():  # that is what the work raised, or it was done just now
                    return answer.result()
    finally:
        answer.cancel()


class Encoders:
    """Every encoder that the host offers, loaded at first use and kept.

    names: what is offered now. load: raises UnknownModel or DamagedArtifact.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        load: Callable[[str], SectionEncoder],
        settings: ModelHostSettings,
        statistics: Statistics | None = None,
    ) -> None:
        self.names = names
        self.statistics = statistics or Statistics()
        self._load = load
        self._settings = settings
        self._schedulers: dict[str, Scheduler] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Scheduler:
        with self._lock:
            if name not in self._schedulers:
                watch = self.statistics.watch(name, lambda _: "embed", _spans)
                self._schedulers[name] = Scheduler(self._load(name), self._settings, watch=watch)
            return self._schedulers[name]

    def renew(self, name: str, digest: str) -> None:
        """Loads the encoder unless the one with this hash is; what waits for another ends with that one."""
        with self._lock:
            old = self._schedulers.get(name)
            if old is not None and old.encoder.hash != digest:
                del self._schedulers[name]
            elif old is not None:
                return
        self.get(name)
        if old is not None:
            old.finish()

    def loaded(self, name: str) -> bool:
        with self._lock:
            return name in self._schedulers

    def unload(self, name: str) -> None:
        """Returns when what waits is done."""
        with self._lock:
            scheduler = self._schedulers.pop(name, None)
        if scheduler is not None:
            scheduler.finish()

    def offered(self) -> list[SectionEncoder]:
        """By name; what cannot be loaded is left out, and reported to those who ask for it."""
        found = []
        for name in sorted(self.names()):
            try:
                found.append(self.get(name).encoder)
            except ModelError:
                continue
        return found

    def close(self) -> None:
        with self._lock:
            schedulers = list(self._schedulers.values())
            self._schedulers.clear()
        for scheduler in schedulers:
            scheduler.close()
