"""Recipes: how a model that ships was made, and how anybody makes it again.

    learned = train_pictures(RECIPES["digits-vae"], home, out, report=print)

Each stands in the file of its model and is trained by the one trainer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from wordspot.models import artifact, evaluation, registry, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets import pictures as picture_sources
from wordspot.models.datasets.picture_batches import PictureData
from wordspot.models.trainer import Plan, Progress


@dataclass(frozen=True)
class PictureRecipe:
    """name: of the artifact. model: its registered class. pictures: the data source.

    description, source, supervision, scale: for the card. thresholds: what figures have to reach, by name.
    half: whether weights are stored as fp16.
    """

    name: str
    model: str
    config: Any
    pictures: str
    batch_size: int
    plan: Plan
    description: str
    source: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    supervision: str = "none"
    scale: str = ""
    half: bool = True


RECIPES: dict[str, PictureRecipe] = {}


def recipe(one: PictureRecipe) -> None:
    """Makes a recipe known by its name."""
    if RECIPES.get(one.name, one) != one:
        raise ValueError(f"two recipes are called {one.name!r}")
    RECIPES[one.name] = one


def train_pictures(
    one: PictureRecipe,
    home: Path,
    out: Path,
    *,
    resume: bool = False,
    seed: int = 0,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda progress: None,
) -> ArtifactCard:
    """Trains on the recipe's pictures, which are fetched, and writes the artifact into `out`.

    Raises DatasetError, BadInput.
    """
    train, validation = (
        picture_sources.pictures(one.pictures, split, home) for split in ("train", "validation")
    )
    plan = replace(one.plan, seed=seed, minutes=minutes, steps=steps or one.plan.steps)
    torch.manual_seed(seed)
    model = registry.model_class(one.model)(one.config)
    progress = trainer.fit(
        model,
        PictureData(train, validation, one.batch_size, seed),
        plan,
        out,
        device=device,
        resume=resume,
        report=report,
    )
    source = picture_sources.sources()[one.pictures]
    card = ArtifactCard(
        name=one.name,
        model=one.model,
        config={},
        weights_sha256="",
        description=one.description,
        source=one.source,
        data={
            "source": one.pictures,
            "licence": source.licence,
            "split": source.split,
            "pictures": len(train),
            "sha256": hashlib.sha256(train.pixels.tobytes()).hexdigest(),
        },
        supervision=one.supervision,
        scale=one.scale,
        licence="Apache-2.0",
        seed=seed,
        budget={
            **asdict(plan),
            "batch_size": one.batch_size,
            "steps_done": progress.step,
            "minutes_spent": round(progress.minutes, 1),
        },
    )
    card = artifact.save(model.cpu(), card, out, half=one.half)
    stored, card = registry.load(str(out))
    named = tuple(Metric(name, math.nan, threshold=value) for name, value in one.thresholds.items())
    figures = evaluation.measure(stored, replace(card, metrics=named), home)
    card = artifact.save(stored, replace(card, metrics=tuple(figures)), out, half=one.half)
    (out / trainer.CHECKPOINT).unlink(missing_ok=True)
    return card
