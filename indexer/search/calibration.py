"""How likely a hit is right, and whether it counts as detected.

    table = signal_table(score, measured, examples=1, shift=shift)
    probability = calibration.probabilities(table)
    level = decision_threshold(probability, seconds)
    detected = probability >= level

P(correct) is a logistic regression (Platt 1999, "Probabilistic outputs for support vector machines") on
signals of a hit. Its coefficients belong to an encoder and are stored in its card; `python -m
tests.bench.calibration` fits them. For an encoder without coefficients, P rises with the score alone and is
one half at the encoder's threshold.

A hit counts as detected if it raises the expected term-weighted value (NIST, Spoken Term Detection 2006
evaluation plan): it adds P / N for a keyword that occurs N times, and costs BETA (1 - P) / (T - N) in T
seconds of archive. That is so from the probability

    P = BETA N / (T + (BETA - 1) N)

on (Miller et al. 2007, "Rapid and accurate spoken term detection", section 4.3), with the sum of P over the
ranking as the expectation of N.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import InvalidInput

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

BETA = 999.9
# Cards keep these names: they stay as they are.
# Of a place, as one example matches it.
MEASURED = (
    "cost",  # deviations below background costs, before pseudo-relevance feedback
    "example",  # deviations gained by the feedback
    "similarity",  # of the vectors, in deviations above random spans
    "stretch",  # |log(seconds of the place / of the query)|
    "query_seconds",  # log
    "query_change",  # log of the summed distance between successive frames, which grows with the phones
    "spread",  # log of the background costs' deviation by their location
    "usual_cost",  # their location
    "speech",  # log of the seconds of speech searched
)
# Of a place among all others of its ranking.
RANKED = (
    "score",  # with the query-specific shift
    "rank",  # log, from 1
    "ahead",  # score above the next place's
    "behind",  # score below the best place's
    "rivals",  # score of the 50th place, the impostors', without the shift
    "fall",  # from the 20th place's score to the 100th's
    "examples",  # log of how many
)
SIGNALS = (*MEASURED, *RANKED)
# Signals of the query and the archive. They are clipped to the range that a calibration was fitted on, which
# prevents extrapolation.
CIRCUMSTANCES = frozenset(
    {"query_seconds", "query_change", "spread", "usual_cost", "speech", "rivals", "fall", "examples"}
)
MAX_DEVIATION = 2.5  # of a circumstance, in scales
MAX_AHEAD = 3.0
DEFAULT_SLOPE = 2.0  # of the log odds by the score, for encoders without a calibration


@dataclass(frozen=True)
class Calibration:
    """The coefficients of P(correct) for one encoder.

    Attributes:
        signals: names, out of SIGNALS.
        means: of the signals in the data that it was fitted on.
        scales: standard deviations of the signals in that data.
        weights: of the standardised signals.
        intercept: log odds where all standardised signals are 0.
        fitted_on: the archives that it was fitted on, in words.

    Raises:
        InvalidInput: for unknown signals, unequal lengths, or numbers that are not finite.
    """

    signals: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    fitted_on: str = ""

    def __post_init__(self) -> None:
        counts = {len(self.signals), len(self.means), len(self.scales), len(self.weights)}
        numbers = (*self.means, *self.scales, *self.weights, self.intercept)
        if unknown := sorted(set(self.signals) - set(SIGNALS)):
            raise InvalidInput(
                f"signals of a calibration must be of {', '.join(SIGNALS)}, got {unknown[0]!r}"
            )
        if len(counts) > 1 or not all(map(math.isfinite, numbers)) or min(self.scales, default=1) <= 0:
            raise InvalidInput(
                "means, scales above 0 and weights of a calibration must be finite, one for each of its "
                f"{len(self.signals)} signals, got {len(self.means)}, {len(self.scales)} and "
                f"{len(self.weights)}"
            )

    @classmethod
    def from_card(cls, record: Mapping[str, Any] | None) -> Self | None:
        """Returns the calibration in an encoder's card; None if there is none or it has unknown signals."""
        if record is None:
            return None
        try:
            return cls(
                signals=tuple(record["signals"]),
                means=tuple(record["means"]),
                scales=tuple(record["scales"]),
                weights=tuple(record["weights"]),
                intercept=float(record["intercept"]),
                fitted_on=str(record.get("fitted_on", "")),
            )
        except (InvalidInput, KeyError, TypeError, ValueError):
            return None

    def log_odds(self, table: Doubles) -> Doubles:
        """Returns the log odds (n,) of P(correct) for hits with signals (n, len(SIGNALS))."""
        standard = standardised(table, self.signals, np.array(self.means), np.array(self.scales))
        odds: Doubles = standard @ np.array(self.weights) + self.intercept
        return odds

    def probabilities(self, table: Doubles) -> Doubles:
        """Returns P(correct) (n,) for hits with signals (n, len(SIGNALS))."""
        return sigmoid(self.log_odds(table))


