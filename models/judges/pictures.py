"""Judges of models that see or draw pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets.pictures import Pictures, pictures
from wordspot.models.evaluation import Subject, judges

CHUNK = 500
MANY_KNOWN = 10_000
FEW_LABELS = "digits-labels-only"
CLOSE_LOOK = 2_000  # pictures, where a figure takes long


@judges("classify", "picture")
def classification(subject: Subject) -> list[Metric]:
    """Accuracy on all test pictures, and how much is rejected that is no picture of the kind.

    baseline of the accuracy: the nearest mean of a class. Of what learned from few labels the accuracy is
    that of the likeliest class, as in the literature, even where "none" is likelier, and where it saw
    pictures beside them there is also its error, as a share of that from the labels alone. Clothes were never
    shown, neither as pictures nor as none.
    """
    train, test = (pictures(subject.source, split, subject.home) for split in ("train", "test"))
    chances = _by_chunks(subject.model.classify, test.tensor())
    answers = chances.argmax(dim=1).numpy()
    none = int(subject.model.config.classes)
    common = np.bincount(train.labels).argmax()
    rejected = float((answers == none).mean())
    few = hasattr(subject.model.config, "labelled")
    named = chances[:, :none].argmax(dim=1).numpy() if few else answers
    found = [
        Metric(
            "accuracy",
            float((named == test.labels).mean()),
            floor=float((test.labels == common).mean()),
            baseline=_nearest_mean(train, test),
        )
    ]
    if few and subject.model.config.adversarial and FEW_LABELS in registry.folders(subject.home):
        told: Any = registry.load(FEW_LABELS, subject.home)[0]
        other = _by_chunks(told.classify, test.tensor())[:, :none].argmax(dim=1).numpy()
        share = (1 - found[0].value) / float((other != test.labels).mean())
        found.append(Metric("error_of_labels_only", share, baseline=1.0, lower_is_better=True))
    rng = subject.rng()
    flat = test.tensor().flatten(1)
    shuffled = flat.gather(1, torch.rand(flat.shape, generator=rng).argsort(dim=1))
    others = {
        "noise_rejected": torch.rand(flat.shape, generator=rng),
        "shuffled_rejected": shuffled,
        "clothes_rejected": pictures("fashion", "test", subject.home).tensor().flatten(1),
    }
    for name, some in others.items():
        shaped = some.reshape(-1, *test.tensor().shape[1:])
        seen = _by_chunks(subject.model.classify, shaped).argmax(dim=1).numpy()
        found.append(Metric(name, float((seen == none).mean()), floor=rejected))
    return found


@judges("reconstruct", "picture")
def reconstruction(subject: Subject) -> list[Metric]:
    """Squared error a test picture, over that of as many principal components of the training pictures."""
    train, test = (
        pictures(subject.source, split, subject.home).tensor().flatten(1) for split in ("train", "test")
    )
    shape = (-1, *pictures(subject.source, "test", subject.home).tensor().shape[1:])
    back = _by_chunks(subject.model.reconstruct, test.reshape(shape)).flatten(1)
    code = subject.model.encode(test[:1].reshape(shape)).shape[1]
    mean, axes = principal_components(train, code)
    linear = mean + (test - mean) @ axes @ axes.T
    error, baseline = (float((one - test).square().sum(dim=1).mean()) for one in (back, linear))
    return [
        Metric("squared_error", error, floor=0.0, baseline=baseline, lower_is_better=True),
        Metric("squared_error_of_pca", error / baseline, floor=0.0, baseline=1.0, lower_is_better=True),
    ]


@judges("encode", "picture")
def neighbourhoods(subject: Subject) -> list[Metric]:
    """Leave-one-out accuracy of the nearest neighbour in a plane: t-SNE of the code, beside the pixels'. And
    accuracy of the nearest training picture's label, by codes and by pixels. Not judged where training has no
    picture of the test's labels."""
    test = pictures(subject.source, "test", subject.home).part(slice(CLOSE_LOOK))
    known = pictures(subject.source, "train", subject.home).part(slice(MANY_KNOWN))
    if not np.isin(test.labels, known.labels).any():
        return []
    codes = _by_chunks(subject.model.encode, test.tensor())
    planes = plane(codes.numpy()), _plane_of_pixels(subject.source, subject.home)
    value, baseline = (_nearest_neighbour(rows, test.labels) for rows in planes)
    chance = float(np.square(np.bincount(test.labels) / len(test)).sum())
    nearest = [
        _label_of_nearest(rows, known.labels, asked, test.labels)
        for rows, asked in (
            (_by_chunks(subject.model.encode, known.tensor()), codes),
            (known.tensor().flatten(1), test.tensor().flatten(1)),
        )
    ]
    return [
        Metric("neighbour_accuracy", value, floor=chance, baseline=baseline),
        Metric("nearest_neighbour", nearest[0], floor=chance, baseline=nearest[1]),
    ]


