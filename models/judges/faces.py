"""Judges of faces: of what tells what a face shows, and of what draws faces as they are described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wordspot.models import frechet, registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets.faces import new_pairs
from wordspot.models.datasets.pictures import Pictures, pictures
from wordspot.models.evaluation import Subject, judges
from wordspot.models.judges.drawings import coverage

READER = "face-attributes"
BESIDE = "faces"  # a generator that is not told what to draw
TRAITS = ("hair", "eyes", "length")
AT_ONCE = 250


@judges("encode", "picture")
def reading(subject: Subject) -> list[Metric]:
    """How many test faces, of kinds that training never showed, are read rightly, by trait.

    floor: what is said of most training faces; baseline: what the nearest training face shows.
    """
    if subject.source != BESIDE or not hasattr(subject.model, "described"):
        return []
    train, test = (pictures(BESIDE, split, subject.home) for split in ("train", "test"))
    model = subject.model
    wanted, seen = (_described(model.known, some) for some in (test, train))
    found = _read(model, test.tensor())
    apart = torch.cdist(test.tensor().flatten(1), train.tensor().flatten(1))
    nearest = seen[apart.argmin(dim=1)]
    common = seen.mode(dim=0).values.expand_as(wanted)
    return [
        _metric(
            f"{name}_read",
            [float((some == wanted)[:, n].double().mean()) for some in (found, common, nearest)],
        )
        for n, name in enumerate(TRAITS)
    ]


@judges("sample", "picture")
def as_described(subject: Subject) -> list[Metric]:
    """As many faces of each held-out kind, a combination that training never showed, as there are real ones,
    drawn as the kind is described and read by the classifier of faces:

    hair_right and so on: by trait. attributes_right: their mean. all_right: how many are right in all traits.
    new_pairs_right: attributes_right of the kinds whose two colours no training face has together, not even
    with hair of the other length; not judged where there are none.
    shuffled_texts: attributes_right if each is drawn as another kind is described. frechet_unlearned and
    coverage: in features that nothing taught.

    floor: real test faces, of the last two training faces; of shuffled_texts, real faces beside other texts.
    baseline: the faces of a generator that is not told what to draw.
    """
    others = registry.folders(subject.home)
    if subject.source != BESIDE or not hasattr(subject.model, "codes_of") or READER not in others:
        return []
    reader: Any = registry.load(READER, subject.home)[0]
    train, test = (pictures(BESIDE, split, subject.home) for split in ("train", "test"))
    model, rng = subject.model, subject.rng()
    wanted = _described(model.known, test)
    kinds, own = torch.unique(torch.from_numpy(test.labels), return_inverse=True)
    other = model.known.of_labels(kinds.roll(max(1, len(kinds) // 2)))[own]

    def drawn(described: Tensor) -> Tensor:
        return torch.cat(
            [model.decode(model.codes_of(part, rng)) for part in torch.split(described, AT_ONCE)]
        )

    ours = drawn(wanted)
    chosen = torch.randperm(len(train), generator=rng)[: len(test)]
    sets = {"ours": ours, "real": test.tensor(), "train": train.tensor()[chosen]}
    if BESIDE in others:
        beside: Any = registry.load(BESIDE, subject.home)[0]
        sets["beside"] = torch.cat([beside.sample(len(part), rng) for part in torch.split(wanted, AT_ONCE)])
    right = {name: _read(reader, some) == wanted for name, some in sets.items() if name != "train"}
    found = [
        _metric(f"{name}_right", [float(some[:, n].double().mean()) for some in right.values()])
        for n, name in enumerate(TRAITS)
    ]
    found.append(_metric("attributes_right", [float(some.double().mean()) for some in right.values()]))
    whole = [float(some.all(dim=1).double().mean()) for some in right.values()]
    found.append(_metric("all_right", whole))
    new = torch.from_numpy(new_pairs(test.labels, train.labels))
    if new.any():
        found.append(
            _metric("new_pairs_right", [float(some[new].double().mean()) for some in right.values()])
        )
    shuffled = float((_read(reader, drawn(other)) == wanted).double().mean())
    real = float((_read(reader, test.tensor()) == other).double().mean())
    found.append(Metric("shuffled_texts", shuffled, floor=real, lower_is_better=True))
    seen = {name: frechet.random_features(some) for name, some in sets.items()}
    order = [name for name in ("ours", "train", "beside") if name in seen]
    distances = [frechet.distance(seen["real"], seen[name]) for name in order]
    covered = [coverage(seen["real"].float(), seen[name].float()) for name in order]
    return [
        *found,
        _metric("frechet_unlearned", distances, lower_is_better=True),
        _metric("coverage", covered),
    ]


def _metric(name: str, figures: Sequence[float], *, lower_is_better: bool = False) -> Metric:
    """figures: value, floor and, where there is one, baseline."""
    value, floor, *rest = figures
    return Metric(name, value, floor, rest[0] if rest else None, lower_is_better=lower_is_better)


def _described(known: Any, some: Pictures) -> Tensor:
    """int64 (N, traits)."""
    described: Tensor = known.of_labels(torch.from_numpy(some.labels))
    return described


def _read(reader: Any, some: Tensor) -> Tensor:
    return torch.cat([reader.described(part) for part in torch.split(some, AT_ONCE)])
