"""Judges of models that go on with clips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wordspot.models import registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets.moving_digits import Motion, entropy, moving_digits
from wordspot.models.datasets.pictures import Split
from wordspot.models.evaluation import Subject, judges

CLIPS = 512
COMPLETED = 64
CHUNK = 32
ALONE = "moving-digits-alone"


@judges("nll", "video")
def likelihood(subject: Subject) -> list[Metric]:
    """Nats a frame of test clips after the seen ones, which are drawn black or white.

    floor: the entropy of this drawing, which is left when the digits' looks and places are known exactly
    (the bound of Kalchbrenner et al. 2016). baseline: a decoder that ignores the past; where there is none,
    and for itself, each pixel by itself, as often white as in training.
    """
    seen = int(subject.model.config.seen)
    test = clips(subject, "test", CLIPS)
    floor = float(entropy(test[:, seen:]).mean())
    value = _nats(subject.model, test, subject)
    compared = subject.card.name != ALONE and ALONE in registry.folders(subject.home)
    if compared:
        baseline = _nats(registry.load(ALONE, subject.home)[0], test, subject)
    else:
        share = clips(subject, "train", CLIPS).mean(dim=(0, 1)).clamp(1e-3, 1 - 1e-3)
        future = test[:, seen:]
        nats = -(future * share.log() + (1 - future) * (1 - share).log())
        baseline = float(nats.flatten(2).sum(dim=2).mean())
    found = [
        Metric("nats_a_frame", value, floor=floor, baseline=baseline, lower_is_better=True),
        Metric("nats_over_bound", value / floor, floor=1.0, baseline=baseline / floor, lower_is_better=True),
    ]
    if compared:
        found.append(Metric("nats_below_alone", baseline - value, floor=0.0))
    return found


@judges("complete", "video")
def prediction(subject: Subject) -> list[Metric]:
    """Squared error a frame between what is drawn after the seen frames and the true grey of test clips.

    floor: the truth itself, drawn black or white, as by one who knows looks, velocities and walls. baseline:
    the last seen frame over again.
    """
    seen = int(subject.model.config.seen)
    test = clips(subject, "test", COMPLETED)
    known = (torch.arange(test.shape[1]) < seen).expand(test.shape[:2])
    drawn = subject.model.complete(test, known, subject.rng())
    true = torch.bernoulli(test, generator=subject.rng())
    still = test[:, seen - 1 : seen].expand_as(test)
    errors = [
        (one - test)[:, seen:].square().flatten(2).sum(dim=2).mean(dim=0) for one in (drawn, true, still)
    ]
    found = []
    for name, part in (("squared_error", slice(None)), ("squared_error_of_last_frame", slice(-1, None))):
        value, floor, baseline = (float(error[part].mean()) for error in errors)
        found.append(Metric(name, value, floor=floor, baseline=baseline, lower_is_better=True))
    return found


def clips(subject: Subject, split: Split, count: int) -> Tensor:
    """Of the kind that the subject learned from, (count, T, 1, H, W)."""
    motion = Motion(**subject.card.data["motion"])
    return moving_digits(split, subject.home, motion).clips(0, count)


def _nats(model: Any, test: Tensor, subject: Subject) -> float:
    rng = subject.rng()
    found = torch.cat([model.nll(part, rng) for part in torch.split(test, CHUNK)])
    return float(found.mean()) / (test.shape[1] - int(model.config.seen))
