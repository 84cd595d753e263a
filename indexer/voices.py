"""A spoken example as other voices would have said it: the same sound, played faster and slower.

    examples = in_voices(query, 5)
    outcome = find_together(finder, view, [embed_query(one, embedder) for one in examples])

Played faster, a voice is higher, its vocal tract shorter and its tempo quicker (speed perturbation; Ko,
Povey, Peddinti and Khudanpur 2015, "Audio augmentation for speech recognition"). What all of them find is
less the likeness of one speaker. The benchmark's table says what that gains.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLES_PER_TICK, VOICES, QueryAudio

STEP = 1.05  # in speed, from one voice to the next
_FINENESS = 50  # largest denominator of a speed


def in_voices(query: QueryAudio, count: int) -> list[QueryAudio]:
    """The query itself, then count - 1 others, half of them slower, half faster.

    Raises InvalidInput if count is none of records.VOICES.
    """
    if count not in VOICES:
        raise InvalidInput(f"{count} voices; allowed are {', '.join(map(str, VOICES))}")
    steps = [step for far in range(1, count // 2 + 1) for step in (-far, far)]
    return [query, *(_at_speed(query, Fraction(STEP**step).limit_denominator(_FINENESS)) for step in steps)]


def _at_speed(query: QueryAudio, speed: Fraction) -> QueryAudio:
    from scipy.signal import resample_poly  # takes half a second to import

    samples = resample_poly(query.samples, speed.denominator, speed.numerator).astype(np.float32)
    ticks = len(samples) // SAMPLES_PER_TICK
    start = min(round(query.start / speed), ticks - 1)
    return QueryAudio(samples, start, max(min(round(query.stop / speed), ticks), start + 1))
