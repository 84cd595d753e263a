"""Judges of models of titles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import Metric
from wordspot.models.datasets.text_pairs import Pair, pairs
from wordspot.models.evaluation import Subject, judges
from wordspot.models.rouge import rouge_l
from wordspot.models.vocabulary import LANGUAGES

SOURCES = frozenset({"headlines", "package-descriptions"})
JUDGED_TEXTS = 400  # held-out texts

Tokenise = Callable[[str], list[str]]

_SENTENCE = re.compile(r".*?[.。!！?？;；]", re.DOTALL)


@judges("sample", "text")
def titles(subject: Subject) -> list[Metric]:
    """Judges titles of held-out texts by people's titles, the references.

    rouge_l: by characters, lower case. rouge_over_lead: ratio to the lead, the beginning of the text: its
    first sentence, or as many characters as titles have on average, whichever is better. rouge_over_nearest:
    ratio to the title of the nearest training text. rouge_l_of_tokens: as rouge_l, by tokens. shuffled_loss:
    share of rouge_l that is lost if each text has the title of another. nats: a token of the references.
    from_text: share of a title's tokens that occur in the text. exact: share that equal the reference token
    for token.

    floor: the title of another text, of from_text and exact the references; baseline: the lead, of
    rouge_over_nearest the nearest text's title, of nats the same given another text, of shuffled_loss the
    references.
    """
    if subject.source not in SOURCES:
        return []
    splits = pairs(subject.source, subject.home)
    test = splits["test"]
    queries = [test[n] for n in np.unique(np.linspace(0, len(test) - 1, JUDGED_TEXTS).round().astype(int))]
    order = np.random.default_rng(0).permutation(len(queries))
    model, rng = subject.model, subject.rng()
    generated = [model.sample(1, rng, condition=pair.given)[0] for pair in queries]
    references = [pair.answer.lower() for pair in queries]
    leads_of = leads(queries, float(np.mean([len(pair.answer) for pair in splits["train"]])))
    lead = max(leads_of, key=lambda texts: _rouge(texts, references))
    nearest_titles = [
        splits["train"][row].answer for row in nearest(splits["train"], queries, model.config.language)
    ]
    shuffled = [references[n] for n in order]
    value, floor, baseline, closest = (
        _rouge(texts, references) for texts in (generated, shuffled, lead, nearest_titles)
    )
    split = LANGUAGES[model.config.language].split
    tokenwise = partial(_token_rouge, references=references, split=split)
    shuffling_loss = partial(_shuffling_loss, references=references, order=order)
    from_text = partial(_share_from_text, queries=queries, split=split)
    exact = partial(_share_exact, references=references, split=split)
    nats = partial(_token_nats, model, queries)
    sources = _sources(queries)
    return [
        Metric("rouge_l", value, floor=floor, baseline=baseline),
        Metric("rouge_over_lead", value / baseline, floor=floor / baseline, baseline=1.0),
        Metric("rouge_over_nearest", value / max(closest, 1e-9), baseline=1.0),
        Metric(
            "rouge_l_of_tokens", tokenwise(generated), floor=tokenwise(shuffled), baseline=tokenwise(lead)
        ),
        Metric("shuffled_loss", shuffling_loss(generated), floor=0.0, baseline=shuffling_loss(references)),
        Metric("nats", nats(sources), baseline=nats([sources[n] for n in order]), lower_is_better=True),
        Metric("from_text", from_text(generated), floor=from_text(references), baseline=from_text(lead)),
        Metric("exact", exact(generated), floor=1.0, baseline=exact(lead)),
    ]


def leads(queries: Sequence[Pair], length: float) -> list[list[str]]:
    """Returns the leads of texts: first sentences, and beginnings of so many characters."""
    sentences = [match[0] if (match := _SENTENCE.match(pair.given)) else pair.given for pair in queries]
    return [sentences, [pair.given[: round(length)] for pair in queries]]


def nearest(train: Sequence[Pair], queries: Sequence[Pair], language: str) -> NDArray[np.int64]:
    """Returns the row of the nearest training text to each query, int64 (N,), by the cosine of TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(analyzer=LANGUAGES[language].split, sublinear_tf=True)
    rows = vectoriser.fit_transform(_sources(train))
    return np.array([(row @ rows.T).toarray().argmax() for row in vectoriser.transform(_sources(queries))])


def _sources(pairs: Sequence[Pair]) -> list[str]:
    return [pair.given for pair in pairs]


def _rouge(texts: Sequence[str], references: Sequence[str]) -> float:
    """Returns the mean ROUGE-L by characters."""
    both = zip(texts, references, strict=True)
    return float(np.mean([rouge_l(text.lower(), reference) for text, reference in both]))


def _token_rouge(texts: Sequence[str], references: Sequence[str], split: Tokenise) -> float:
    """Returns the mean ROUGE-L by tokens."""
    both = zip(texts, references, strict=True)
    return float(np.mean([rouge_l(split(text), split(reference)) for text, reference in both]))


def _shuffling_loss(texts: Sequence[str], references: Sequence[str], order: NDArray[np.int64]) -> float:
    """Returns the share of ROUGE-L that texts lose in another order."""
    return 1 - _rouge([texts[n] for n in order], references) / max(_rouge(texts, references), 1e-9)


def _token_nats(model: Any, queries: Sequence[Pair], conditions: Sequence[str]) -> float:
    """Returns nats a token of people's titles, given the conditions."""
    parts = [
        model.answer_nll(condition, [pair.answer])
        for condition, pair in zip(conditions, queries, strict=True)
    ]
    return sum(float(nll) for nll, _ in parts) / sum(int(count) for _, count in parts)


def _share_from_text(texts: Sequence[str], queries: Sequence[Pair], split: Tokenise) -> float:
    """Returns the mean share of a title's tokens that occur in the text."""
    shares = [
        np.mean([float(token in set(split(pair.given))) for token in split(text)] or [0.0])
        for text, pair in zip(texts, queries, strict=True)
    ]
    return float(np.mean(shares))


def _share_exact(texts: Sequence[str], references: Sequence[str], split: Tokenise) -> float:
    """Returns the share of titles that equal the reference token for token."""
    both = zip(texts, references, strict=True)
    return float(np.mean([split(text) == split(reference) for text, reference in both]))
