"""Evaluation of models on held-out data, with a floor and a baseline beside each figure.

    figures = evaluate("digits-cnn", home)

A judge evaluates one capability of one modality; a model is evaluated by all judges of its capabilities.
Thresholds are the artifact's own: they were fixed when it was trained, and stand in its card.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from wordspot.models import registry
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.model import Model

PACKAGE = "wordspot.models.judges"


@dataclass(frozen=True)
class Subject:
    """What a judge evaluates.

    Attributes:
        model: a Model with the methods that its capabilities name.
        card: of its artifact.
        home: state folder, to which data is fetched.
    """

    model: Any
    card: ArtifactCard
    home: Path

    @property
    def source(self) -> str:
        """The data source that the model was trained on."""
        return str(self.card.data["source"])

    def rng(self) -> Generator:
        """Returns a new generator of random numbers with seed 0."""
        return torch.Generator().manual_seed(0)


Judge = Callable[[Subject], list[Metric]]
_JUDGES: dict[tuple[str, str], list[Judge]] = {}


def judges(capability: str, modality: str) -> Callable[[Judge], Judge]:
    """Registers the decorated judge for models with the capability and the modality."""

    def register(judge: Judge) -> Judge:
        _JUDGES.setdefault((capability, modality), []).append(judge)
        return judge

    return register


def evaluate(name: str, home: Path) -> list[Metric]:
    """Returns the figures of a model by all its judges.

    Args:
        name: as `registry.find` takes it.
        home: state folder.

    Raises:
        UnknownModel, DamagedArtifact: the model cannot be found or loaded.
        MissingWeights: weights or libraries that it needs are missing.
        DatasetError: held-out data cannot be fetched.
    """
    model, card = registry.load(name, home)
    return measure(model, card, home)


@torch.inference_mode()
def measure(model: Model[Any], card: ArtifactCard, home: Path) -> list[Metric]:
    """Returns the figures as `evaluate` of a loaded model; thresholds are those of the card's metrics."""
    _load_judges()
    subject = Subject(model, card, home)
    thresholds = {metric.name: metric.threshold for metric in card.metrics}
    return [
        replace(metric, threshold=thresholds.get(metric.name))
        for capability in sorted(card.capabilities)
        for judge in _JUDGES.get((capability, card.modality), [])
        for metric in judge(subject)
    ]


@cache
def _load_judges() -> None:
    for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        importlib.import_module(module.name)
