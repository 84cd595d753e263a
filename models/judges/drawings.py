"""Judges of drawn pictures: are they like real ones, of all kinds, and not copied?

A set of pictures is seen through features: those of the reader of digits before its last layer, and those of
a network that never learned anything. A few good pictures again and again are near the real ones but do not
cover them: distance, coverage and the share of the rarest class are to be read together.
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

MANY = 2_000  # pictures of a set, so that all distances have the same bias
AT_ONCE = 250
NEIGHBOURS = 5  # whose farthest bounds the surroundings of a real picture
SURE = 0.9
REACH = 4.0  # of a cloud, in its standard deviations
ANSWERS = 8
TOO_NEAR = 0.25  # to a training picture, of the usual distance of a real one
READER = "digits-cnn"
PLAIN = "deep-autoencoder-30"
VARIATIONAL = "digits-vae"


@judges("sample", "picture")
def novelty(subject: Subject) -> list[Metric]:
    """How many samples differ from one another and how many are copies of training pictures: nearer to one
    than a quarter of the distance that is usual for real pictures. floor: real test pictures."""
    train, test = (pictures(subject.source, split, subject.home).tensor() for split in ("train", "test"))
    drawn = _drawn(subject.model)
    usual = _usual(subject.source, subject.home)
    near = TOO_NEAR * float(usual.median())

    def distinct(some: Tensor) -> float:
        return len(torch.unique(some.flatten(1), dim=0)) / len(some)

    def copied(distances: Tensor) -> float:
        return float((distances < near).double().mean())

    return [
        Metric("distinct", distinct(drawn), floor=distinct(test[:MANY])),
        Metric("copied", copied(to_nearest(drawn, train)), floor=copied(usual), lower_is_better=True),
    ]


@judges("sample", "picture")
def likeness(subject: Subject) -> list[Metric]:
    """Frechet distance, coverage, classes and sharpness of drawn digits. Not judged without the models that
    it takes, nor where there are too few test pictures.

    floor: as many training pictures in place of the samples; baseline: samples of a normal distribution with
    the mean and covariance of the training pixels, for being read as a digit random codes of a plain
    auto-encoder.
    """
    if subject.source != "digits" or not {READER, PLAIN} <= registry.folders(subject.home).keys():
        return []
    sets = digits(subject.home)
    drawn = _drawn(subject.model)
    found = []
    for name, space in (("frechet", sets.read), ("frechet_unlearned", frechet.random_features)):
        value, floor, baseline = (
            frechet.distance(space(sets.test), space(some)) for some in (drawn, sets.train, sets.normal)
        )
        found.append(Metric(name, value, floor, baseline, lower_is_better=True))
    distance = found[0].value
    found.append(Metric("frechet_of_gaussian", distance / (found[0].baseline or 1), lower_is_better=True))
    if VARIATIONAL in registry.folders(subject.home):
        vae = _variational(subject.home)
        usual = frechet.distance(sets.read(sets.test), sets.read(vae))
        found.append(Metric("frechet_of_vae", distance / usual, baseline=1.0, lower_is_better=True))
        found.append(Metric("sharpness_of_vae", sharpness(drawn) / sharpness(vae), baseline=1.0))
    real, seen = sets.read(sets.test[:MANY]), sets.read(drawn)
    found.append(
        Metric(
            "coverage",
            coverage(real, seen),
            coverage(real, sets.read(sets.train)),
            coverage(real, sets.read(sets.normal)),
        )
    )
    plain = registry.load(PLAIN, subject.home)[0]
    for name, figure in (("read_as_digit", sets.legible), ("least_class", sets.least_class)):
        found.append(Metric(name, figure(drawn), figure(sets.test), figure(samples(plain, subject.rng()))))
    found.append(Metric("sharpness", sharpness(drawn) / sharpness(sets.test), floor=1.0))
    found.append(Metric("two_levels", _two_levels(drawn), _two_levels(sets.test)))
    return [*found, *_of_energies(subject.model, sets), *_of_classes(subject, sets)]


def _of_energies(model: Any, sets: Digits) -> list[Metric]:
    """Of a discriminator that gives energies: how often a test digit has less than a drawing of the normal
    distribution. baseline: chance."""
    if not getattr(getattr(model, "objective", None), "energy", False):
        return []
    real, other = (
        torch.cat([-model.discriminator(part) for part in torch.split(some, AT_ONCE)])
        for some in (sets.test[:MANY], sets.normal)
    )
    return [Metric("energy_auc", float((real[:, None] < other).double().mean()), baseline=0.5)]


def _of_classes(subject: Subject, sets: Digits) -> list[Metric]:
    """Whether a digit is read as the one that was asked for; of kinds that nobody named, how many test digits
    are sorted rightly with the best of all names for the kinds (Hungarian matching)."""
    model, home = subject.model, subject.home
    if hasattr(model, "clusters"):
        test = pictures(subject.source, "test", home)
        kinds = torch.cat([model.clusters(part) for part in torch.split(test.tensor(), AT_ONCE)])
        counts = torch.zeros(model.config.classes, model.config.classes)
        counts.index_put_((kinds, torch.from_numpy(test.labels)), torch.ones(()), accumulate=True)
        rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
        matched = float(counts[rows, columns].sum() / counts.sum())
        return [Metric("matched_kinds", matched, baseline=float(counts.sum(dim=0).max() / counts.sum()))]
    if "condition" not in model.options:
        return []
    classes = model.config.classes
    right = []
    for label in range(classes):
        drawn = model.sample(AT_ONCE, subject.rng(), condition=str(label))
        right.append((sets.classes(drawn).argmax(dim=1) == label).double().mean())
    return [Metric("asked_for", float(torch.stack(right).mean()), baseline=1 / classes)]


def _two_levels(some: Tensor) -> float:
    """Share of pixels that are black or white."""
    return float(((some == 0) | (some == 1)).double().mean())


@judges("sample", "picture")
def clouds(subject: Subject) -> list[Metric]:
    """Of points on a ring: how many of MANY lie in the emptiest cloud, and the share that lies in none."""
    if subject.source != "ring":
        return []
    test = pictures("ring", "test", subject.home).tensor()[:MANY]
    middles = torch.from_numpy(ring.middles() / 255).float()

    def counted(some: Tensor) -> tuple[float, float]:
        near = torch.cdist(some.flatten(1), middles) <= REACH * ring.SPREAD / 255
        return float(near.sum(dim=0).min()), float((~near.any(dim=1)).double().mean())

    found, real = counted(_drawn(subject.model)), counted(test)
    return [
        Metric("least_mode", found[0], floor=real[0]),
        Metric("in_no_mode", found[1], floor=real[1], lower_is_better=True),
    ]


@judges("translate", "picture")
def true_pairs(subject: Subject) -> list[Metric]:
    """How often a translated test picture is nearer to its own counterpart than to those of all others.

    Training never showed the two together. baseline: the picture itself in place of its translation.
    """
    test = pictures(subject.source, "test", subject.home).tensor()[:MANY]
    lines = outlines(test)

    def found(some: Tensor, wanted: Tensor) -> float:
        nearest = torch.cdist(some.flatten(1), wanted.flatten(1)).argmin(dim=1)
        return float((nearest == torch.arange(len(some))).double().mean())

    there, back = (
        torch.cat([subject.model.translate(part, condition=way) for part in torch.split(some, AT_ONCE)])
        for some, way in ((test, FORWARD), (lines, BACKWARD))
    )
    return [
        Metric("true_pairs", found(there, lines), baseline=found(test, lines)),
        Metric("true_pairs_back", found(back, test), baseline=found(lines, test)),
    ]


@judges("complete", "picture")
def completions(subject: Subject) -> list[Metric]:
    """Of the hidden lower half, and the lower three quarters, of test pictures: the root mean squared error
    of what a model expects, the mean of ANSWERS completions. Of one that draws colours pixel after pixel also
    the nats of the hidden part.

    baseline: the training picture that is nearest in what is shown. For nats each of its colours is kept with
    the chance that it has in validation pictures, else any is drawn, as often as in training.
    """
    train, validation, test = (
        pictures(subject.source, split, subject.home).tensor() for split in ("train", "validation", "test")
    )
    test, validation = test[:AT_ONCE], validation[:AT_ONCE]
    found = []
    for covered in (50, 75):
        shown = test.shape[2] * (100 - covered) // 100
        known = torch.zeros((len(test), 1, *test.shape[2:]), dtype=torch.bool)
        known[:, :, :shown] = True
        rng = subject.rng()
        answers = torch.stack([subject.model.complete(test, known, rng) for _ in range(ANSWERS)])
        nearest = _nearest(test, train, shown)
        error, baseline = (
            float((some - test)[:, :, shown:].square().mean().sqrt())
            for some in (answers.mean(dim=0), nearest)
        )
        found += [
            Metric(f"hidden_error_{covered}", error, floor=0.0, baseline=baseline, lower_is_better=True),
            Metric(f"hidden_{covered}_of_nearest", error / baseline, baseline=1.0, lower_is_better=True),
        ]
        if hasattr(subject.model, "quantised"):
            pair = validation, _nearest(validation, train, shown)
            usual, kept = _colours(subject.model, train, *pair, shown)
            asked, near = (_hidden(subject.model, some, shown) for some in (test, nearest))
            chances = (1 - kept) * usual[asked] + kept * (asked == near)
            copying = float(-chances.log().sum(dim=1).mean())
            nats = float(subject.model.pixel_nats(test)[:, shown:].flatten(1).sum(dim=1).mean())
            found += [
                Metric(f"hidden_nats_{covered}", nats, baseline=copying, lower_is_better=True),
                Metric(f"nats_{covered}_of_nearest", nats / copying, baseline=1.0, lower_is_better=True),
            ]
    return found


def _nearest(some: Tensor, train: Tensor, shown: int) -> Tensor:
    """For each picture the training picture that is nearest in the first rows."""
    apart = torch.cdist(some[:, :, :shown].flatten(1), train[:, :, :shown].flatten(1))
    return train[apart.argmin(dim=1)]


def _hidden(model: Any, some: Tensor, shown: int) -> Tensor:
    """The colours behind the first rows, (N, pixels)."""
    colours: Tensor = model.quantised(some)
    return colours[:, shown * some.shape[3] :]


def _colours(model: Any, train: Tensor, some: Tensor, nearest: Tensor, shown: int) -> tuple[Tensor, float]:
    """How often each colour is used, and how much more often than by chance one is its neighbour's."""
    counts = torch.bincount(_hidden(model, train, shown).flatten(), minlength=len(model.palette)).double() + 1
    usual = counts / counts.sum()
    alike = float((_hidden(model, some, shown) == _hidden(model, nearest, shown)).double().mean())
    chance = float(usual.square().sum())
    return usual, max(0.0, (alike - chance) / (1 - chance))


