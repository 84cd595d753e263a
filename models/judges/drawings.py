"""Judges of generated pictures: likeness to real ones, coverage of all modes, and novelty.

Sets of pictures are compared in features: those of a classifier of digits before its last layer, and those of
a network of random weights. A few good pictures repeated are near the real ones but do not cover them:
distance, coverage and the share of the rarest class are to be read together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from wordspot.models import frechet, registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets import ring
from wordspot.models.datasets.pictures import pictures
from wordspot.models.evaluation import Subject, judges
from wordspot.models.generators.cycle_gan import BACKWARD, FORWARD, outlines

SET_SIZE = 2_000  # pictures, equal for all sets so that all distances have the same bias
CHUNK_PICTURES = 250
NEIGHBOURS = 5  # nearest real pictures, the farthest of which bounds a neighbourhood
MIN_CONFIDENCE = 0.9
MODE_DEVIATIONS = 4.0  # radius of a mode, in its standard deviations
COMPLETIONS = 8
COPY_DISTANCE = 0.25  # to a training picture, of the median of real test pictures
READER = "digits-cnn"
PLAIN = "deep-autoencoder-30"
VARIATIONAL = "digits-vae"


@judges("sample", "picture")
def novelty(subject: Subject) -> list[Metric]:
    """Judges the share of samples that are distinct, and of copies: nearer to a training picture than a
    quarter of the median distance of real pictures. floor: real test pictures."""
    train, test = (pictures(subject.source, split, subject.home).tensor() for split in ("train", "test"))
    generated = _generated(subject.model)
    distances = _nearest_distances(subject.source, subject.home)
    near = COPY_DISTANCE * float(distances.median())

    def distinct(pictures: Tensor) -> float:
        return len(torch.unique(pictures.flatten(1), dim=0)) / len(pictures)

    def copied(distances: Tensor) -> float:
        return float((distances < near).double().mean())

    return [
        Metric("distinct", distinct(generated), floor=distinct(test[:SET_SIZE])),
        Metric("copied", copied(to_nearest(generated, train)), floor=copied(distances), lower_is_better=True),
    ]


@judges("sample", "picture")
def likeness(subject: Subject) -> list[Metric]:
    """Judges Fréchet distance, coverage, classes and sharpness of generated digits. Not judged without READER
    and PLAIN.

    floor: as many training pictures in place of the samples; baseline: samples of a normal distribution with
    the mean and covariance of the training pixels, for classes random codes of a plain auto-encoder.
    """
    if subject.source != "digits" or not {READER, PLAIN} <= registry.folders(subject.home).keys():
        return []
    sets = digits(subject.home)
    generated = _generated(subject.model)
    metrics = []
    for name, space in (("frechet", sets.features), ("frechet_unlearned", frechet.random_features)):
        value, floor, baseline = (
            frechet.distance(space(sets.test), space(pictures))
            for pictures in (generated, sets.train, sets.normal)
        )
        metrics.append(Metric(name, value, floor, baseline, lower_is_better=True))
    distance = metrics[0].value
    metrics.append(Metric("frechet_of_gaussian", distance / (metrics[0].baseline or 1), lower_is_better=True))
    if VARIATIONAL in registry.folders(subject.home):
        vae = _variational(subject.home)
        vae_distance = frechet.distance(sets.features(sets.test), sets.features(vae))
        metrics.append(Metric("frechet_of_vae", distance / vae_distance, baseline=1.0, lower_is_better=True))
        metrics.append(Metric("sharpness_of_vae", sharpness(generated) / sharpness(vae), baseline=1.0))
    real, features = sets.features(sets.test[:SET_SIZE]), sets.features(generated)
    metrics.append(
        Metric(
            "coverage",
            coverage(real, features),
            coverage(real, sets.features(sets.train)),
            coverage(real, sets.features(sets.normal)),
        )
    )
    plain = registry.load(PLAIN, subject.home)[0]
    for name, figure in (("read_as_digit", sets.confident), ("least_class", sets.least_class)):
        metrics.append(
            Metric(name, figure(generated), figure(sets.test), figure(samples(plain, subject.rng())))
        )
    metrics.append(Metric("sharpness", sharpness(generated) / sharpness(sets.test), floor=1.0))
    metrics.append(Metric("two_levels", _binary_share(generated), _binary_share(sets.test)))
    return [*metrics, *_energy(subject.model, sets), *_classes(subject, sets)]


def _energy(model: Any, sets: DigitSets) -> list[Metric]:
    """Judges the AUC by which an energy discriminator tells test digits from samples of the normal
    distribution. baseline: chance."""
    if not getattr(getattr(model, "objective", None), "energy", False):
        return []
    real, normal = (
        torch.cat([-model.discriminator(part) for part in torch.split(pictures, CHUNK_PICTURES)])
        for pictures in (sets.test[:SET_SIZE], sets.normal)
    )
    return [Metric("energy_auc", float((real[:, None] < normal).double().mean()), baseline=0.5)]


def _classes(subject: Subject, sets: DigitSets) -> list[Metric]:
    """Judges the accuracy of conditions: the share of digits classified as requested; of an unsupervised
    model the accuracy of its clusters under the best assignment of labels (Hungarian matching)."""
    model, home = subject.model, subject.home
    if hasattr(model, "clusters"):
        test = pictures(subject.source, "test", home)
        clusters = torch.cat([model.clusters(part) for part in torch.split(test.tensor(), CHUNK_PICTURES)])
        counts = torch.zeros(model.config.classes, model.config.classes)
        counts.index_put_((clusters, torch.from_numpy(test.labels)), torch.ones(()), accumulate=True)
        rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
        matched = float(counts[rows, columns].sum() / counts.sum())
        return [Metric("matched_kinds", matched, baseline=float(counts.sum(dim=0).max() / counts.sum()))]
    if "condition" not in model.options:
        return []
    classes = model.config.classes
    correct = []
    for label in range(classes):
        generated = model.sample(CHUNK_PICTURES, subject.rng(), condition=str(label))
        correct.append((sets.classes(generated).argmax(dim=1) == label).double().mean())
    return [Metric("asked_for", float(torch.stack(correct).mean()), baseline=1 / classes)]


def _binary_share(pictures: Tensor) -> float:
    """Returns the share of pixels that are black or white."""
    return float(((pictures == 0) | (pictures == 1)).double().mean())


@judges("sample", "picture")
def clouds(subject: Subject) -> list[Metric]:
    """Judges mode coverage of points on a ring: samples in the emptiest mode, and the share in no mode."""
    if subject.source != "ring":
        return []
    test = pictures("ring", "test", subject.home).tensor()[:SET_SIZE]
    centres = torch.from_numpy(ring.middles() / 255).float()

    def counts(pictures: Tensor) -> tuple[float, float]:
        near = torch.cdist(pictures.flatten(1), centres) <= MODE_DEVIATIONS * ring.SPREAD / 255
        return float(near.sum(dim=0).min()), float((~near.any(dim=1)).double().mean())

    generated, real = counts(_generated(subject.model)), counts(test)
    return [
        Metric("least_mode", generated[0], floor=real[0]),
        Metric("in_no_mode", generated[1], floor=real[1], lower_is_better=True),
    ]


@judges("translate", "picture")
def true_pairs(subject: Subject) -> list[Metric]:
    """Judges how often a translated test picture is nearer to its own counterpart than to all others.

    Training has no pairs. baseline: the picture itself in place of its translation.
    """
    test = pictures(subject.source, "test", subject.home).tensor()[:SET_SIZE]
    lines = outlines(test)

    def accuracy(outputs: Tensor, targets: Tensor) -> float:
        nearest = torch.cdist(outputs.flatten(1), targets.flatten(1)).argmin(dim=1)
        return float((nearest == torch.arange(len(outputs))).double().mean())

    outlined, filled = (
        torch.cat(
            [
                subject.model.translate(part, condition=direction)
                for part in torch.split(pictures, CHUNK_PICTURES)
            ]
        )
        for pictures, direction in ((test, FORWARD), (lines, BACKWARD))
    )
    return [
        Metric("true_pairs", accuracy(outlined, lines), baseline=accuracy(test, lines)),
        Metric("true_pairs_back", accuracy(filled, test), baseline=accuracy(lines, test)),
    ]


@judges("complete", "picture")
def completion(subject: Subject) -> list[Metric]:
    """Judges completions of the hidden lower half, and the lower three quarters, of test pictures.

    hidden_error: root mean squared error of the mean of COMPLETIONS completions; of an autoregressive model
    of colours also hidden_nats.

    baseline: the training picture that is nearest in the visible part. For nats a mixture of copying its
    colours and of the colours' frequencies, fitted on validation pictures.
    """
    train, validation, test = (
        pictures(subject.source, split, subject.home).tensor() for split in ("train", "validation", "test")
    )
    test, validation = test[:CHUNK_PICTURES], validation[:CHUNK_PICTURES]
    metrics = []
    for covered in (50, 75):
        visible_rows = test.shape[2] * (100 - covered) // 100
        known_mask = torch.zeros((len(test), 1, *test.shape[2:]), dtype=torch.bool)
        known_mask[:, :, :visible_rows] = True
        rng = subject.rng()
        completions = torch.stack([subject.model.complete(test, known_mask, rng) for _ in range(COMPLETIONS)])
        nearest = _nearest(test, train, visible_rows)
        error, baseline = (
            float((pictures - test)[:, :, visible_rows:].square().mean().sqrt())
            for pictures in (completions.mean(dim=0), nearest)
        )
        metrics += [
            Metric(f"hidden_error_{covered}", error, floor=0.0, baseline=baseline, lower_is_better=True),
            Metric(f"hidden_{covered}_of_nearest", error / baseline, baseline=1.0, lower_is_better=True),
        ]
        if hasattr(subject.model, "quantised"):
            pair = validation, _nearest(validation, train, visible_rows)
            frequencies, copied = _colour_model(subject.model, train, *pair, visible_rows)
            colours, nearest_colours = (
                _hidden_colours(subject.model, pictures, visible_rows) for pictures in (test, nearest)
            )
            probabilities = (1 - copied) * frequencies[colours] + copied * (colours == nearest_colours)
            copying = float(-probabilities.log().sum(dim=1).mean())
            nats = float(subject.model.pixel_nats(test)[:, visible_rows:].flatten(1).sum(dim=1).mean())
            metrics += [
                Metric(f"hidden_nats_{covered}", nats, baseline=copying, lower_is_better=True),
                Metric(f"nats_{covered}_of_nearest", nats / copying, baseline=1.0, lower_is_better=True),
            ]
    return metrics


def _nearest(pictures: Tensor, train: Tensor, visible_rows: int) -> Tensor:
    """Returns for each picture the training picture that is nearest in the first rows."""
    distances = torch.cdist(pictures[:, :, :visible_rows].flatten(1), train[:, :, :visible_rows].flatten(1))
    return train[distances.argmin(dim=1)]


def _hidden_colours(model: Any, pictures: Tensor, visible_rows: int) -> Tensor:
    """Returns the colours behind the first rows, int64 (N, pixels)."""
    colours: Tensor = model.quantised(pictures)
    return colours[:, visible_rows * pictures.shape[3] :]


def _colour_model(
    model: Any, train: Tensor, pictures: Tensor, nearest: Tensor, visible_rows: int
) -> tuple[Tensor, float]:
    """Returns the colours' frequencies, and the share of colours that are copied from the nearest picture."""
    counts = (
        torch.bincount(
            _hidden_colours(model, train, visible_rows).flatten(), minlength=len(model.palette)
        ).double()
        + 1
    )
    frequencies = counts / counts.sum()
    agreement = float(
        (_hidden_colours(model, pictures, visible_rows) == _hidden_colours(model, nearest, visible_rows))
        .double()
        .mean()
    )
    chance = float(frequencies.square().sum())
    return frequencies, max(0.0, (agreement - chance) / (1 - chance))


