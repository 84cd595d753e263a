"""Judges of models that give texts their titles."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import Metric
from wordspot.models.conditional.vocabulary import LANGUAGES
from wordspot.models.datasets.text_pairs import Pair, pairs
from wordspot.models.evaluation import Subject, judges
from wordspot.models.rouge import rouge_l

SOURCES = frozenset({"headlines", "package-descriptions"})
ASKED = 400  # held-out texts

_SENTENCE = re.compile(r".*?[.。!！?？;；]", re.DOTALL)


@judges("sample", "text")
def titles(subject: Subject) -> list[Metric]:
    """Titles of held-out texts beside those that people gave:

    rouge_l: by characters, of lower case. rouge_over_lead: of what the lead has, the beginning of the text:
    its first sentence, or as many characters as titles have on average, whichever is better.
    rouge_over_nearest: of what the title of the nearest training text has. rouge_l_of_tokens: as rouge_l, by
    tokens. shuffled_loss: share of rouge_l that is lost if each text has the title of another. nats: a token
    of people's titles. from_text: how many tokens of a title stand in the text. exact: how many titles are
    people's, token for token.

    floor: the title of another text, of from_text and exact people's; baseline: the lead, of
    rouge_over_nearest the nearest text's title, of nats what they are behind another text, of shuffled_loss
    people's own titles.
    """
    if subject.source not in SOURCES:
        return []
    splits = pairs(subject.source, subject.home)
    test = splits["test"]
    asked = [test[n] for n in np.unique(np.linspace(0, len(test) - 1, ASKED).round().astype(int))]
    order = np.random.default_rng(0).permutation(len(asked))
    model, rng = subject.model, subject.rng()
    ours = [model.sample(1, rng, condition=pair.given)[0] for pair in asked]
    wanted = [pair.answer.lower() for pair in asked]
    ways = leads(asked, float(np.mean([len(pair.answer) for pair in splits["train"]])))
    lead = max(ways, key=lambda texts: _rouge(texts, wanted))
    near = [splits["train"][row].answer for row in nearest(splits["train"], asked, model.config.language)]
    others = [wanted[n] for n in order]
    value, floor, baseline, closest = (_rouge(texts, wanted) for texts in (ours, others, lead, near))

    def lost(texts: Sequence[str]) -> float:
        return 1 - _rouge([texts[n] for n in order], wanted) / max(_rouge(texts, wanted), 1e-9)

    def nats(conditions: Sequence[str]) -> float:
        parts = [model.nats(one, [pair.answer]) for one, pair in zip(conditions, asked, strict=True)]
        return sum(float(some) for some, _ in parts) / sum(int(count) for _, count in parts)

    split = LANGUAGES[model.config.language].split

    def tokenwise(texts: Sequence[str]) -> float:
        both = zip(texts, wanted, strict=True)
        return float(np.mean([rouge_l(split(one), split(other)) for one, other in both]))

    def from_text(texts: Sequence[str]) -> float:
        shares = [
            np.mean([float(token in set(split(pair.given))) for token in split(text)] or [0.0])
            for text, pair in zip(texts, asked, strict=True)
        ]
        return float(np.mean(shares))

    def exact(texts: Sequence[str]) -> float:
        return float(np.mean([split(one) == split(other) for one, other in zip(texts, wanted, strict=True)]))

    given = [pair.given for pair in asked]
    return [
        Metric("rouge_l", value, floor=floor, baseline=baseline),
        Metric("rouge_over_lead", value / baseline, floor=floor / baseline, baseline=1.0),
        Metric("rouge_over_nearest", value / max(closest, 1e-9), baseline=1.0),
        Metric("rouge_l_of_tokens", tokenwise(ours), floor=tokenwise(others), baseline=tokenwise(lead)),
        Metric("shuffled_loss", lost(ours), floor=0.0, baseline=lost(wanted)),
        Metric("nats", nats(given), baseline=nats([given[n] for n in order]), lower_is_better=True),
        Metric("from_text", from_text(ours), floor=from_text(wanted), baseline=from_text(lead)),
        Metric("exact", exact(ours), floor=1.0, baseline=exact(lead)),
    ]


def leads(asked: Sequence[Pair], length: float) -> list[list[str]]:
    """First sentences; beginnings of so many characters."""
    sentences = [match[0] if (match := _SENTENCE.match(pair.given)) else pair.given for pair in asked]
    return [sentences, [pair.given[: round(length)] for pair in asked]]


def nearest(train: Sequence[Pair], asked: Sequence[Pair], language: str) -> NDArray[np.int64]:
    """The row of the training text that has most in common with each, (N,): cosine of tokens, weighed by how
    rare they are."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(analyzer=LANGUAGES[language].split, sublinear_tf=True)
    known = weigh.fit_transform(_given(train))
    return np.array([(row @ known.T).toarray().argmax() for row in weigh.transform(_given(asked))])


def _given(some: Sequence[Pair]) -> list[str]:
    return [pair.given for pair in some]


def _rouge(texts: Sequence[str], wanted: Sequence[str]) -> float:
    return float(np.mean([rouge_l(one.lower(), other) for one, other in zip(texts, wanted, strict=True)]))
