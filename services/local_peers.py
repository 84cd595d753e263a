"""The Segmenter and the Embedders of an archive where all services run in one process: no messages.

Errors are those that services/searcher/peers.py raises, which does the same across processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import EncoderInfo, Region, Samples, Section, SectionEmbeddings, Segmenter
from wordspot.services import errors
from wordspot.services.modelhost.batcher import wait_for
from wordspot.services.modelhost.embedding import encoder_info
from wordspot.services.modelhost.repository import HostedModel, ModelRepository
from wordspot.services.modelhost.tasks import Task
from wordspot.services.runtime import with_retries


class LocalSegmenter:
    """A Segmenter that is constructed at its first use."""

    def __init__(self, segmenter: Callable[[], Segmenter]) -> None:
        """segmenter: returns the same one whenever it is called."""
        self._segmenter = segmenter

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Yields sections while it reads blocks."""
        return self._segmenter().segment(blocks)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        """Returns the speech in a query."""
        return self._segmenter().regions(samples)


class LocalEmbedder:
    """An Embedder; sections of several callers run as one batch."""

    def __init__(self, encoder: HostedModel) -> None:
        self._encoder = encoder
        self._info = encoder_info(encoder.name, encoder.card)

    @property
    def info(self) -> EncoderInfo:
        """The encoder."""
        return self._info

    @property
    def threshold(self) -> float | None:
        """The score from which a hit is detected; None where nobody measured it."""
        return self._encoder.card.detection_threshold

    @property
    def query_padding(self) -> int:
        """Ticks of silence on either side of a query that nothing surrounds."""
        assert self._encoder.card.embedding is not None
        return self._encoder.card.embedding.query_padding

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """Coefficients of P(correct); None where nobody fitted any."""
        return self._encoder.card.calibration

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        """Returns a section, embedded. Raises what the encoder raises, Overloaded."""

        def call() -> SectionEmbeddings:
            with errors.as_archive():
                vectors, frames = self._encoder.call(Task("embed", section=(regions, spans)))
            return SectionEmbeddings(vectors, tuple(frames))

        return with_retries(call)

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        """Puts all sections into the queue before it waits for the first answer."""

        def call() -> list[SectionEmbeddings]:
            answers: list[Future[Any]] = []
            with errors.as_archive():
                try:
                    answers += (self._encoder.submit(Task("embed", section=section)) for section in sections)
                    return [
                        SectionEmbeddings(vectors, tuple(frames))
                        for vectors, frames in map(wait_for, answers)
                    ]
                finally:
                    for answer in answers:
                        answer.cancel()

        return with_retries(call)


class LocalEncoders:
    """Embedders by the encoder's name."""

    def __init__(self, models: ModelRepository) -> None:
        self._models = models

    def get(self, name: str) -> LocalEmbedder:
        """Returns the embedder of that encoder. Raises NotFound, DataLoss, FailedPrecondition."""
        with errors.as_archive():
            return LocalEmbedder(self._models.encoder(name))