@dataclass(frozen=True)
class DigitSets:
    """Sets that generated digits are compared with, float (N, 1, H, W), 0 to 1.

    Attributes:
        train: SET_SIZE training digits.
        test: all test digits.
        normal: SET_SIZE samples of a normal distribution with the moments of training pixels.
        reader: a classifier of digits.
    """

    train: Tensor
    test: Tensor
    normal: Tensor
    reader: Any

    def features(self, pictures: Tensor) -> Tensor:
        """Returns features of the reader, float64 (N, D)."""
        return torch.cat(
            [self.reader.features(part).double() for part in torch.split(pictures, CHUNK_PICTURES)]
        )

    def confident(self, pictures: Tensor) -> float:
        """Returns the share of pictures that are some digit with MIN_CONFIDENCE."""
        return float((self.classes(pictures).amax(dim=1) >= MIN_CONFIDENCE).double().mean())

    def least_class(self, pictures: Tensor) -> float:
        """Returns the share of the rarest digit."""
        classes = self.classes(pictures)
        return float(torch.bincount(classes.argmax(dim=1), minlength=classes.shape[1]).min()) / len(pictures)

    def classes(self, pictures: Tensor) -> Tensor:
        """Returns probabilities of the digits, (N, 10), without that of none."""
        return torch.cat(
            [self.reader.classify(part)[:, :-1] for part in torch.split(pictures, CHUNK_PICTURES)]
        )


