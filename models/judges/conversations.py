"""Judges of models that answer in conversations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from wordspot.models.artifact import Metric
from wordspot.models.datasets.text_pairs import Pair, pairs
from wordspot.models.evaluation import Subject, judges
from wordspot.models.trigrams import Trigrams

SOURCE = "conversations"
WEIGHED, RANKED, ANSWERED = 1_000, 200, 300  # held-out turns
CANDIDATES, FIRST = 100, 10
GREETINGS = ("Hello.", "Hi!", "Hey there", "Good morning!", "Hello, how are you?")
GREETS = frozenset({"hello", "hi", "hey", "heya", "howdy", "yo", "sup", "morning", "hola", "hiya", "how"})


@judges("sample", "text")
def conversation(subject: Subject) -> list[Metric]:
    """Held-out turns, after those before them:

    perplexity: of a token; one that the vocabulary lacks is a token like another, also to the baseline;
    perplexity_of_trigram: as a share of that.
    recall_at_10: how often the true answer is among the ten likeliest of a hundred, by nats a token;
    recall_of_shuffled: the same behind the turns before another answer. commonest: share of the most frequent
    answer. distinct_1, distinct_2: how many tokens, and pairs of neighbours, of the answers are different
    ones. greets: share of greetings that are answered with one.

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
    found = [
        Metric("perplexity", perplexity, baseline=baseline, lower_is_better=True),
        Metric("perplexity_of_trigram", perplexity / baseline, baseline=1.0, lower_is_better=True),
        Metric("recall_at_10", _recall(subject, test, shuffled=False), floor=FIRST / CANDIDATES),
        Metric("recall_of_shuffled", _recall(subject, test, shuffled=True), lower_is_better=True),
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


def _recall(subject: Subject, test: Sequence[Pair], *, shuffled: bool) -> float:
    """Candidates are the true answer and others of the test, all different texts."""
    order = np.random.default_rng(0)
    asked = apart(test, RANKED)
    hits = 0
    for n, pair in enumerate(asked):
        others = dict.fromkeys(test[row].answer for row in order.permutation(len(test))[: 2 * CANDIDATES])
        others.pop(pair.answer, None)
        candidates = [pair.answer, *list(others)[: CANDIDATES - 1]]
        given = asked[(n + len(asked) // 2) % len(asked)].given if shuffled else pair.given
        nats, tokens = subject.model.nats(given, candidates)
        scores = (nats / tokens).tolist()
        hits += sum(score < scores[0] for score in scores) < FIRST
    return hits / len(asked)
