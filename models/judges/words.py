"""Judges of word vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from wordspot.models.artifact import Metric
from wordspot.models.datasets import analogies
from wordspot.models.datasets.analogies import Analogy
from wordspot.models.evaluation import Subject, judges

SECTIONS = {
    "family": "family",
    "comparative": "gram3-comparative",
    "capitals": "capital-common-countries",
}
# Those on the lecture's slide; the last word is to be found.
LECTURE = (
    Analogy("rome", "italy", "berlin", "germany"),
    Analogy("hot", "hotter", "big", "bigger"),
    Analogy("italy", "rome", "germany", "berlin"),
    Analogy("queen", "king", "aunt", "uncle"),
)
GROUPS = ("春夏秋冬", "東西南北", "一二三四五六七八九十", "紅綠青白黃紫", "父母兄弟姊妹", "風雨雪霜雲露")
CHUNK_QUESTIONS = 256


@judges("analogy", "word")
def relations(subject: Subject) -> list[Metric]:
    """Judges the accuracy of analogies whose words are all in the vocabulary (their share is `_coverage`),
    with the input words excluded as answers, and allowed (`_with_inputs`).

    floor: a random word; baseline: the word nearest to the third.
    """
    if not any(question.a in subject.model.rows for question in LECTURE):
        return []  # another language
    sections = analogies.sections(subject.home)
    metrics = []
    for name, questions in [
        *((name, sections[section]) for name, section in SECTIONS.items()),
        ("lecture", LECTURE),
    ]:
        metrics += _relation(subject, name, questions)
    return metrics


@judges("encode", "word")
def likeness(subject: Subject) -> list[Metric]:
    """Judges Spearman's correlation of the cosine with people's similarity of pairs in the vocabulary.

    floor: no correlation; baseline: the Jaccard similarity of two words' letters.
    """
    metrics = []
    for name, pairs in analogies.likeness(subject.home).items():
        judged_pairs = [pair for pair in pairs if {*pair[:2]} <= subject.model.rows.keys()]
        if len(judged_pairs) < len(pairs) / 2:
            continue
        first, second = (subject.model.encode([pair[side] for pair in judged_pairs]) for side in (0, 1))
        cosine = torch.nn.functional.cosine_similarity(first, second).numpy()
        letters = [len({*a} & {*b}) / len({*a} | {*b}) for a, b, _ in judged_pairs]
        people = [mean for *_, mean in judged_pairs]
        value, baseline = (float(spearmanr(scores, people).statistic) for scores in (cosine, letters))
        metrics.append(Metric(name, value, floor=0.0, baseline=baseline))
        metrics.append(Metric(f"{name}_coverage", len(judged_pairs) / len(pairs)))
    return metrics


@judges("neighbours", "word")
def groups(subject: Subject) -> list[Metric]:
    """Judges how often the nearest of all characters in GROUPS, Chinese seasons, directions, numbers,
    colours, relatives and weathers, is of the same group.

    floor: chance; baseline: the nearest in frequency.
    """
    members = [(character, n) for n, group in enumerate(GROUPS) for character in group]
    rows = [subject.model.row(character) for character, _ in members]
    if None in rows:
        return []
    kind = torch.tensor([n for _, n in members])
    unit = subject.model.unit[rows]
    rank = torch.tensor(rows, dtype=torch.float32)
    same = (kind[:, None] == kind[None, :]).float().fill_diagonal_(0)

    def accuracy(likeness: Tensor) -> float:
        return float((kind[likeness.fill_diagonal_(-torch.inf).argmax(dim=1)] == kind).float().mean())

    value, baseline = accuracy(unit @ unit.T), accuracy(-(rank[:, None] - rank[None, :]).abs())
    return [
        Metric(
            "groups", value, floor=float(same.sum() / (len(members) * (len(members) - 1))), baseline=baseline
        )
    ]


def _relation(subject: Subject, name: str, questions: Sequence[Analogy]) -> list[Metric]:
    rows = subject.model.rows
    question_rows = np.array(
        [
            [rows[q.a], rows[q.b], rows[q.c], rows[q.d]]
            for q in questions
            if {q.a, q.b, q.c, q.d} <= rows.keys()
        ],
        np.int64,
    ).reshape(-1, 4)
    metrics = [Metric(f"{name}_coverage", len(question_rows) / len(questions))]
    if not len(question_rows):
        return metrics
    unit = subject.model.unit
    a, b, c = (unit[question_rows[:, column]] for column in range(3))
    target = b - a + c
    metrics.append(
        Metric(
            name,
            _accuracy(unit, target, question_rows, leave_out=True),
            floor=1 / len(rows),
            baseline=_accuracy(unit, c, question_rows, leave_out=True),
        )
    )
    metrics.append(
        Metric(
            f"{name}_with_inputs",
            _accuracy(unit, target, question_rows, leave_out=False),
            floor=1 / len(rows),
        )
    )
    return metrics


def _accuracy(unit: Tensor, target: Tensor, question_rows: NDArray[np.int64], *, leave_out: bool) -> float:
    """Returns the share of the questions, rows (N, 4), whose last word is nearest to the target (N, D)."""
    correct = 0
    for first in range(0, len(question_rows), CHUNK_QUESTIONS):
        part = question_rows[first : first + CHUNK_QUESTIONS]
        similarity = target[first : first + CHUNK_QUESTIONS] @ unit.T
        if leave_out:
            similarity.scatter_(1, torch.from_numpy(part[:, :3]), -torch.inf)
        correct += int((similarity.argmax(dim=1).numpy() == part[:, 3]).sum())
    return correct / len(question_rows)
