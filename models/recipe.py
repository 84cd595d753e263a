"""Recipes: how a model that ships was made, and how anybody makes it again.

    card = find("digits-vae").train(home, out, report=print)
    card = find("contrastive").of_own(folder_of_audio).train(home, out)

Each stands in the file of its model, or in `training/`.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import pkgutil
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from wordspot.models import artifact, evaluation, registry, trainer, training
from wordspot.models.artifact import ArtifactCard, Metric, TrainingRecord
from wordspot.models.datasets import pictures as picture_sources
from wordspot.models.datasets.picture_batches import PictureData
from wordspot.models.datasets.source import sources
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.models.model import Model, TrainingData
from wordspot.models.trainer import Plan, Progress

if TYPE_CHECKING:
    from wordspot.models.encoders.archive_spans import ArchiveSpans

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Recipe(ABC):
    """How one artifact is trained.

    Attributes:
        name: Of the artifact.
        model: Its registered class.
        config: Its configuration.
        description: For the card.
        source: The papers, for the card.
        thresholds: What figures have to reach, by name.
        supervision: Which labels it learns from, for the card.
        scale: How it differs from the papers in size, for the card.
        half: Whether weights are stored as fp16.
        needs_archive: Whether it learns by way of `of_archive`.
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

    needs_archive: ClassVar[bool] = False

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
        """Trains on data that are fetched, evaluates, and writes the artifact.

        Args:
            home: State folder (WORDSPOT_HOME).
            out: The artifact's folder, which holds the checkpoint meanwhile.
            resume: Whether to go on from the checkpoint in `out`.
            seed: Of what is random.
            steps: Of training, the recipe's where it is None.
            minutes: Of training at most.
            device: As torch names it.
            report: Called after each validation.

        Raises:
            DatasetError: The data cannot be fetched.
            BadInput: The options do not apply, or there is nothing to resume.
        """

    def of_own(self, folder: Path) -> Recipe:
        """Returns the same recipe for what lies below a user's own folder. Raises BadInput where that
        cannot be."""
        raise BadInput(f"{self.name} learns from data sets of its own; --data {folder} is not allowed")

    def of_archive(self, spans: ArchiveSpans, parent: str, note: str) -> Recipe:
        """Returns the same recipe for the spans of an indexed archive. Raises BadInput where that cannot be.

        parent: the encoder of their vectors. note: what they were heard in, for the card.
        """
        raise BadInput(f"{self.name} does not learn from an indexed archive; --archive is not allowed")

    def record(self, **values: Any) -> TrainingRecord:
        """Returns the record of a training: the recipe's words, and values of other fields."""
        words: dict[str, Any] = {
            "description": self.description,
            "source": self.source,
            "supervision": self.supervision,
            "scale": self.scale,
            "commit": artifact.commit(),
        }
        return TrainingRecord(self.name, **(words | values))

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
        """Writes the artifact, evaluates it as it is stored, and returns its card."""
        record = self.record(codec=codec or {}, data=data, licence=licence, seed=seed, budget=budget)
        artifact.save(model.cpu(), record, out, half=self.half)
        stored, card = registry.load(str(out))
        named = tuple(Metric(name, math.nan, threshold=value) for name, value in self.thresholds.items())
        figures = evaluation.measure(stored, replace(card, metrics=named), home)
        return artifact.save(stored, replace(card, metrics=tuple(figures)), out, half=self.half)


RECIPES: dict[str, Recipe] = {}


def find(name: str) -> Recipe:
    """Returns a recipe by its name, or the first of a model's by the model's. Raises UnknownModel."""
    load_recipes()
    if name in RECIPES:
        return RECIPES[name]
    for candidate in RECIPES.values():
        if candidate.model == name:
            return candidate
    raise UnknownModel(f"no recipe {name!r}; there are {', '.join(sorted(RECIPES))}")


def load_recipes() -> None:
    """Imports every module that may register a recipe."""
    registry.load_classes()
    for module in pkgutil.iter_modules(training.__path__, f"{training.__name__}."):
        importlib.import_module(module.name)


def recipe(entry: Recipe) -> None:
    """Registers a recipe by its name. Raises ValueError if another has it."""
    if RECIPES.get(entry.name, entry) != entry:
        raise ValueError(f"two recipes are called {entry.name!r}")
    RECIPES[entry.name] = entry


