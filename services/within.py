"""The other two services as the archive knows them where all run in one process: no message, no copy.

Errors are those that services/searcher/peers.py raises, which does the same across processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import Embedded, EncoderInfo, Region, Samples, Section, Segmenter
from wordspot.services import errors
from wordspot.services.modelhost.scheduler import Encoders, Scheduler, awaited
from wordspot.services.runtime import patiently, time_remaining


class LocalSegmenter:
    """A Segmenter that is made at its first use."""

    def __init__(self, make: Callable[[], Segmenter]) -> None:
        """make: gives the same one whenever it is called."""
        self._make = make

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        return self._make().segment(blocks)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        return self._make().regions(samples)


class LocalEmbedder:
    """An Embedder; sections of several callers make one batch."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        encoder = scheduler.encoder
        self._info = EncoderInfo(
            encoder.name,
            encoder.hash,
            encoder.dimension,
            encoder.frame_dimension,
            encoder.ticks_per_frame,
            encoder.meaning,
        )

    @property
    def info(self) -> EncoderInfo:
        return self._info

    @property
    def threshold(self) -> float | None:
        return self._scheduler.encoder.threshold

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Embedded:
        def call() -> Embedded:
            with errors.as_archive():
                vectors, frames = awaited(self._scheduler.submit((regions, spans), time_remaining()))
            return Embedded(vectors, tuple(frames))

        return patiently(call)


class LocalEncoders:
    """Embedders by the encoder's name."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders

    def get(self, name: str) -> LocalEmbedder:
        """Raises NotFound, DataLoss, FailedPrecondition."""
        with errors.as_archive():
            return LocalEmbedder(self._encoders.get(name))
