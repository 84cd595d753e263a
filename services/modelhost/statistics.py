"""Counts and durations by model and capability: recorded once, reported by every interface."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

WorkT = TypeVar("WorkT")

LATENCIES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass
class Duration:
    """A sum of durations.

    count: of summands.
    ns: their sum in nanoseconds.
    """

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Adds `count` durations with the sum `ns`."""
        self.count += count
        self.ns += ns


@dataclass
class Figures:
    """Counts and durations of one model's capability.

    answered, failed: requests, from arrival to the end.
    queued, computed: of answered requests, the time in the queue and in a batch.
    examples: of answered requests.
    batches: durations by number of examples.
    last_ms: when the last request ended, milliseconds since 1970.
    latencies: a histogram of answered requests: entry i took at most LATENCIES_S[i] and more than the edge
        before it, the last entry more than all edges.
    """

    answered: Duration = field(default_factory=Duration)
    failed: Duration = field(default_factory=Duration)
    queued: Duration = field(default_factory=Duration)
    computed: Duration = field(default_factory=Duration)
    examples: int = 0
    batches: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    last_ms: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCIES_S) + 1))


class Statistics:
    """Figures of all models. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: defaultdict[tuple[str, str], Figures] = defaultdict(Figures)

    def of(self, name: str, capability: str) -> Figures:
        """Returns a copy of the figures of one model's capability."""
        with self._lock:
            return deepcopy(self._figures[name, capability])

    def all(self) -> dict[tuple[str, str], Figures]:
        """Returns a copy of all figures, by model and capability."""
        with self._lock:
            return deepcopy(dict(self._figures))

    def observer(
        self, name: str, capability: Callable[[WorkT], str], examples: Callable[[WorkT], int]
    ) -> Callable[[Sequence[WorkT], Sequence[int], int, bool], None]:
        """Returns the observer for the Batcher of a model. capability, examples: of a piece of work."""

        def record(work: Sequence[WorkT], waited_ns: Sequence[int], took_ns: int, answered: bool) -> None:
            kinds = [capability(piece) for piece in work]
            sizes = Counter[str]()
            with self._lock:
                for piece, kind, waited in zip(work, kinds, waited_ns, strict=True):
                    figures = self._figures[name, kind]
                    figures.last_ms = time.time_ns() // 1_000_000
                    if not answered:
                        figures.failed.add(waited + took_ns)
                        continue
                    figures.answered.add(waited + took_ns)
                    figures.latencies[bisect_left(LATENCIES_S, (waited + took_ns) / 1e9)] += 1
                    figures.queued.add(waited)
                    figures.computed.add(took_ns)
                    figures.examples += examples(piece)
                    sizes[kind] += examples(piece)
                for kind, size in sizes.items():
                    self._figures[name, kind].batches[size].add(took_ns)

        return record
