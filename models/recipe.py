"""Recipes: how a model that ships was made, and how anybody makes it again.

    learned = RECIPES["digits-vae"].train(home, out, report=print)

Each stands in the file of its model.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from wordspot.models import artifact, evaluation, registry, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets import pictures as picture_sources
from wordspot.models.datasets import sprites
from wordspot.models.datasets.picture_batches import PictureData
from wordspot.models.errors import UnknownModel
from wordspot.models.model import Model, TrainingData
from wordspot.models.trainer import Plan, Progress

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Recipe(ABC):
    """name: of the artifact. model: its registered class.

    description, source, supervision, scale: for the card. thresholds: what figures have to reach, by name.
    half: whether weights are stored as fp16.
    """

    name: str
    model: str
    config: Any
    description: str
    source: str
    thresholds: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    supervision: str = field(default="none", kw_only=True)
    scale: str = field(default="", kw_only=True)
    half: bool = field(default=True, kw_only=True)

    @abstractmethod
    def train(
        self,
        home: Path,
        out: Path,
        *,
        resume: bool = False,
        seed: int = 0,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "cpu",
        report: Report = lambda progress: None,
    ) -> ArtifactCard:
        """Trains on data that are fetched, judges, and writes the artifact into `out`.

        Raises DatasetError, BadInput.
        """

    def finished(
        self,
        model: Model[Any],
        home: Path,
        out: Path,
        *,
        data: Mapping[str, Any],
        seed: int | None,
        budget: Mapping[str, Any],
        licence: str = "Apache-2.0",
        codec: Mapping[str, Any] | None = None,
    ) -> ArtifactCard:
        """Writes the artifact and judges it as it is stored."""
        card = ArtifactCard(
            name=self.name,
            model=self.model,
            config={},
            weights_sha256="",
            description=self.description,
            source=self.source,
            codec=codec or {},
            data=data,
            supervision=self.supervision,
            scale=self.scale,
            licence=licence,
            seed=seed,
            budget=budget,
            commit=artifact.commit(),
        )
        card = artifact.save(model.cpu(), card, out, half=self.half)
        stored, card = registry.load(str(out))
        named = tuple(Metric(name, math.nan, threshold=value) for name, value in self.thresholds.items())
        figures = evaluation.measure(stored, replace(card, metrics=named), home)
        return artifact.save(stored, replace(card, metrics=tuple(figures)), out, half=self.half)


RECIPES: dict[str, Recipe] = {}


def find(name: str) -> Recipe:
    """By its own name, or by that of a model: the first of its recipes. Raises UnknownModel."""
    for one in (RECIPES.get(name), *(recipe for recipe in RECIPES.values() if recipe.model == name)):
        if one is not None:
            return one
    raise UnknownModel(f"no recipe {name!r}; there are {', '.join(sorted(RECIPES))}")


def recipe(one: Recipe) -> None:
    """Makes a recipe known by its name."""
    if RECIPES.get(one.name, one) != one:
        raise ValueError(f"two recipes are called {one.name!r}")
    RECIPES[one.name] = one


@dataclass(frozen=True)
class Material:
    """What a model learns from. data: batches for the trainer. about: for the card: source, licence, split,
    how much, sha256."""

    data: TrainingData
    about: Mapping[str, Any]


@dataclass(frozen=True)
class TrainedRecipe(Recipe):
    """Trained by the one trainer."""

    batch_size: int
    plan: Plan

    @abstractmethod
    def material(self, home: Path, seed: int) -> Material:
        """Raises DatasetError."""

    def train(
        self,
        home: Path,
        out: Path,
        *,
        resume: bool = False,
        seed: int = 0,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "cpu",
        report: Report = lambda progress: None,
    ) -> ArtifactCard:
        material = self.material(home, seed)
        plan = replace(self.plan, seed=seed, minutes=minutes, steps=steps or self.plan.steps)
        torch.manual_seed(seed)
        model = registry.model_class(self.model)(self.config)
        model.prepare(material.data)
        progress = trainer.fit(model, material.data, plan, out, device=device, resume=resume, report=report)
        budget = {
            **asdict(plan),
            "batch_size": self.batch_size,
            "steps_done": progress.step,
            "minutes_spent": round(progress.minutes, 1),
            "best_validation": progress.best,
            "last_validation": progress.validation,
        }
        card = self.finished(model, home, out, data=material.about, seed=seed, budget=budget)
        (out / trainer.CHECKPOINT).unlink(missing_ok=True)
        return card


@dataclass(frozen=True)
class PictureRecipe(TrainedRecipe):
    """pictures: the data source."""

    pictures: str

    def of_own(self, folder: Path) -> PictureRecipe:
        """The same for a user's own pictures, which have no thresholds."""
        name = sprites.own(folder, self.config.height, self.config.width)
        return replace(self, name=folder.resolve().name, pictures=name, thresholds={})

    def material(self, home: Path, seed: int) -> Material:
        train, validation = (
            picture_sources.pictures(self.pictures, split, home) for split in ("train", "validation")
        )
        source = picture_sources.sources().get(self.pictures)
        about = {
            "source": self.pictures,
            "licence": source.licence if source else "the owner's",
            "split": source.split if source else "by file: 80 % train, 10 % validation, 10 % test",
            "pictures": len(train),
            "sha256": hashlib.sha256(train.pixels.tobytes()).hexdigest(),
        }
        return Material(PictureData(train, validation, self.batch_size, seed), about)