@judges("nll", "picture")
def likelihood(subject: Subject) -> list[Metric]:
    """Nats a test picture, its pixels drawn black or white; of a model with latent codes also by the evidence
    lower bound. floor: none can be given; baseline: each pixel by itself, as often white as in training.

    Of a model with a palette: of the palette's colours, see `_likelihood_of_colours`.
    """
    if hasattr(subject.model, "quantised"):
        return _likelihood_of_colours(subject)
    train, test = (
        pictures(subject.source, split, subject.home).tensor().flatten(1) for split in ("train", "test")
    )
    shape = pictures(subject.source, "test", subject.home).tensor().shape[1:]
    rng = subject.rng()
    some = test[:CLOSE_LOOK].reshape(-1, *shape)
    bound = torch.cat([subject.model.nll(part, rng) for part in torch.split(some, 50)])
    share = train.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    drawn = torch.bernoulli(test, generator=subject.rng())
    alone = -(drawn * share.log() + (1 - drawn) * (1 - share).log()).sum(dim=1).mean()
    found = [Metric("nats", float(bound.mean()), baseline=float(alone), lower_is_better=True)]
    if hasattr(subject.model, "elbo"):
        lower = float(subject.model.elbo(some, subject.rng()).mean())
        found.append(Metric("nats_elbo", lower, baseline=float(alone), lower_is_better=True))
    return found


def _likelihood_of_colours(subject: Subject) -> list[Metric]:
    """baseline: the colour of the pixel before with some chance, else any, both as often as in training."""
    train, test = (pictures(subject.source, split, subject.home).tensor() for split in ("train", "test"))
    seen, asked = (_by_chunks(subject.model.quantised, some) for some in (train, test))
    counts = torch.bincount(seen.flatten(), minlength=len(subject.model.palette)).double() + 1
    usual = counts / counts.sum()
    again = float((seen[:, 1:] == seen[:, :-1]).double().mean())
    # Of a repeated colour some are by chance: what is copied is the rest.
    kept = (again - float(usual.square().sum())) / (1 - float(usual.square().sum()))
    chances = (1 - kept) * usual[asked]
    chances[:, 1:] += kept * (asked[:, 1:] == asked[:, :-1])
    copying = float(-chances.log().sum(dim=1).mean())
    nats = float(_by_chunks(lambda part: subject.model.nll(part, subject.rng()), test).mean())
    return [
        Metric("nats", nats, baseline=copying, lower_is_better=True),
        Metric("nats_of_copying", nats / copying, baseline=1.0, lower_is_better=True),
    ]


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and principal axes (D, count) of rows (N, D)."""
    mean = rows.mean(dim=0)
    return mean, torch.linalg.eigh((rows - mean).T @ (rows - mean))[1][:, -count:]


def plane(rows: NDArray[Any]) -> NDArray[Any]:
    """t-SNE (van der Maaten and Hinton 2008) of rows (N, D): (N, 2). Two dimensions are left as they are."""
    from sklearn.manifold import TSNE

    if rows.shape[1] == 2:
        return rows
    found: NDArray[Any] = TSNE(init="pca", random_state=0).fit_transform(rows)
    return found


@cache
def _plane_of_pixels(source: str, home: Path) -> NDArray[Any]:
    """The same for every model of these pictures."""
    return plane(pictures(source, "test", home).part(slice(CLOSE_LOOK)).tensor().flatten(1).numpy())


def _nearest_neighbour(rows: NDArray[Any], labels: NDArray[Any]) -> float:
    points = torch.from_numpy(rows).float()
    distances = torch.cdist(points, points).fill_diagonal_(float("inf"))
    return float((labels[distances.argmin(dim=1).numpy()] == labels).mean())


def _label_of_nearest(known: Tensor, labels: NDArray[Any], asked: Tensor, wanted: NDArray[Any]) -> float:
    found = torch.cdist(asked, known).argmin(dim=1).numpy()
    return float((labels[found] == wanted).mean())


def _nearest_mean(train: Pictures, test: Pictures) -> float:
    known, asked = train.tensor().flatten(1), test.tensor().flatten(1)
    classes = np.unique(train.labels)
    means = torch.stack([known[torch.from_numpy(train.labels == label)].mean(dim=0) for label in classes])
    nearest = torch.cdist(asked, means).argmin(dim=1).numpy()
    return float((classes[nearest] == test.labels).mean())


def _by_chunks(function: Callable[[Tensor], Tensor], some: Tensor) -> Tensor:
    return torch.cat([function(chunk) for chunk in torch.split(some, CHUNK)])
