"""Judges of classifiers of faces, and of generators of faces from descriptions."""

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
UNCONDITIONAL = "faces"  # a generator without conditions, and the data source
TRAITS = ("hair", "eyes", "length")
CHUNK_PICTURES = 250


@judges("encode", "picture")
def reading(subject: Subject) -> list[Metric]:
    """Judges the accuracy by trait on test faces, whose kinds are not in training.

    floor: the most frequent value of training; baseline: the value of the nearest training face.
    """
    if subject.source != UNCONDITIONAL or not hasattr(subject.model, "predict_traits"):
        return []
    train, test = (pictures(UNCONDITIONAL, split, subject.home) for split in ("train", "test"))
    model = subject.model
    targets, training = (_described(model.descriptions, pictures) for pictures in (test, train))
    predicted = _read(model, test.tensor())
    distances = torch.cdist(test.tensor().flatten(1), train.tensor().flatten(1))
    nearest = training[distances.argmin(dim=1)]
    mode = training.mode(dim=0).values.expand_as(targets)
    return [
        _metric(
            f"{name}_read",
            [float((values == targets)[:, n].double().mean()) for values in (predicted, mode, nearest)],
        )
        for n, name in enumerate(TRAITS)
    ]


@judges("sample", "picture")
def as_described(subject: Subject) -> list[Metric]:
    """Judges as many faces of each held-out kind as there are real ones, generated from the kind's
    description and classified by READER.

    hair_right and so on: accuracy by trait. attributes_right: their mean. all_right: share with all traits
    right. new_pairs_right: attributes_right of the kinds whose two colours no training face combines, with
    hair of either length; not judged where there are none.
    shuffled_texts: attributes_right if each is generated from the description of another kind.
    frechet_unlearned and coverage: in features of random weights.

    floor: real test faces, of the last two training faces; of shuffled_texts, real faces with other texts.
    baseline: the faces of a generator without conditions.
    """
    available = registry.folders(subject.home)
    if subject.source != UNCONDITIONAL or not hasattr(subject.model, "codes_of") or READER not in available:
        return []
    reader: Any = registry.load(READER, subject.home)[0]
    train, test = (pictures(UNCONDITIONAL, split, subject.home) for split in ("train", "test"))
    model, rng = subject.model, subject.rng()
    targets = _described(model.descriptions, test)
    kinds, kind_of_face = torch.unique(torch.from_numpy(test.labels), return_inverse=True)
    shuffled_targets = model.descriptions.of_labels(kinds.roll(max(1, len(kinds) // 2)))[kind_of_face]

    def generate(described: Tensor) -> Tensor:
        return torch.cat(
            [model.decode(model.codes_of(part, rng)) for part in torch.split(described, CHUNK_PICTURES)]
        )

    generated = generate(targets)
    chosen = torch.randperm(len(train), generator=rng)[: len(test)]
    sets = {"generated": generated, "real": test.tensor(), "train": train.tensor()[chosen]}
    if UNCONDITIONAL in available:
        unconditional: Any = registry.load(UNCONDITIONAL, subject.home)[0]
        sets["unconditional"] = torch.cat(
            [unconditional.sample(len(part), rng) for part in torch.split(targets, CHUNK_PICTURES)]
        )
    right = {name: _read(reader, pictures) == targets for name, pictures in sets.items() if name != "train"}
    metrics = _accuracies([*right.values()], torch.from_numpy(new_pairs(test.labels, train.labels)))
    shuffled = float((_read(reader, generate(shuffled_targets)) == targets).double().mean())
    real = float((_read(reader, test.tensor()) == shuffled_targets).double().mean())
    metrics.append(Metric("shuffled_texts", shuffled, floor=real, lower_is_better=True))
    features = {name: frechet.random_features(pictures) for name, pictures in sets.items()}
    order = [name for name in ("generated", "train", "unconditional") if name in features]
    distances = [frechet.distance(features["real"], features[name]) for name in order]
    coverages = [coverage(features["real"].float(), features[name].float()) for name in order]
    return [
        *metrics,
        _metric("frechet_unlearned", distances, lower_is_better=True),
        _metric("coverage", coverages),
    ]


def _accuracies(right: Sequence[Tensor], new: Tensor) -> list[Metric]:
    """Returns the accuracies of generated, real and, where there are any, unconditional faces.

    right: bool (N, traits) of each set. new: bool (N,), of which faces the pair of colours is new.
    """
    metrics = [
        _metric(f"{name}_right", [float(correct[:, n].double().mean()) for correct in right])
        for n, name in enumerate(TRAITS)
    ]
    metrics.append(_metric("attributes_right", [float(correct.double().mean()) for correct in right]))
    metrics.append(_metric("all_right", [float(correct.all(dim=1).double().mean()) for correct in right]))
    if new.any():
        metrics.append(_metric("new_pairs_right", [float(correct[new].double().mean()) for correct in right]))
    return metrics


def _metric(name: str, figures: Sequence[float], *, lower_is_better: bool = False) -> Metric:
    """Returns a metric of its value, its floor and, where there is one, its baseline."""
    value, floor, *rest = figures
    return Metric(name, value, floor, rest[0] if rest else None, lower_is_better=lower_is_better)


def _described(descriptions: Any, data: Pictures) -> Tensor:
    """Returns the true descriptions, int64 (N, traits)."""
    described: Tensor = descriptions.of_labels(torch.from_numpy(data.labels))
    return described


def _read(reader: Any, pictures: Tensor) -> Tensor:
    return torch.cat([reader.predict_traits(part) for part in torch.split(pictures, CHUNK_PICTURES)])