@dataclass(frozen=True)
class Digits:
    """What drawn digits are compared with. train: MANY of them. reader: a classifier."""

    train: Tensor
    test: Tensor
    normal: Tensor
    reader: Any

    def read(self, some: Tensor) -> Tensor:
        """Features of the reader, double precision."""
        return torch.cat([self.reader.features(part).double() for part in torch.split(some, AT_ONCE)])

    def legible(self, some: Tensor) -> float:
        """How many are surely some digit."""
        return float((self.classes(some).amax(dim=1) >= SURE).double().mean())

    def least_class(self, some: Tensor) -> float:
        """Share of the rarest digit."""
        classes = self.classes(some)
        return float(torch.bincount(classes.argmax(dim=1), minlength=classes.shape[1]).min()) / len(some)

    def classes(self, some: Tensor) -> Tensor:
        """Probabilities (N, 10), without that of what is none."""
        return torch.cat([self.reader.classify(part)[:, :-1] for part in torch.split(some, AT_ONCE)])


@cache
def digits(home: Path) -> Digits:
    train, test = (pictures("digits", split, home).tensor() for split in ("train", "test"))
    rng = torch.Generator().manual_seed(0)
    flat = train.flatten(1)
    mean, spread = flat.mean(dim=0), flat.T.cov().double()
    values, axes = torch.linalg.eigh(spread)
    noise = torch.randn((MANY, len(values)), generator=rng, dtype=torch.float64)
    normal = mean + (noise * values.clamp_min(0).sqrt() @ axes.T).float()
    some = train[torch.randperm(len(train), generator=rng)[:MANY]]
    reader: Any = registry.load(READER, home)[0]
    return Digits(some, test, normal.clamp(0, 1).reshape(-1, *test.shape[1:]), reader)


