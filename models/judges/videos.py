"""Judges of models that predict clips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wordspot.models import registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets.moving_digits import Motion, entropy, moving_digits
from wordspot.models.datasets.source import Split
from wordspot.models.evaluation import Subject, judges

LIKELIHOOD_CLIPS = 512
COMPLETED_CLIPS = 64
CHUNK_CLIPS = 32
ALONE = "moving-digits-alone"


@judges("nll", "video")
def likelihood(subject: Subject) -> list[Metric]:
    """Judges nats a frame of binarised test clips after the given frames.

    floor: the entropy of binarisation, which is left when the digits and their positions are known exactly
    (the bound of Kalchbrenner et al. 2016). baseline: a decoder that ignores the past; where there is none,
    and for itself, independent pixels with the frequencies of training.
    """
    given_frames = int(subject.model.config.seen)
    test = clips(subject, "test", LIKELIHOOD_CLIPS)
    floor = float(entropy(test[:, given_frames:]).mean())
    value = _nats(subject.model, test, subject)
    compared = subject.card.name != ALONE and ALONE in registry.folders(subject.home)
    if compared:
        baseline = _nats(registry.load(ALONE, subject.home)[0], test, subject)
    else:
        share = clips(subject, "train", LIKELIHOOD_CLIPS).mean(dim=(0, 1)).clamp(1e-3, 1 - 1e-3)
        future = test[:, given_frames:]
        nats = -(future * share.log() + (1 - future) * (1 - share).log())
        baseline = float(nats.flatten(2).sum(dim=2).mean())
    metrics = [
        Metric("nats_a_frame", value, floor=floor, baseline=baseline, lower_is_better=True),
        Metric("nats_over_bound", value / floor, floor=1.0, baseline=baseline / floor, lower_is_better=True),
    ]
    if compared:
        metrics.append(Metric("nats_below_alone", baseline - value, floor=0.0))
    return metrics


@judges("complete", "video")
def prediction(subject: Subject) -> list[Metric]:
    """Judges the squared error a frame between predicted frames and the true grey of test clips.

    floor: the binarised truth, as of perfect knowledge. baseline: the last given frame repeated.
    """
    given_frames = int(subject.model.config.seen)
    test = clips(subject, "test", COMPLETED_CLIPS)
    known_mask = (torch.arange(test.shape[1]) < given_frames).expand(test.shape[:2])
    generated = subject.model.complete(test, known_mask, subject.rng())
    true = torch.bernoulli(test, generator=subject.rng())
    still = test[:, given_frames - 1 : given_frames].expand_as(test)
    errors = [
        (clips - test)[:, given_frames:].square().flatten(2).sum(dim=2).mean(dim=0)
        for clips in (generated, true, still)
    ]
    metrics = []
    for name, part in (("squared_error", slice(None)), ("squared_error_of_last_frame", slice(-1, None))):
        value, floor, baseline = (float(error[part].mean()) for error in errors)
        metrics.append(Metric(name, value, floor=floor, baseline=baseline, lower_is_better=True))
    return metrics


def clips(subject: Subject, split: Split, count: int) -> Tensor:
    """Returns clips with the motion that the subject learned from, (count, T, 1, H, W), 0 to 1."""
    motion = Motion(**subject.card.data["motion"])
    return moving_digits(split, subject.home, motion).clips(0, count)


def _nats(model: Any, test: Tensor, subject: Subject) -> float:
    rng = subject.rng()
    nats = torch.cat([model.nll(part, rng) for part in torch.split(test, CHUNK_CLIPS)])
    return float(nats.mean()) / (test.shape[1] - int(model.config.seen))
