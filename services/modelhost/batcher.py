"""Dynamic batching across callers: one queue and one thread for each model.

What waits runs as one batch. Callers tend to call again once they are answered: a batch is delayed until as
many pieces of work wait as the last batch had, beside those that have arrived since, but for a moment at
most. A lone caller does not wait. Work whose caller has gone or whose deadline has passed is dropped before
it costs anything, and a batch that nobody waits for any more is stopped at the model's next step that checks
for it (`models.cancellation`). (Crankshaw et al. 2017, "Clipper: a low-latency online prediction serving
system", NSDI.)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wordspot.models.cancellation import Cancelled, cancellation_check
from wordspot.services.errors import CallEnded, DeadlinePassed, Overloaded
from wordspot.services.runtime import ensure_wanted, time_remaining

_POLL_SECONDS = 0.2  # how soon work for a caller who has gone is noticed

WorkT = TypeVar("WorkT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class QueueLimits:
    """Limits of a batch and of the queue.

    max_count: pieces of work in a batch.
    max_size: of a batch, in what work is weighed in; one piece of work may be larger.
    max_delay_s: how long a batch waits to become as large as the last one.
    max_waiting: pieces of work in the queue.
    """

    max_count: int
    max_size: float
    max_delay_s: float
    max_waiting: int


class Answer(Future[AnswerT]):
    """What the caller waits for.

    Attributes:
        wanted: whether the caller still waits; False once it was cancelled, even while the work runs.
    """

    wanted = True

    def cancel(self) -> bool:
        """Has the work dropped, or stopped at the model's next step; returns whether it had not begun."""
        self.wanted = False
        return super().cancel()


@dataclass(frozen=True)
class _Job(Generic[WorkT, AnswerT]):
    """A piece of work in the queue.

    work: the piece.
    size: of it.
    arrived_ns: by time.perf_counter_ns.
    expires: by the clock, in seconds.
    answer: what the caller waits for.
    """

    work: WorkT
    size: float
    arrived_ns: int
    expires: float
    answer: Answer[AnswerT]


BatchObserver = Callable[[Sequence[WorkT], Sequence[int], int, bool], None]
"""Called after each batch with the work, how long each piece waited, how long the batch took (nanoseconds),
and whether it was answered."""


def _ignore_batch(work: Sequence[Any], waited_ns: Sequence[int], took_ns: int, answered: bool) -> None:
    return


class ShutDown(Overloaded):
    """The model does not take work any more; a newer version of it may."""


