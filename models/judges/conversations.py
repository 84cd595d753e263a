"""Judges of models that answer in conversations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wordspot.models.artifact import Metric
from wordspot.models.datasets.text_pairs import Pair, pairs
from wordspot.models.evaluation import Subject, judges
from wordspot.models.trigrams import Trigrams

SOURCE = "conversations"
SCORED, RANKED, ANSWERED = 1_000, 300, 300  # held-out turns
CANDIDATES, TOP = 100, 10
OTHER_TURNS = 24  # turns that estimate the marginal likelihood of an answer
GREETINGS = ("Hello.", "Hi!", "Hey there", "Good morning!", "Hello, how are you?")
GREETING_WORDS = frozenset(
    {"hello", "hi", "hey", "heya", "howdy", "yo", "sup", "morning", "hola", "hiya", "how"}
)


@judges("sample", "text")
def conversation(subject: Subject) -> list[Metric]:
    """Judges answers to held-out turns, given the turns before them.

    perplexity: a token; UNKNOWN is a token like another, also to the baseline. perplexity_of_trigram: ratio
    to the baseline.
    recall_at_10: share of true answers among the first ten of a hundred, ranked by mutual information with
    the turns (Li et al. 2016: by likelihood alone a dull answer fits everywhere); recall_by_nats: the same
    ranked by nats a token; recall_of_shuffled: as recall_at_10, with the turns of another answer. commonest:
    share of the most frequent answer. distinct_1, distinct_2: share of distinct unigrams and bigrams of the
    answers. greets: share of greetings that are answered with one.

    floor: people's answers; of recalls, chance. baseline: of perplexity, trigrams
    (interpolated Kneser-Ney).
    """
    if subject.source != SOURCE:
        return []
    splits = pairs(SOURCE, subject.home)
    train, test = splits["train"], splits["test"]
    model, rng = subject.model, subject.rng()
    reading = model.reading
    scored = evenly_spaced(test, SCORED)
    rows = [reading.answer(pair.answer, ()) for pair in scored]
    count = sum(map(len, rows))
    nats = sum(float(model.answer_nll(pair.given, [pair.answer])[0]) for pair in scored)
    trigrams = Trigrams((reading.answer(pair.answer, ()) for pair in train), len(model.vocabulary))
    answered = evenly_spaced(test, ANSWERED)
    generated = [model.sample(1, rng, condition=pair.given)[0] for pair in answered]
    references = [pair.answer for pair in answered]
    split = model.vocabulary.split
    perplexity, baseline = math.exp(nats / count), math.exp(sum(map(trigrams.nats, rows)) / count)
    recall, shuffled, by_nats = recalls(model, test, splits["validation"])
    metrics = [
        Metric("perplexity", perplexity, baseline=baseline, lower_is_better=True),
        Metric("perplexity_of_trigram", perplexity / baseline, baseline=1.0, lower_is_better=True),
        Metric("recall_at_10", recall, floor=TOP / CANDIDATES),
        Metric("recall_by_nats", by_nats, floor=TOP / CANDIDATES),
        Metric("recall_of_shuffled", shuffled, floor=TOP / CANDIDATES, lower_is_better=True),
        Metric("commonest", _mode_share(generated), floor=_mode_share(references), lower_is_better=True),
    ]
    for length in (1, 2):
        value, floor = (
            distinct([split(text) for text in texts], length) for texts in (generated, references)
        )
        metrics.append(Metric(f"distinct_{length}", value, floor=floor))
    replies = [split(model.sample(1, rng, condition=greeting)[0]) for greeting in GREETINGS]
    greets = float(np.mean([bool(GREETING_WORDS & set(reply[:3])) for reply in replies]))
    return [*metrics, Metric("greets", greets, floor=1.0)]


def distinct(texts: Sequence[Sequence[str]], length: int) -> float:
    """Returns the share of distinct n-grams of a length (distinct-n, Li et al. 2016)."""
    runs = [tuple(text[n : n + length]) for text in texts for n in range(len(text) - length + 1)]
    return len(set(runs)) / max(1, len(runs))


def _mode_share(texts: Sequence[str]) -> float:
    ((_, count),) = Counter(texts).most_common(1)
    return count / len(texts)


def evenly_spaced(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Returns at most so many pairs, evenly spaced."""
    return [pairs[n] for n in np.unique(np.linspace(0, len(pairs) - 1, count).round().astype(int))]


def recalls(model: Any, test: Sequence[Pair], other_pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Returns recall_at_10, recall_of_shuffled and recall_by_nats.

    Args:
        model: with `answer_nll`.
        test: pairs to rank.
        other_pairs: pairs that are not of the test, whose turns estimate an answer's marginal likelihood.
    """
    queries = list({pair.answer: pair for pair in evenly_spaced(test, RANKED)}.values())
    answers = [pair.answer for pair in queries]
    nats = torch.stack([model.answer_nll(pair.given, answers)[0] for pair in queries])  # (turns, answers)
    elsewhere = torch.stack(
        [model.answer_nll(pair.given, answers)[0] for pair in evenly_spaced(other_pairs, OTHER_TURNS)]
    )
    information = nats + torch.logsumexp(-elsewhere, dim=0) - math.log(len(elsewhere))
    tokens = model.answer_nll(queries[0].given, answers)[1]
    order = np.random.default_rng(0)

    def recall(scores: Tensor) -> float:
        hits = 0
        for n in range(len(queries)):
            distractors = order.permutation([row for row in range(len(queries)) if row != n])[
                : CANDIDATES - 1
            ]
            hits += int((scores[n, distractors] <= scores[n, n]).sum()) < TOP
        return hits / len(queries)

    return recall(information), recall(information.roll(len(queries) // 2, dims=0)), recall(nats / tokens)
