"""How good a model is, on held-out data, beside doing nothing and beside the simple alternative.

    figures = evaluate("digits-cnn", home)

A judge looks at one capability of one modality; a model is judged by all that fit it. Thresholds are the
artifact's own: they were fixed when it was made, and stand in its card.
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
    """model: a Model; which methods it has, its capabilities say. home: state folder, where data is fetched
    to."""

    model: Any
    card: ArtifactCard
    home: Path

    @property
    def source(self) -> str:
        return str(self.card.data["source"])

    def rng(self) -> Generator:
        return torch.Generator().manual_seed(0)


Judge = Callable[[Subject], list[Metric]]
_JUDGES: dict[tuple[str, str], list[Judge]] = {}


def judges(capability: str, modality: str) -> Callable[[Judge], Judge]:
    """Registers the decorated function for the models that have both."""

    def register(judge: Judge) -> Judge:
        _JUDGES.setdefault((capability, modality), []).append(judge)
        return judge

    return register


def evaluate(name: str, home: Path) -> list[Metric]:
    """name: as registry.find takes it.

    Raises UnknownModel, DamagedArtifact, MissingWeights, DatasetError.
    """
    model, card = registry.load(name, home)
    return measure(model, card, home)


@torch.inference_mode()
def measure(model: Model[Any], card: ArtifactCard, home: Path) -> list[Metric]:
    """As `evaluate`, of a model in memory. Thresholds are those of the card's metrics."""
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