@cache
def _variational(home: Path) -> Tensor:
    return samples(registry.load(VARIATIONAL, home)[0], torch.Generator().manual_seed(0))


@lru_cache(maxsize=1)
def _drawn(model: Any) -> Tensor:
    return samples(model, torch.Generator().manual_seed(0))


@cache
def _usual(source: str, home: Path) -> Tensor:
    """From real test pictures to the nearest training picture, (MANY,)."""
    train, test = (pictures(source, split, home).tensor() for split in ("train", "test"))
    return to_nearest(test[:MANY], train)


def samples(model: Any, rng: torch.Generator, count: int = MANY) -> Tensor:
    """(count, C, H, W), drawn in parts."""
    return torch.cat([model.sample(min(AT_ONCE, count - at), rng) for at in range(0, count, AT_ONCE)])


def coverage(real: Tensor, drawn: Tensor) -> float:
    """Share of real pictures with a drawn one in their surroundings (Naeem et al. 2020); features (N, D)."""
    # The nearest is the picture itself.
    reach = torch.cdist(real, real).kthvalue(NEIGHBOURS + 1, dim=1).values
    return float((torch.cdist(real, drawn).amin(dim=1) <= reach).double().mean())


def to_nearest(some: Tensor, train: Tensor) -> Tensor:
    """Euclidean distance of each picture to the nearest training picture, (N,)."""
    known = train.flatten(1)
    return torch.cat([torch.cdist(part.flatten(1), known).amin(dim=1) for part in torch.split(some, AT_ONCE)])


def sharpness(some: Tensor) -> float:
    """some: (N, C, H, W). Standard deviation of the discrete Laplacian."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    return float(torch.nn.functional.conv2d(some.flatten(0, 1)[:, None], kernel).std())
