"""Settings of a search: the depth of both stages, feedback, normalisation and decision."""

from __future__ import annotations

from dataclasses import dataclass

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_CANDIDATES
from wordspot.indexer.search.dtw import Steps

SMALL_ARCHIVE_SPANS = 100_000
DEFAULT_THRESHOLD = 4.0  # standard deviations


@dataclass(frozen=True)
class SearchSettings:
    """How deep a search goes, and from which score on a hit counts as detected.

    Attributes:
        candidates: spans that the first stage hands on, more where more hits are requested. None means 320,
            and 1,000 in an archive of at most SMALL_ARCHIVE_SPANS, where there is time for them.
        rerank: whether candidates are aligned with the query; if not, they are the hits, scored by the
            similarity of their vectors.
        similarity_weight: share of the first stage's score in the final one, 0 to 1.
        threshold: score from which a hit is detected, whatever its probability; None leaves the decision to
            the encoder's calibration, else to its threshold, else to DEFAULT_THRESHOLD.
        feedback_weight: share of the feedback's cost in the final one, 0 to below 1. Pseudo-relevance
            feedback takes the best place as a second example of the word.
        feedback_depth: number of best places that are compared with that example.
        background_windows: number of random stretches that scores are normalised by.
        seed: of their random draw.
        steps: of an alignment's path.
        threads: for re-ranking; None means one a core.

    Raises:
        InvalidInput: if a value is out of range.
    """

    candidates: int | None = None
    rerank: bool = True
    similarity_weight: float = 0.3
    threshold: float | None = None
    feedback_weight: float = 0.5
    feedback_depth: int = 96
    background_windows: int = 128
    seed: int = 0
    steps: Steps = Steps.SLOPE
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.candidates is not None and not 1 <= self.candidates <= MAX_CANDIDATES:
            raise InvalidInput(f"candidates must be between 1 and {MAX_CANDIDATES:,}, got {self.candidates}")
        if not 0 <= self.similarity_weight <= 1:
            raise InvalidInput(f"similarity_weight must be between 0 and 1, got {self.similarity_weight}")
        if not 0 <= self.feedback_weight < 1 or self.feedback_depth < 1:
            raise InvalidInput(
                "feedback_weight must be 0 to below 1 and feedback_depth at least 1, "
                f"got {self.feedback_weight} and {self.feedback_depth}"
            )
        if self.background_windows < 1:
            raise InvalidInput(f"background_windows must be at least 1, got {self.background_windows}")

    def candidates_of(self, spans: int) -> int:
        """Returns how many candidates the first stage hands on in an archive of that many spans."""
        if self.candidates is not None:
            return self.candidates
        return 1_000 if spans <= SMALL_ARCHIVE_SPANS else 320