@cache
def digits(home: Path) -> DigitSets:
    """Returns the sets of digits, and loads the reader. Raises DatasetError, UnknownModel."""
    train, test = (pictures("digits", split, home).tensor() for split in ("train", "test"))
    rng = torch.Generator().manual_seed(0)
    flat = train.flatten(1)
    mean, spread = flat.mean(dim=0), flat.T.cov().double()
    values, axes = torch.linalg.eigh(spread)
    noise = torch.randn((SET_SIZE, len(values)), generator=rng, dtype=torch.float64)
    normal = mean + (noise * values.clamp_min(0).sqrt() @ axes.T).float()
    subset = train[torch.randperm(len(train), generator=rng)[:SET_SIZE]]
    reader: Any = registry.load(READER, home)[0]
    return DigitSets(subset, test, normal.clamp(0, 1).reshape(-1, *test.shape[1:]), reader)


@cache
def _variational(home: Path) -> Tensor:
    return samples(registry.load(VARIATIONAL, home)[0], torch.Generator().manual_seed(0))


@lru_cache(maxsize=1)
def _generated(model: Any) -> Tensor:
    return samples(model, torch.Generator().manual_seed(0))


@cache
def _nearest_distances(source: str, home: Path) -> Tensor:
    """Returns distances of real test pictures to the nearest training picture, (SET_SIZE,)."""
    train, test = (pictures(source, split, home).tensor() for split in ("train", "test"))
    return to_nearest(test[:SET_SIZE], train)


