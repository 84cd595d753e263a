"""Score normalisation: a query's costs and similarities relative to those of the archive's background.

**Query-specific z-normalisation** (Auckenthaler, Carey and Lloyd-Thomas 2000, "Score normalization for
text-independent speaker verification systems"; Szöke et al. 2015, "Coping with channel mismatch in
query-by-example"). The alignment cost c of a place counts standard deviations below the costs b of the same
query in background windows, which are drawn at random from the archive's speech:

    z(c)       = (location - c) / scale
    location   = (1 - d) median(b) + d DECOY_RATIO median(r)
    deviation  = MAD(b) = 1.4826 median |b - median(b)|
    scale^2    = w deviation^2 + (1 - w) (PRIOR_DEVIATION location)^2,    w = (1 - d) / 2
    d          = max(0, 1 - speech / window / INDEPENDENT_WINDOWS)

Median and median absolute deviation (Hampel 1974, "The influence curve and its role in robust estimation")
change little when some background windows hold the word. The variance is shrunk halfway towards a prior:
otherwise a query whose background costs happen to lie close together raises its false alarms above the hits
of other queries. In an archive of less speech than INDEPENDENT_WINDOWS the background is largely the hits
themselves: in the proportion d the costs r of a decoy replace it, of the query reversed in time (as in Elias
and Gygi 2007, "Target-decoy search strategy"). PRIOR_DEVIATION and DECOY_RATIO were measured on English
prompts and game dialogue with 39 MFCC, within and across speakers.

**Fusion of both stages.** The similarity s of vectors is normalised likewise, by the similarities S of spans
drawn at random, and both are combined linearly by SearchSettings.similarity_weight, a:

    z(s)       = (s - median(S)) / max(MAD(S), MIN_SIMILARITY_DEVIATION)
    score      = (1 - a) z(c) + a z(s)

**Query-specific shift** (keyword-specific thresholds: Miller et al. 2007, "Rapid and accurate spoken term
detection"; cohorts of impostors: Auckenthaler et al. 2000). A word that resembles much has more false alarms
at the same score. So that one threshold serves all words, all scores of a query are shifted by

    shift      = IMPOSTOR_SCORE - clip(score of rank k, IMPOSTOR_SCORE_RANGE)
    k          = min(IMPOSTORS_PER_HOUR * hours of speech, MAX_IMPOSTORS)

as the places of that rank are taken to be equally good impostors. The range bounds the shift, since a
frequent word occurs at that rank too. Within one query the order does not change. Where k is below
MIN_IMPOSTORS the estimate is too uncertain; there all scores are raised instead,

    shift      = clip(SHIFT_PER_LOG_SPEECH ln(MIN_IMPOSTORS / k), 0, MAX_SHORT_ARCHIVE_SHIFT)

since minutes hold fewer false alarms than hours, so that a lower threshold yields no more of them. Measured,
false alarms become e times as frequent where the threshold falls by .3 (phonetic) to .45 (whisper).

How likely a hit is right, and whether it is detected, is estimated in calibration.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import to_seconds

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

MIN_SCALE = 1e-6  # of costs
MIN_SIMILARITY_DEVIATION = 1e-2
PRIOR_DEVIATION = 0.1  # of background costs, by their location
DECOY_RATIO = 0.85  # median cost of background windows, by that of the reversed query
INDEPENDENT_WINDOWS = 64  # speech of that many windows is enough background

IMPOSTORS_PER_HOUR = 50  # of speech
MIN_IMPOSTORS, MAX_IMPOSTORS = 20, 50
IMPOSTOR_SCORE = 3.0  # after the shift
IMPOSTOR_SCORE_RANGE = (2.5, 4.0)
SHIFT_PER_LOG_SPEECH = 1 / 3  # for speech shorter by the factor e
MAX_SHORT_ARCHIVE_SHIFT = 1.0


@dataclass(frozen=True)
class BackgroundStatistics:
    """Statistics of a query's costs in background windows, as the module's head defines them.

    Attributes:
        location: of the costs, decoys included.
        scale: of the costs, shrunk towards the prior.
        deviation: of the background costs alone.
    """

    location: float
    scale: float
    deviation: float


def decoy_share(speech_ticks: float, window_ticks: int) -> float:
    """Returns the share of decoys in the background statistics (d), 0 to 1, for that many ticks of speech."""
    return max(0.0, 1 - speech_ticks / window_ticks / INDEPENDENT_WINDOWS)


def background_statistics(
    costs: Doubles, decoy_costs: Doubles | None = None, share: float = 0.0
) -> BackgroundStatistics:
    """Returns what a query's costs are normalised by.

    Args:
        costs: (n,), the lowest in each background window.
        decoy_costs: (m,), the same of the reversed query; None where their share is 0.
        share: of the decoys (d).
    """
    location = median(costs)
    deviation = robust_deviation(costs, location)
    if decoy_costs is not None:
        location = (1 - share) * location + share * DECOY_RATIO * median(decoy_costs)
    weight = (1 - share) / 2
    variance = weight * deviation**2 + (1 - weight) * (PRIOR_DEVIATION * location) ** 2
    return BackgroundStatistics(location, max(math.sqrt(variance), MIN_SCALE), deviation)


def normalised_similarity(similarity: NDArray[np.float32], background: Doubles) -> Doubles:
    """Returns by how many deviations similarities (n,) lie above those of random spans (m,)."""
    location = median(background)
    deviation = max(robust_deviation(background, location), MIN_SIMILARITY_DEVIATION)
    normalised: Doubles = (similarity.astype(np.float64) - location) / deviation
    return normalised


def impostor_rank(speech_ticks: Ints) -> int:
    """Returns the rank of a query's impostors in recordings (n,) of that much speech; 0 where they are fewer
    than MIN_IMPOSTORS."""
    rank = int(min(_impostors(speech_ticks), MAX_IMPOSTORS))
    return rank if rank >= MIN_IMPOSTORS else 0


def query_shift(score: Doubles, rank: int) -> float:
    """Returns what to add to all scores (n,) of a query for its impostors of that rank; 0 if it has fewer."""
    if len(score) < rank:
        return 0.0
    impostor = np.partition(score, len(score) - rank)[len(score) - rank]
    return IMPOSTOR_SCORE - float(np.clip(impostor, *IMPOSTOR_SCORE_RANGE))


def short_archive_shift(speech_ticks: Ints) -> float:
    """Returns what to add to all scores where all recordings (n,) together hold little speech; else 0."""
    shortage = MIN_IMPOSTORS / max(_impostors(speech_ticks), 1e-9)
    return float(np.clip(SHIFT_PER_LOG_SPEECH * math.log(shortage), 0, MAX_SHORT_ARCHIVE_SHIFT))


def _impostors(speech_ticks: Ints) -> float:
    """Returns the number of impostors in that much speech (n,)."""
    return IMPOSTORS_PER_HOUR * to_seconds(int(speech_ticks.sum())) / 3_600


def median(values: NDArray[Any]) -> float:
    """Returns the median (as np.median, which takes longer for a few hundred values)."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def robust_deviation(values: NDArray[Any], location: float) -> float:
    """Returns the standard deviation of a normal distribution with the values' median absolute deviation."""
    return 1.4826 * median(np.abs(values - location))
