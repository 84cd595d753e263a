"""wordspot train, which is wordspot models train: a model by its recipe."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.devices import resolved_device
from wordspot.services.limits import AUTO

if TYPE_CHECKING:
    from wordspot.models.encoders.archive_spans import ArchiveSpans
    from wordspot.models.recipe import Recipe

Name = Annotated[str, typer.Argument(help="Which recipe, or a model, for the first of its recipes.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="A folder of your own to learn from, read recursively, without labels: of audio for an "
        "encoder of speech, of pictures for a model of pictures, which is called after it. Others learn "
        "from data sets, which are fetched."
    ),
]
Archive = Annotated[
    str | None,
    typer.Option("--archive", "-a", help="What semantic learns from: an indexed archive. [default: default]"),
]
Out = Annotated[Path | None, typer.Option(help="The artifact's folder; default WORDSPOT_HOME/models/NAME.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Minutes = Annotated[float | None, typer.Option(help="Stop after so long.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")]
Seed = Annotated[int, typer.Option(help="Same seed, same model.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Weights = Annotated[
    str | None, typer.Option(help="Which Whisper a map for `whisper` learns on: base or tiny.en.")
]


def train(
    name: Name,
    data: Data = None,
    archive: Archive = None,
    out: Out = None,
    resume: Resume = False,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = AUTO,
    weights: Weights = None,
    as_json: console.Json = False,
) -> None:
    """Train a model by its recipe, on your own data or on data sets, and judge it."""
    from wordspot.models.trainer import Progress

    recipe = _recipe(_with_weights(name, weights), data, archive)
    home = settings.home(os.environ)
    folder = out or home / "models" / recipe.name

    def report(progress: Progress) -> None:
        console.warn(
            f"step {progress.step}/{progress.steps}  {progress.minutes:.1f} min  "
            f"loss {progress.loss:.4f}  validation {progress.validation:.4f}  best {progress.best:.4f}"
        )

    card = recipe.train(
        home,
        folder,
        resume=resume,
        seed=seed,
        steps=steps,
        minutes=minutes,
        device=resolved_device(device),
        report=report,
    )
    if as_json:
        figures = {metric.name: metric.value for metric in card.metrics}
        console.print_json({"name": card.name, "path": str(folder), "hash": card.hash, "metrics": figures})
        return
    console.print_line(f"{folder}: {card.name}, hash {card.hash[:12]}")
    console.print_figures([console.figure_row(card.name, metric) for metric in card.metrics])


def _recipe(name: str, data: Path | None, archive: str | None) -> Recipe:
    """Returns the recipe, with what it learns from. Raises InvalidInput, UnknownModel, BadInput."""
    from wordspot.models import recipe as recipes

    recipe = recipes.find(name)
    if data is not None:
        recipe = recipe.of_own(data)
    if recipe.needs_archive:
        return recipe.of_archive(*spans_of(archive or "default"))
    if archive is not None:
        raise InvalidInput(f"--archive {archive} goes with semantic, not with {name}")
    return recipe


def _with_weights(name: str, weights: str | None) -> str:
    """The recipe of a map on some Whisper. Raises InvalidInput, MissingWeights."""
    from wordspot.models.encoders import whisper_weights

    if weights is None:
        return name
    if name != "whisper":
        raise InvalidInput(f"--weights {weights} goes with whisper, not with {name}")
    whisper_weights.named(weights)
    return name if weights == "base" else f"{name}-{weights}"


def spans_of(archive: str) -> tuple[ArchiveSpans, str, str]:
    """Returns spans of an archive below WORDSPOT_HOME, its encoder's name, and a note on them.

    Raises NotFound, FailedPrecondition.
    """
    from wordspot.services.archive_material import archive_spans
    from wordspot.services.searcher.app import Searcher
    from wordspot.services.settings import SearcherSettings

    home = settings.home(os.environ)
    with closing(Searcher(SearcherSettings.read(os.environ, home=home))) as searcher:
        view = searcher.library.view(archive)
        return archive_spans(view), view.encoder.name, f"the archive {archive!r}"
