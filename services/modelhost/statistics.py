"""What the model host did, by model and capability: counted once, told by every interface."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

WorkT = TypeVar("WorkT")


@dataclass
class Duration:
    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns


@dataclass
class Figures:
    """answered, failed: requests, from arrival to the end. queued, computed: of answered requests.
    examples: of answered requests. batches: durations by number of examples. last_ms: since 1970."""

    answered: Duration = field(default_factory=Duration)
    failed: Duration = field(default_factory=Duration)
    queued: Duration = field(default_factory=Duration)
    computed: Duration = field(default_factory=Duration)
    examples: int = 0
    batches: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    last_ms: int = 0


class Statistics:
    """May be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: defaultdict[tuple[str, str], Figures] = defaultdict(Figures)

    def of(self, name: str, capability: str) -> Figures:
        """A copy."""
        with self._lock:
            return deepcopy(self._figures[name, capability])

    def watch(
        self, name: str, capability: Callable[[WorkT], str], examples: Callable[[WorkT], int]
    ) -> Callable[[Sequence[WorkT], Sequence[int], int, bool], None]:
        """What a Batcher of this model is to call. examples: in a piece of work."""

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
                    figures.queued.add(waited)
                    figures.computed.add(took_ns)
                    figures.examples += examples(piece)
                    sizes[kind] += examples(piece)
                for kind, size in sizes.items():
                    self._figures[name, kind].batches[size].add(took_ns)

        return record