@dataclass(frozen=True)
class Decision:
    """Which places of a ranking count as detected.

    Attributes:
        probability: float64 (n,), P(correct).
        detected: bool (n,).
        p_threshold: the probability from which a hit is detected; None without a calibration, where the score
            decides.
    """

    probability: Doubles
    detected: Flags
    p_threshold: float | None = None


def decide(
    calibration: Calibration | None,
    score: Doubles,
    *,
    shift: float,
    threshold: float,
    measured: Doubles | None,
    examples: int,
    seconds: float,
) -> Decision:
    """Decides which places of a whole ranking count as detected.

    Args:
        calibration: of the encoder, None if it has none.
        score: (n,), without the query-specific shift.
        shift: that is added to all scores.
        threshold: of the shifted score; it decides where there is no calibration.
        measured: (n, len(MEASURED)); None for places that were not aligned.
        examples: number of the query's examples.
        seconds: of audio that was searched.
    """
    if calibration is None or measured is None:
        shifted = (score + shift).round(3)
        return Decision(sigmoid(DEFAULT_SLOPE * (shifted - threshold)), shifted >= threshold)
    table = signal_table(score, measured, examples=examples, shift=shift)
    probability = calibration.probabilities(table)
    level = decision_threshold(probability, seconds)
    return Decision(probability, probability >= level, level)


def decision_threshold(probability: Doubles, seconds: float) -> float:
    """Returns the probability from which a hit is detected, given those (n,) of all places of the ranking."""
    expected = float(probability.sum())
    return BETA * expected / (max(seconds, expected) + (BETA - 1) * expected) if expected else 1.0


def signal_table(score: Doubles, measured: Doubles, *, examples: int, shift: float) -> Doubles:
    """Returns the signals (n, len(SIGNALS)) of a whole ranking in any order.

    Args:
        score: (n,), without the query-specific shift.
        measured: (n, len(MEASURED)).
        examples: number of the query's examples.
        shift: that is added to all scores.
    """
    count = len(score)
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    ranked = np.empty((count, len(RANKED)))
    if count:
        next_score = np.append(descending[1:], descending[-1])

        def score_at(rank: int) -> float:
            return float(descending[min(rank, count) - 1])

        ranked[order] = np.column_stack(
            [
                descending + shift,
                np.log(np.arange(1, count + 1)),
                np.minimum(descending - next_score, MAX_AHEAD),
                descending[0] - descending,
                np.full(count, score_at(50)),
                np.full(count, score_at(20) - score_at(100)),
                np.full(count, math.log(examples)),
            ]
        )
    return np.column_stack([measured, ranked])


def standardised(table: Doubles, signals: Sequence[str], means: Doubles, scales: Doubles) -> Doubles:
    """Returns the named signals (n, k) of a table (n, len(SIGNALS)), standardised by means and scales
    (k,)."""
    bound = np.array([MAX_DEVIATION if name in CIRCUMSTANCES else np.inf for name in signals])
    deviations = (table[:, [SIGNALS.index(name) for name in signals]] - means) / scales
    clipped: Doubles = np.clip(deviations, -bound, bound)
    return clipped


def sigmoid(odds: Doubles) -> Doubles:
    """Returns 1 / (1 + exp(-odds)) without overflow."""
    probability: Doubles = 0.5 * (1 + np.tanh(odds / 2))
    return probability


def query_change(frames: NDArray[np.float32]) -> float:
    """Returns the sum of the cosine distances of successive unit rows (T, H), which grows with the phones."""
    return float(np.sum(1 - np.sum(frames[1:] * frames[:-1], axis=1, dtype=np.float64)))


def mean_signals(groups: NDArray[np.int64], count: int, measured: Doubles) -> Doubles:
    """Returns the mean (count, k) of the signals (n, k) of each group; groups (n,) are 0 to count - 1."""
    sums = np.zeros((count, measured.shape[1]))
    np.add.at(sums, groups, measured)
    return sums / np.maximum(np.bincount(groups, minlength=count), 1)[:, None]
