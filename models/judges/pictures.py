"""Judges of classifiers, codes and likelihoods of pictures."""

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

CHUNK_PICTURES = 500
MAX_TRAINING_PICTURES = 10_000
FEW_LABELS = "digits-labels-only"
MAX_TEST_PICTURES = 2_000  # where a figure is expensive


@judges("classify", "picture")
def classification(subject: Subject) -> list[Metric]:
    """Judges the accuracy on test pictures, and the share of out-of-distribution inputs that are rejected.

    baseline of the accuracy: the nearest class mean. Of a semi-supervised model the accuracy is that of the
    likeliest class, as in the literature, even where "none" is likelier; and error_of_labels_only is its
    error over that of a model of the labels alone. Clothes are in no training set, not as "none" either.
    """
    train, test = (pictures(subject.source, split, subject.home) for split in ("train", "test"))
    probabilities = _in_chunks(subject.model.classify, test.tensor())
    answers = probabilities.argmax(dim=1).numpy()
    none = int(subject.model.config.classes)
    mode = np.bincount(train.labels).argmax()
    rejected = float((answers == none).mean())
    few = hasattr(subject.model.config, "labelled")
    predicted = probabilities[:, :none].argmax(dim=1).numpy() if few else answers
    metrics = [
        Metric(
            "accuracy",
            float((predicted == test.labels).mean()),
            floor=float((test.labels == mode).mean()),
            baseline=_nearest_mean(train, test),
        )
    ]
    if few and subject.model.config.adversarial and FEW_LABELS in registry.folders(subject.home):
        other_model: Any = registry.load(FEW_LABELS, subject.home)[0]
        baseline_classes = _in_chunks(other_model.classify, test.tensor())[:, :none].argmax(dim=1).numpy()
        share = (1 - metrics[0].value) / float((baseline_classes != test.labels).mean())
        metrics.append(Metric("error_of_labels_only", share, baseline=1.0, lower_is_better=True))
    rng = subject.rng()
    flat = test.tensor().flatten(1)
    shuffled = flat.gather(1, torch.rand(flat.shape, generator=rng).argsort(dim=1))
    out_of_distribution = {
        "noise_rejected": torch.rand(flat.shape, generator=rng),
        "shuffled_rejected": shuffled,
        "clothes_rejected": pictures("fashion", "test", subject.home).tensor().flatten(1),
    }
    for name, rows in out_of_distribution.items():
        shaped = rows.reshape(-1, *test.tensor().shape[1:])
        answers_to_others = _in_chunks(subject.model.classify, shaped).argmax(dim=1).numpy()
        metrics.append(Metric(name, float((answers_to_others == none).mean()), floor=rejected))
    return metrics


@judges("reconstruct", "picture")
def reconstruction(subject: Subject) -> list[Metric]:
    """Judges the squared reconstruction error of test pictures, beside as many principal components."""
    train, test = (
        pictures(subject.source, split, subject.home).tensor().flatten(1) for split in ("train", "test")
    )
    shape = (-1, *pictures(subject.source, "test", subject.home).tensor().shape[1:])
    reconstructed = _in_chunks(subject.model.reconstruct, test.reshape(shape)).flatten(1)
    code = subject.model.encode(test[:1].reshape(shape)).shape[1]
    mean, axes = principal_components(train, code)
    linear = mean + (test - mean) @ axes @ axes.T
    error, baseline = (
        float((output - test).square().sum(dim=1).mean()) for output in (reconstructed, linear)
    )
    return [
        Metric("squared_error", error, floor=0.0, baseline=baseline, lower_is_better=True),
        Metric("squared_error_of_pca", error / baseline, floor=0.0, baseline=1.0, lower_is_better=True),
    ]


@judges("encode", "picture")
def neighbourhoods(subject: Subject) -> list[Metric]:
    """Judges nearest neighbours by their labels.

    neighbour_accuracy: leave-one-out in the plane of t-SNE of the codes; baseline: of the pixels.
    nearest_neighbour: by the nearest training picture in codes; baseline: in pixels. Not judged where
    training has no picture of the test's labels.
    """
    test = pictures(subject.source, "test", subject.home).part(slice(MAX_TEST_PICTURES))
    training = pictures(subject.source, "train", subject.home).part(slice(MAX_TRAINING_PICTURES))
    if not np.isin(test.labels, training.labels).any():
        return []
    codes = _in_chunks(subject.model.encode, test.tensor())
    planes = plane(codes.numpy()), _plane_of_pixels(subject.source, subject.home)
    value, baseline = (_nearest_neighbour(rows, test.labels) for rows in planes)
    chance = float(np.square(np.bincount(test.labels) / len(test)).sum())
    nearest = [
        _label_of_nearest(rows, training.labels, queries, test.labels)
        for rows, queries in (
            (_in_chunks(subject.model.encode, training.tensor()), codes),
            (training.tensor().flatten(1), test.tensor().flatten(1)),
        )
    ]
    return [
        Metric("neighbour_accuracy", value, floor=chance, baseline=baseline),
        Metric("nearest_neighbour", nearest[0], floor=chance, baseline=nearest[1]),
    ]


