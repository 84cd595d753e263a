"""Figures of a server's calls and of the stages of searches, as Prometheus takes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class CallFigures(Collector):
    """Counts calls by method and status, and measures how long they and the stages of searches take."""

    def __init__(self) -> None:
        self._calls = Counter(
            "wordspot_calls", "Calls that ended, by method and status.", ("method", "status"), registry=None
        )
        self._seconds = Histogram(
            "wordspot_call_seconds",
            "Of calls, from arrival to the end.",
            ("method",),
            buckets=CALL_SECONDS,
            registry=None,
        )
        self._active = Gauge("wordspot_calls_active", "Calls under way.", registry=None)
        self._stages = Histogram(
            "wordspot_stage_seconds",
            "Of the stages of searches.",
            ("stage",),
            buckets=STAGE_SECONDS,
            registry=None,
        )
        self._audio = Counter("wordspot_uploaded_bytes", "Of recordings that were uploaded.", registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics as they are now."""
        for metric in (self._calls, self._seconds, self._active, self._stages, self._audio):
            yield from metric.collect()

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics without figures."""
        for metric in (self._calls, self._seconds, self._active, self._stages, self._audio):
            yield from metric.describe()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Counts a call as under way for the time of the context."""
        with self._active.track_inprogress():
            yield

    def ended(self, method: str, status: str, seconds: float) -> None:
        """Counts a call that has ended. status: its name."""
        self._calls.labels(method, status).inc()
        self._seconds.labels(method).observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage of a search."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - begin)
