"""Judges of models that know words."""

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
# Those on the lecture's slide; each asked for its last word.
LECTURE = (
    Analogy("rome", "italy", "berlin", "germany"),
    Analogy("hot", "hotter", "big", "bigger"),
    Analogy("italy", "rome", "germany", "berlin"),
    Analogy("queen", "king", "aunt", "uncle"),
)
GROUPS = ("春夏秋冬", "東西南北", "一二三四五六七八九十", "紅綠青白黃紫", "父母兄弟姊妹", "風雨雪霜雲露")
AT_ONCE = 256


@judges("analogy", "word")
def relations(subject: Subject) -> list[Metric]:
    """Analogies whose last word comes first, of those whose words are all known (`_coverage`), the given
    words left out, and allowed (`_with_inputs`).

    floor: any word; baseline: the word nearest to the third, whatever the first two are.
    """
    if not any(question.a in subject.model.rows for question in LECTURE):
        return []  # another language
    asked = analogies.sections(subject.home)
    found = []
    for name, questions in [
        *((name, asked[section]) for name, section in SECTIONS.items()),
        ("lecture", LECTURE),
    ]:
        found += _relation(subject, name, questions)
    return found


@judges("encode", "word")
def likeness(subject: Subject) -> list[Metric]:
    """Spearman's correlation of the cosine with how alike people found two words, of known pairs.

    floor: no correlation; baseline: how many letters two words have in common, of both.
    """
    found = []
    for name, pairs in analogies.likeness(subject.home).items():
        known = [pair for pair in pairs if {*pair[:2]} <= subject.model.rows.keys()]
        if len(known) < len(pairs) / 2:
            continue
        ones, others = (subject.model.encode([pair[side] for pair in known]) for side in (0, 1))
        cosine = torch.nn.functional.cosine_similarity(ones, others).numpy()
        letters = [len({*one} & {*other}) / len({*one} | {*other}) for one, other, _ in known]
        people = [mean for *_, mean in known]
        value, baseline = (float(spearmanr(some, people).statistic) for some in (cosine, letters))
        found.append(Metric(name, value, floor=0.0, baseline=baseline))
        found.append(Metric(f"{name}_coverage", len(known) / len(pairs)))
    return found


@judges("neighbours", "word")
def groups(subject: Subject) -> list[Metric]:
    """Seasons, directions, numbers, colours, relatives and weathers in Chinese: how often the nearest of all
    these characters is one of the same group. baseline: the nearest in frequency; floor: any."""
    known = [(character, n) for n, group in enumerate(GROUPS) for character in group]
    rows = [subject.model.row(character) for character, _ in known]
    if None in rows:
        return []
    kind = torch.tensor([n for _, n in known])
    unit = subject.model.unit[rows]
    rank = torch.tensor(rows, dtype=torch.float32)
    same = (kind[:, None] == kind[None, :]).float().fill_diagonal_(0)

    def right(likeness: Tensor) -> float:
        return float((kind[likeness.fill_diagonal_(-torch.inf).argmax(dim=1)] == kind).float().mean())

    value, baseline = right(unit @ unit.T), right(-(rank[:, None] - rank[None, :]).abs())
    return [
        Metric("groups", value, floor=float(same.sum() / (len(known) * (len(known) - 1))), baseline=baseline)
    ]


def _relation(subject: Subject, name: str, questions: Sequence[Analogy]) -> list[Metric]:
    rows = subject.model.rows
    known = np.array(
        [
            [rows[q.a], rows[q.b], rows[q.c], rows[q.d]]
            for q in questions
            if {q.a, q.b, q.c, q.d} <= rows.keys()
        ],
        np.int64,
    ).reshape(-1, 4)
    found = [Metric(f"{name}_coverage", len(known) / len(questions))]
    if not len(known):
        return found
    unit = subject.model.unit
    a, b, c = (unit[known[:, column]] for column in range(3))
    aim = b - a + c
    found.append(
        Metric(
            name,
            _right(unit, aim, known, leave_out=True),
            floor=1 / len(rows),
            baseline=_right(unit, c, known, leave_out=True),
        )
    )
    found.append(
        Metric(f"{name}_with_inputs", _right(unit, aim, known, leave_out=False), floor=1 / len(rows))
    )
    return found


def _right(unit: Tensor, aim: Tensor, known: NDArray[np.int64], *, leave_out: bool) -> float:
    """Share of the questions (N, 4) whose last word is nearest to the aim (N, D)."""
    right = 0
    for first in range(0, len(known), AT_ONCE):
        part = known[first : first + AT_ONCE]
        similarity = aim[first : first + AT_ONCE] @ unit.T
        if leave_out:
            similarity.scatter_(1, torch.from_numpy(part[:, :3]), -torch.inf)
        right += int((similarity.argmax(dim=1).numpy() == part[:, 3]).sum())
    return right / len(known)
