"""A call of a model as its queue has it, and how parts of an answer reach the caller one by one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models.runtime.sections import Section
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_EXAMPLES_PER_CALL
from wordspot.services.runtime import ensure_wanted

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Ranking = list[tuple[str, float]]
"""Words with their similarities, the best first."""
Part = Floats | str | tuple[str, Floats]
"""A part of what is generated; of a description a piece of the text and its attention."""

POLL_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Task:
    """A call of one capability.

    capability: its name.
    values: examples, float32 (B, ...); None where nothing is given.
    count: examples wanted where none are given, or answers.
    seed: of what is random.
    words: words or texts, in place of values.
    known_mask: what is known of pictures, (B, 1, H, W), or of clips, (B, T), to be completed.
    keep_given: the given words may be among the answers.
    parts: receives what is generated part by part.
    temperature: an option of the model; None for its own.
    condition: an option of the model; empty for none.
    section: of sound, to be embedded.
    """

    capability: str
    values: Floats | None = None
    count: int = 0
    seed: int = 0
    words: tuple[str, ...] = ()
    known_mask: Flags | None = None
    keep_given: bool = False
    parts: PartQueue | None = None
    temperature: float | None = None
    condition: str = ""
    section: Section | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Options of the model that the call sets, by name."""
        values = {"temperature": self.temperature, "condition": self.condition or None}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def examples(self) -> int:
        """The number of examples given, or wanted where none are given."""
        return len(self.words) or (self.count if self.values is None else len(self.values))


class PartQueue:
    """Carries the parts of an answer from the thread of a model to its caller."""

    def __init__(self) -> None:
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._cancelled = threading.Event()

    def put(self, part: Part) -> bool:
        """Appends a part. Returns whether more are wanted."""
        self._parts.put(part)
        return not self._cancelled.is_set()

    def parts_until(self, end: Future[Any]) -> Iterator[Part]:
        """Yields each part until the work has ended. Raises what the work raises, DeadlinePassed."""
        try:
            while not end.done() or not self._parts.empty():
                ensure_wanted()
                with suppress(queue.Empty):
                    yield self._parts.get(timeout=POLL_INTERVAL_S)
            end.result()
        finally:
            self._cancelled.set()
            end.cancel()


def check_count(count: int, what: str, field: str) -> None:
    """Raises MalformedRequest. what: is counted, in the plural. field: of the request."""
    if not 1 <= count <= MAX_EXAMPLES_PER_CALL:
        raise MalformedRequest(
            f"the number of {what} must be between 1 and {MAX_EXAMPLES_PER_CALL:,}, got {count}", field
        )
