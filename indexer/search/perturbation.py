"""Variants of a spoken example in tempo and pitch: the same sound, played faster and slower.

    examples = speed_variants(query, 5)
    outcome = find_by_examples(finder, view, [embed_query(example, embedder) for example in examples])

Played faster, a voice is higher, its vocal tract shorter and its tempo quicker (speed perturbation; Ko,
Peddinti, Povey and Khudanpur 2015, "Audio augmentation for speech recognition"). A place that resembles all
variants resembles the word more than the speaker. The benchmark's table has the gain. The command line calls
the variants "voices"; they are not the voices of the synthesiser that speaks typed queries.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLES_PER_TICK, SPEED_VARIANTS, QueryAudio
from wordspot.indexer.sound.resampling import resampled

SPEED_STEP = 1.05  # from one variant to the next
_MAX_DENOMINATOR = 50  # of a speed


def speed_variants(query: QueryAudio, count: int) -> list[QueryAudio]:
    """Returns the query itself, then count - 1 others, half of them slower, half faster.

    Raises:
        InvalidInput: if count is none of records.SPEED_VARIANTS.
    """
    if count not in SPEED_VARIANTS:
        allowed = ", ".join(map(str, SPEED_VARIANTS))
        raise InvalidInput(f"speed variants must be one of {allowed}, got {count}")
    steps = [step for distance in range(1, count // 2 + 1) for step in (-distance, distance)]
    speeds = [Fraction(SPEED_STEP**step).limit_denominator(_MAX_DENOMINATOR) for step in steps]
    return [query, *(_at_speed(query, speed) for speed in speeds)]


def _at_speed(query: QueryAudio, speed: Fraction) -> QueryAudio:
    samples = resampled(query.samples, speed.denominator, speed.numerator)
    ticks = len(samples) // SAMPLES_PER_TICK
    start = min(round(query.start / speed), ticks - 1)
    stop = max(min(round(query.stop / speed), ticks), start + 1)
    return replace(query, samples=samples, start=start, stop=stop)
