"""CIDEr: how much a caption says what people say of the picture (Vedantam, Zitnick and Parikh 2015), in the
form that cannot be gamed, CIDEr-D.

    cider(["man running".split()], [["man running".split(), "runner".split()]])

Runs of one to four tokens are weighed by how few pictures they are said of; a caption is compared with each
reference by the cosine of these weights, those of the caption cut to the reference's, and loses for another
length. The figure is ten times the mean over the lengths of runs, so that a right caption of fewer tokens
than four has less than ten.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

LONGEST = 4
SIGMA = 6.0  # tokens, of the length penalty
SCALE = 10.0

Tokens = Sequence[str]
Run = tuple[str, ...]


def cider(said: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[float]:
    """Of each picture. references: one or more for each; how rare a run is, is counted among them."""
    seen: Counter[Run] = Counter()
    for some in references:
        seen.update({run for one in some for run in _runs(one)})
    most = math.log(len(references)) if references else 0.0

    def weighed(tokens: Tokens) -> list[dict[Run, float]]:
        """By length of run."""
        found: list[dict[Run, float]] = [{} for _ in range(LONGEST)]
        for run, count in Counter(_runs(tokens)).items():
            found[len(run) - 1][run] = count * (most - math.log(max(1, seen[run])))
        return found

    scores = []
    for one, some in zip(said, references, strict=True):
        ours = weighed(one)
        alike = [_alike(ours, weighed(other), len(one) - len(other)) for other in some]
        scores.append(SCALE * sum(alike) / len(alike))
    return scores


def _runs(tokens: Tokens) -> list[Run]:
    return [
        tuple(tokens[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(tokens) - length + 1)
    ]


def _alike(ours: list[dict[Run, float]], theirs: list[dict[Run, float]], longer: int) -> float:
    penalty = math.exp(-(longer**2) / (2 * SIGMA**2))
    found = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        product = sum(min(weight, other.get(run, 0.0)) * other.get(run, 0.0) for run, weight in mine.items())
        norms = math.hypot(*mine.values()) * math.hypot(*other.values())
        found += penalty * product / norms if norms else 0.0
    return found / LONGEST