@dataclass(frozen=True)
class Material:
    """What a model learns from.

    Attributes:
        data: Batches for the trainer.
        about: For the card and the checkpoint: source, licence, split, how much, sha256.
    """

    data: TrainingData
    about: Mapping[str, Any]


@dataclass(frozen=True)
class TrainedRecipe(Recipe):
    """A recipe that the trainer follows.

    Attributes:
        batch_size: Examples of a batch.
        plan: Hyperparameters and budget.
    """

    batch_size: int
    plan: Plan

    @abstractmethod
    def material(self, home: Path, seed: int) -> Material:
        """Returns what the model learns from. Raises DatasetError."""

    def provenance(self, material: Material) -> dict[str, Any]:
        """Returns what beside model and plan decides the weights: the fields that a kind of recipes adds to
        those of all, such as the size of a batch, and the data."""
        general = {"plan", *(entry.name for entry in fields(Recipe))}
        particular = {name: value for name, value in asdict(self).items() if name not in general}
        return {"recipe": self.name, **particular, "data": dict(material.about)}

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
        progress = trainer.fit(
            model,
            material.data,
            plan,
            out,
            device=device,
            resume=resume,
            provenance=self.provenance(material),
            report=report,
        )
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
    """Learns from a source of pictures."""

    pictures: str

    def of_own(self, folder: Path) -> PictureRecipe:
        """Returns the same recipe for a user's own pictures, which have no thresholds."""
        name = picture_sources.own(folder, self.config.height, self.config.width)
        return replace(self, name=folder.resolve().name, pictures=name, thresholds={})

    def material(self, home: Path, seed: int) -> Material:
        train, validation = (
            picture_sources.pictures(self.pictures, split, home) for split in ("train", "validation")
        )
        source = sources(picture_sources.PictureSource).get(self.pictures)
        about = {
            "source": self.pictures,
            "licence": source.licence if source else "the owner's",
            "split": source.split if source else "by file: 80 % train, 10 % validation, 10 % test",
            "pictures": len(train),
            "sha256": hashlib.sha256(train.pixels.tobytes()).hexdigest(),
        }
        return Material(PictureData(train, validation, self.batch_size, seed), about)


@dataclass(frozen=True)
class AudioRun:
    """One training on a folder of audio.

    Attributes:
        recipe: Whose `model` and `config` are to be trained.
        data: The folder.
        out: The artifact's folder, which holds the checkpoint meanwhile.
        resume: Whether to go on from the checkpoint.
        seed: Of what is random.
        steps: Of training.
        minutes: Of training at most.
        device: As torch names it.
        report: Called after each validation.
    """

    recipe: AudioRecipe
    data: Path
    out: Path
    resume: bool
    seed: int
    steps: int
    minutes: float | None
    device: str
    report: Report


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and what its card says of it.

    Attributes:
        model: On the CPU.
        data: What it learned from.
        budget: Hyperparameters, steps and minutes.
        metrics: Figures of its quality.
    """

    model: Model[Any]
    data: Mapping[str, Any]
    budget: Mapping[str, Any]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class AudioRecipe(Recipe):
    """An encoder that learns from every audio file below a folder.

    Attributes:
        learn: Trains and evaluates it.
        steps: Of training.
        temporary: What `learn` leaves in the artifact's folder for a resumption, to be removed once the
            artifact is written.
        folder: Of audio, as `of_own` sets it.
        licence: Of what is learned.
        note: On the data, for the card.
    """

    learn: Callable[[AudioRun], TrainingResult]
    steps: int
    temporary: tuple[str, ...] = (trainer.CHECKPOINT,)
    folder: Path | None = None
    licence: str = ""
    note: str = ""

    def of_own(self, folder: Path) -> AudioRecipe:
        if not folder.is_dir():
            raise BadInput(f"{folder} is not a folder; --data takes a folder of audio")
        return replace(self, folder=folder)

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
        if self.folder is None:
            raise BadInput(f"{self.name} learns from your audio; --data is needed, a folder of it")
        torch.manual_seed(seed)
        run = AudioRun(self, self.folder, out, resume, seed, steps or self.steps, minutes, device, report)
        learned = self.learn(run)
        record = self.record(
            data={
                "note": self.note or f"audio files below a folder named {self.folder.name!r}",
                **learned.data,
            },
            licence=self.licence,
            seed=seed,
            budget=learned.budget,
            metrics=learned.metrics,
        )
        card = artifact.save(learned.model, record, out, half=self.half)
        for path in (out / name for name in self.temporary):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return card
