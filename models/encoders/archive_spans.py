"""The spans of an indexed archive with their vectors, from which `semantic` learns. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_WORD_TICKS, MAX_WORD_TICKS = 30, 90  # of a span that may be a word

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ArchiveSpans:
    """Spans in order of recording and start.

    Attributes:
        vectors: float32 (N, D), acoustic embeddings.
        recording: int64 (N,), the recording's number, rising.
        start: int64 (N,), in ticks from the recording's start.
        stop: int64 (N,), in ticks from the recording's start.
    """

    vectors: Floats
    recording: Ints
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        return len(self.vectors)

    def select(self, rows: NDArray[Any]) -> ArchiveSpans:
        """Returns the spans at rows, by number or by mask."""
        return ArchiveSpans(self.vectors[rows], self.recording[rows], self.start[rows], self.stop[rows])

    def as_words(self) -> ArchiveSpans:
        """Returns those as long as words, their vectors of unit length."""
        ticks = self.stop - self.start
        words = self.select((ticks >= MIN_WORD_TICKS) & (ticks <= MAX_WORD_TICKS))
        length = np.linalg.norm(words.vectors, axis=1, keepdims=True).clip(1e-9)
        return ArchiveSpans(words.vectors / length, words.recording, words.start, words.stop)