@judges("nll", "picture")
def likelihood(subject: Subject) -> list[Metric]:
    """Judges nats a test picture with binarised pixels; of a model with latent codes also the ELBO.

    baseline: independent pixels with the frequencies of training; floor: none is known. Of a model with a
    palette: `_likelihood_of_colours`.
    """
    if hasattr(subject.model, "quantised"):
        return _likelihood_of_colours(subject)
    train, test = (
        pictures(subject.source, split, subject.home).tensor().flatten(1) for split in ("train", "test")
    )
    shape = pictures(subject.source, "test", subject.home).tensor().shape[1:]
    rng = subject.rng()
    subset = test[:MAX_TEST_PICTURES].reshape(-1, *shape)
    bound = torch.cat([subject.model.nll(part, rng) for part in torch.split(subset, 50)])
    share = train.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    generated = torch.bernoulli(test, generator=subject.rng())
    independent = -(generated * share.log() + (1 - generated) * (1 - share).log()).sum(dim=1).mean()
    metrics = [Metric("nats", float(bound.mean()), baseline=float(independent), lower_is_better=True)]
    if hasattr(subject.model, "elbo"):
        lower = float(subject.model.elbo(subset, subject.rng()).mean())
        metrics.append(Metric("nats_elbo", lower, baseline=float(independent), lower_is_better=True))
    return metrics


def _likelihood_of_colours(subject: Subject) -> list[Metric]:
    """Judges nats of the palette's colours. baseline: a mixture of copying the colour of the pixel before and
    of the colours' frequencies, both estimated from training."""
    train, test = (pictures(subject.source, split, subject.home).tensor() for split in ("train", "test"))
    train_colours, colours = (_in_chunks(subject.model.quantised, data) for data in (train, test))
    counts = torch.bincount(train_colours.flatten(), minlength=len(subject.model.palette)).double() + 1
    frequencies = counts / counts.sum()
    repeated = float((train_colours[:, 1:] == train_colours[:, :-1]).double().mean())
    # Some repetitions are by chance: the rest is copied.
    copied = (repeated - float(frequencies.square().sum())) / (1 - float(frequencies.square().sum()))
    probabilities = (1 - copied) * frequencies[colours]
    probabilities[:, 1:] += copied * (colours[:, 1:] == colours[:, :-1])
    copying = float(-probabilities.log().sum(dim=1).mean())
    nats = float(_in_chunks(lambda part: subject.model.nll(part, subject.rng()), test).mean())
    return [
        Metric("nats", nats, baseline=copying, lower_is_better=True),
        Metric("nats_of_copying", nats / copying, baseline=1.0, lower_is_better=True),
    ]


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the mean (D,) and the principal axes (D, count) of rows (N, D)."""
    mean = rows.mean(dim=0)
    return mean, torch.linalg.eigh((rows - mean).T @ (rows - mean))[1][:, -count:]


def plane(rows: NDArray[Any]) -> NDArray[Any]:
    """Returns t-SNE (van der Maaten and Hinton 2008) of rows (N, D) as (N, 2); two dimensions stay."""
    from sklearn.manifold import TSNE

    if rows.shape[1] == 2:
        return rows
    points: NDArray[Any] = TSNE(init="pca", random_state=0).fit_transform(rows)
    return points


@cache
def _plane_of_pixels(source: str, home: Path) -> NDArray[Any]:
    """Returns t-SNE of the pixels, which is the same for every model."""
    return plane(pictures(source, "test", home).part(slice(MAX_TEST_PICTURES)).tensor().flatten(1).numpy())


def _nearest_neighbour(rows: NDArray[Any], labels: NDArray[Any]) -> float:
    points = torch.from_numpy(rows).float()
    distances = torch.cdist(points, points).fill_diagonal_(float("inf"))
    return float((labels[distances.argmin(dim=1).numpy()] == labels).mean())


def _label_of_nearest(rows: Tensor, labels: NDArray[Any], queries: Tensor, targets: NDArray[Any]) -> float:
    nearest = torch.cdist(queries, rows).argmin(dim=1).numpy()
    return float((labels[nearest] == targets).mean())


def _nearest_mean(train: Pictures, test: Pictures) -> float:
    rows, queries = train.tensor().flatten(1), test.tensor().flatten(1)
    classes = np.unique(train.labels)
    means = torch.stack([rows[torch.from_numpy(train.labels == label)].mean(dim=0) for label in classes])
    nearest = torch.cdist(queries, means).argmin(dim=1).numpy()
    return float((classes[nearest] == test.labels).mean())


def _in_chunks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([function(chunk) for chunk in torch.split(rows, CHUNK_PICTURES)])
