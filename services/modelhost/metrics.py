"""The statistics of the model host for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from wordspot.services.modelhost.statistics import LATENCIES_S, Figures, Statistics

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LABELS = ("model", "capability")


class StatisticsCollector(Collector):
    """Reads the counters that the queues keep; nothing is counted twice."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics as they are now."""
        requests = CounterMetricFamily(
            "wordspot_requests", "Requests that ended, by outcome.", labels=(*LABELS, "outcome")
        )
        examples = CounterMetricFamily("wordspot_examples", "Examples in answered requests.", labels=LABELS)
        latency = HistogramMetricFamily(
            "wordspot_latency_seconds", "Of answered requests, from arrival to answer.", labels=LABELS
        )
        queue = SummaryMetricFamily(
            "wordspot_queue_seconds", "Of answered requests, until a batch took them.", labels=LABELS
        )
        batch = HistogramMetricFamily("wordspot_batch_examples", "Examples a batch.", labels=LABELS)
        for labels, figures in sorted(self._statistics.all().items()):
            requests.add_metric((*labels, "answered"), figures.answered.count)
            requests.add_metric((*labels, "failed"), figures.failed.count)
            examples.add_metric(labels, figures.examples)
            latency.add_metric(labels, _latencies(figures), figures.answered.ns / 1e9)
            queue.add_metric(labels, figures.queued.count, figures.queued.ns / 1e9)
            batch.add_metric(labels, _batches(figures), figures.examples)
        yield from (requests, examples, latency, queue, batch)


def _latencies(figures: Figures) -> list[tuple[str, float]]:
    edges = [*map(str, LATENCIES_S), "+Inf"]
    return list(zip(edges, accumulate(figures.latencies), strict=True))


def _batches(figures: Figures) -> list[tuple[str, float]]:
    buckets = [
        (str(float(edge)), float(sum(d.count for size, d in figures.batches.items() if size <= edge)))
        for edge in BATCH_SIZES
    ]
    return [*buckets, ("+Inf", float(sum(duration.count for duration in figures.batches.values())))]