def samples(model: Any, rng: torch.Generator, count: int = SET_SIZE) -> Tensor:
    """Returns samples of a model, (count, C, H, W), generated in chunks."""
    return torch.cat(
        [model.sample(min(CHUNK_PICTURES, count - at), rng) for at in range(0, count, CHUNK_PICTURES)]
    )


def coverage(real: Tensor, generated: Tensor) -> float:
    """Returns the share of real pictures with a generated one in their neighbourhood (Naeem et al. 2020).

    real, generated: features (N, D).
    """
    # The nearest is the picture itself.
    radii = torch.cdist(real, real).kthvalue(NEIGHBOURS + 1, dim=1).values
    return float((torch.cdist(real, generated).amin(dim=1) <= radii).double().mean())


def to_nearest(pictures: Tensor, train: Tensor) -> Tensor:
    """Returns the Euclidean distance of each picture to the nearest training picture, (N,)."""
    training = train.flatten(1)
    return torch.cat(
        [torch.cdist(part.flatten(1), training).amin(dim=1) for part in torch.split(pictures, CHUNK_PICTURES)]
    )


def sharpness(pictures: Tensor) -> float:
    """Returns the standard deviation of the discrete Laplacian of pictures (N, C, H, W)."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    return float(torch.nn.functional.conv2d(pictures.flatten(0, 1)[:, None], kernel).std())