class Batcher(Generic[WorkT, AnswerT]):
    """Owns a function of many pieces of work and the thread that runs it.

    Args:
        name: for errors.
        run: returns as many answers as pieces of work, in their order.
        size: of a piece of work.
        limits: of a batch and of the queue.
        clock: seconds, as time.monotonic.
        observer: called by the thread that runs the batches.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[WorkT]], Sequence[AnswerT]],
        size: Callable[[WorkT], float],
        limits: QueueLimits,
        clock: Callable[[], float] = time.monotonic,
        observer: BatchObserver[WorkT] = _ignore_batch,
    ) -> None:
        self.name = name
        self._function, self._size, self._limits, self._observer = run, size, limits, observer
        self._clock = clock
        self._jobs: deque[_Job[WorkT, AnswerT]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._last_batch_size = 0  # pieces of work
        self._wake_size = 1  # pieces of work for which the thread wakes up
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: WorkT, remaining: float | None = None) -> Answer[AnswerT]:
        """Puts a piece of work into the queue.

        Args:
            work: the piece.
            remaining: seconds after which nobody wants the answer; None for no deadline.

        Returns:
            A future, which raises what the function raises, and DeadlinePassed or CallEnded for work that
            was dropped or stopped; cancel it for that.

        Raises:
            Overloaded: the queue is full.
            ShutDown: the batcher is closed.
        """
        expires = float("inf") if remaining is None else self._clock() + remaining
        job = _Job(work, self._size(work), time.perf_counter_ns(), expires, Answer[AnswerT]())
        with self._changed:
            if self._closed:
                raise ShutDown(f"{self.name} is being shut down")
            if len(self._jobs) >= self._limits.max_waiting:
                self._jobs = deque(job for job in self._jobs if not job.answer.cancelled())
            if len(self._jobs) >= self._limits.max_waiting:
                raise Overloaded(
                    f"at most {self._limits.max_waiting} requests may wait for {self.name}, and "
                    f"{len(self._jobs)} do"
                )
            self._jobs.append(job)
            if len(self._jobs) >= self._wake_size:
                self._changed.notify_all()
        return job.answer

    def close(self) -> None:
        """Drops what waits and returns when the batch in progress has ended."""
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
        """Takes no more work and returns when all that waits is answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            live_jobs = [job for job in batch if self._start(job)]
            if live_jobs:
                self._answer(live_jobs)

    def _next_batch(self) -> list[_Job[WorkT, AnswerT]]:
        """Waits for work and returns a batch of it; empty once closed and nothing waits."""
        with self._changed:
            max_count = self._limits.max_count
            expected = max(min(self._last_batch_size + len(self._jobs), max_count), 1)
            self._changed.wait_for(lambda: self._jobs or self._closed)
            self._wake_size = expected
            self._changed.wait_for(
                lambda: len(self._jobs) >= self._wake_size or self._closed, self._limits.max_delay_s
            )
            self._wake_size = 1
            batch: list[_Job[WorkT, AnswerT]] = []
            size = 0.0
            while self._jobs and len(batch) < max_count:
                size += self._jobs[0].size
                if batch and size > self._limits.max_size:
                    break
                batch.append(self._jobs.popleft())
            self._last_batch_size = len(batch)
            return batch

    def _start(self, job: _Job[WorkT, AnswerT]) -> bool:
        """Marks a job as running. Returns whether anybody still waits for it."""
        if not job.answer.set_running_or_notify_cancel():
            return False
        if not self._wanted(job):
            job.answer.set_exception(
                DeadlinePassed("the deadline passed while the request waited in the queue")
            )
            return False
        return True

    def _wanted(self, job: _Job[WorkT, AnswerT]) -> bool:
        return job.answer.wanted and self._clock() < job.expires

    def _answer(self, jobs: Sequence[_Job[WorkT, AnswerT]]) -> None:
        work = [job.work for job in jobs]
        start = time.perf_counter_ns()
        waited = [start - job.arrived_ns for job in jobs]

        def check() -> None:
            if not any(map(self._wanted, jobs)):
                raise Cancelled

        try:
            with cancellation_check(check):
                answers = self._function(work)
        except Cancelled:
            self._observer(work, waited, time.perf_counter_ns() - start, False)
            for job in jobs:
                job.answer.set_exception(_reason_of_end(job))
        except Exception as error:
            if len(jobs) == 1:
                self._observer(work, waited, time.perf_counter_ns() - start, False)
                jobs[0].answer.set_exception(error)
                return
            # One bad request must not fail the others: each that is wanted is run by itself.
            for job in jobs:
                if self._wanted(job):
                    self._answer([job])
                else:
                    job.answer.set_exception(_reason_of_end(job))
        else:
            self._observer(work, waited, time.perf_counter_ns() - start, True)
            for job, answer in zip(jobs, answers, strict=True):
                job.answer.set_result(answer)


def _reason_of_end(job: _Job[Any, Any]) -> Exception:
    """Returns the error of a job that was stopped."""
    if job.answer.wanted:
        return DeadlinePassed("the deadline passed while the request was being served")
    return CallEnded("the caller has gone")


def wait_for(answer: Future[AnswerT]) -> AnswerT:
    """Returns the result, and waits no longer than the caller of this service does.

    Raises what the work raises, DeadlinePassed, CallEnded.
    """
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
