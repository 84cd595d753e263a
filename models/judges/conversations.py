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
WEIGHED, RANKED, ANSWERED = 1_000, 300, 300  # held-out turns
CANDIDATES, FIRST = 100, 10
NEUTRAL = 24  # turns that tell how likely an answer is everywhere
GREETINGS = ("Hello.", "Hi!", "Hey there", "Good morning!", "Hello, how are you?")
GREETS = frozenset({"hello", "hi", "hey", "heya", "howdy", "yo", "sup", "morning", "hola", "hiya", "how"})


@judges("sample", "text")
def conversation(subject: Subject) -> list[Metric]:
    """Held-out turns, after those before them:

    perplexity: of a token; one that the vocabulary lacks is a token like another, also to the baseline;
    perplexity_of_trigram: as a share of that.
    recall_at_10: how often the true answer is among the first ten of a hundred, by how much likelier it is
    here than behind other turns (mutual information, Li et al. 2016: by its chance alone a dull answer fits
    everywhere); recall_by_nats: the same by nats a token alone; recall_of_shuffled: as recall_at_10, behind
    the turns before another answer. commonest: share of the most frequent answer. distinct_1, distinct_2: how
    many tokens, and pairs of neighbours, of the answers are different ones. greets: share of greetings that
    are answered with one.

    floor: of people's answers; chance. baseline: of perplexity, interpolated Kneser-Ney over three tokens.
    """
    if subject.source != SOURCE:
        return []
    splits = pairs(SOURCE, subject.home)
    train, test = splits["train"], splits["test"]
    model, rng = subject.model, subject.rng()
    reading = model.reading
    weighed = apart(test, WEIGHED)
    rows = [reading.answer(pair.answer, ()) for pair in weighed]
    count = sum(map(len, rows))
    nats = sum(float(model.nats(pair.given, [pair.answer])[0]) for pair in weighed)
    counted = Trigrams((reading.answer(pair.answer, ()) for pair in train), len(model.vocabulary))
    answered = apart(test, ANSWERED)
    ours = [model.sample(1, rng, condition=pair.given)[0] for pair in answered]
    theirs = [pair.answer for pair in answered]
    split = model.vocabulary.split
    perplexity, baseline = math.exp(nats / count), math.exp(sum(map(counted.nats, rows)) / count)
    recall, shuffled, by_nats = recalls(model, test, splits["validation"])
    found = [
        Metric("perplexity", perplexity, baseline=baseline, lower_is_better=True),
        Metric("perplexity_of_trigram", perplexity / baseline, baseline=1.0, lower_is_better=True),
        Metric("recall_at_10", recall, floor=FIRST / CANDIDATES),
        Metric("recall_by_nats", by_nats, floor=FIRST / CANDIDATES),
        Metric("recall_of_shuffled", shuffled, floor=FIRST / CANDIDATES, lower_is_better=True),
        Metric("commonest", _commonest(ours), floor=_commonest(theirs), lower_is_better=True),
    ]
    for length in (1, 2):
        value, floor = (distinct([split(text) for text in some], length) for some in (ours, theirs))
        found.append(Metric(f"distinct_{length}", value, floor=floor))
    replies = [split(model.sample(1, rng, condition=greeting)[0]) for greeting in GREETINGS]
    greets = float(np.mean([bool(GREETS & set(reply[:3])) for reply in replies]))
    return [*found, Metric("greets", greets, floor=1.0)]


def distinct(texts: Sequence[Sequence[str]], length: int) -> float:
    """Share of runs of tokens that are different ones (Li et al. 2016)."""
    runs = [tuple(text[n : n + length]) for text in texts for n in range(len(text) - length + 1)]
    return len(set(runs)) / max(1, len(runs))


def _commonest(texts: Sequence[str]) -> float:
    ((_, count),) = Counter(texts).most_common(1)
    return count / len(texts)


def apart(some: Sequence[Pair], count: int) -> list[Pair]:
    """At most so many, from all over."""
    return [some[n] for n in np.unique(np.linspace(0, len(some) - 1, count).round().astype(int))]


def recalls(model: Any, test: Sequence[Pair], others: Sequence[Pair]) -> tuple[float, float, float]:
    """recall_at_10, recall_of_shuffled and recall_by_nats. others: pairs that are not of the test.

    How likely an answer is everywhere, the mean over other turns, is what it is to be likelier than here.
    """
    asked = list({pair.answer: pair for pair in apart(test, RANKED)}.values())
    answers = [pair.answer for pair in asked]
    nats = torch.stack([model.nats(pair.given, answers)[0] for pair in asked])  # (turns, answers)
    everywhere = torch.stack([model.nats(pair.given, answers)[0] for pair in apart(others, NEUTRAL)])
    told = nats + torch.logsumexp(-everywhere, dim=0) - math.log(len(everywhere))
    tokens = model.nats(asked[0].given, answers)[1]
    order = np.random.default_rng(0)

    def recall(scores: Tensor) -> float:
        hits = 0
        for n in range(len(asked)):
            rivals = order.permutation([row for row in range(len(asked)) if row != n])[: CANDIDATES - 1]
            hits += int((scores[n, rivals] <= scores[n, n]).sum()) < FIRST
        return hits / len(asked)

    return recall(told), recall(told.roll(len(asked) // 2, dims=0)), recall(nats / tokens)
