"""CIDEr-D: the consensus of a caption with references (Vedantam, Zitnick and Parikh 2015, section 5).

    cider(["man running".split()], [["man running".split(), "runner".split()]])

N-grams of one to four tokens are weighed by TF-IDF, a picture being a document; a caption is compared with
each reference by the cosine of these weights, the caption's clipped to the reference's, with a Gaussian
penalty for the difference of lengths. The figure is ten times the mean over n, so that a perfect caption of
fewer than four tokens has less than ten.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

MAX_NGRAM = 4
SIGMA_TOKENS = 6.0  # of the length penalty
SCALE = 10.0

Tokens = Sequence[str]
Ngram = tuple[str, ...]


def cider(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[float]:
    """Returns CIDEr-D of each picture's caption, 0 to 10.

    Args:
        candidates: a caption for each picture.
        references: one or more captions for each picture, which also give the document frequencies.
    """
    document_counts: Counter[Ngram] = Counter()
    for captions in references:
        document_counts.update({ngram for caption in captions for ngram in _ngrams(caption)})
    log_count = math.log(len(references)) if references else 0.0

    def vectors(tokens: Tokens) -> list[dict[Ngram, float]]:
        """Returns TF-IDF weights by n-gram, for each n."""
        weights: list[dict[Ngram, float]] = [{} for _ in range(MAX_NGRAM)]
        for ngram, count in Counter(_ngrams(tokens)).items():
            weights[len(ngram) - 1][ngram] = count * (log_count - math.log(max(1, document_counts[ngram])))
        return weights

    scores = []
    for candidate, captions in zip(candidates, references, strict=True):
        ours = vectors(candidate)
        similarities = [
            _similarity(ours, vectors(caption), len(candidate) - len(caption)) for caption in captions
        ]
        scores.append(SCALE * sum(similarities) / len(similarities))
    return scores


def _ngrams(tokens: Tokens) -> list[Ngram]:
    return [
        tuple(tokens[start : start + length])
        for length in range(1, MAX_NGRAM + 1)
        for start in range(len(tokens) - length + 1)
    ]


def _similarity(
    candidate: list[dict[Ngram, float]], reference: list[dict[Ngram, float]], difference: int
) -> float:
    """Returns the mean similarity over n. difference: of the lengths, tokens."""
    penalty = math.exp(-(difference**2) / (2 * SIGMA_TOKENS**2))
    total = 0.0
    for ours, theirs in zip(candidate, reference, strict=True):
        product = sum(
            min(weight, theirs.get(ngram, 0.0)) * theirs.get(ngram, 0.0) for ngram, weight in ours.items()
        )
        norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
        total += penalty * product / norms if norms else 0.0
    return total / MAX_NGRAM
