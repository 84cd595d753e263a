"""wordspot models: what models there are, how good they are, and how to train them again."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.models.errors import MissingWeights
from wordspot.services import settings
from wordspot.services.commands import console

if TYPE_CHECKING:
    from wordspot.models.artifact import Metric

app = typer.Typer(
    help="Encoders and generators: list, show, train, evaluate, load, unload.", no_args_is_help=True
)

FAILED = 1


@app.command("list")
def list_models(as_json: console.Json = False, address: console.Address = None) -> None:
    """Every artifact that ships or lies below WORDSPOT_HOME/models, here or where a service runs."""
    models = _local() if address is None else _remote(address)
    if as_json:
        for one in models:
            console.say_json(one)
        return
    console.say_table(
        ("name", "modality", "can", "description"),
        [
            (one["name"], one["modality"], ", ".join(one["capabilities"]), one["description"])
            for one in models
        ],
    )


def _local() -> list[dict[str, Any]]:
    from wordspot.models import registry

    return [
        {"name": name, "model": card.model, "modality": card.modality, "hash": card.hash}
        | {"capabilities": card.capabilities, "options": card.options, "description": card.description}
        for name, card in registry.available(settings.home(os.environ)).items()
    ]


def _remote(address: str) -> list[dict[str, Any]]:
    from wordspot.services.model_client import Models

    with Models.at(address) as models:
        return [
            {"name": one.name, "modality": one.modality, "hash": one.hash, "loaded": one.loaded}
            | {"capabilities": [*one.capabilities], "options": [*one.options], "description": one.description}
            for one in models.list()
        ]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """A model's card as JSON: what it is, what it learned from, how good it was."""
    import json

    from wordspot.models import artifact, registry
    from wordspot.services.model_client import Models

    if address is None:
        found = artifact.read_card(registry.find(name, settings.home(os.environ)))
        card = {**asdict(found), "hash": found.hash}
    else:
        with Models.at(address) as models:
            card = models.card(name)
    console.say(json.dumps(card, indent=2, ensure_ascii=False))


@app.command()
def load(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """Load a model into a running service, afresh if its artifact has changed, so that no caller waits."""
    from wordspot.services.model_client import Models

    with Models.at(_running(address)) as models:
        told = models.load(name)
    console.say(f"{told.name} is loaded, hash {told.hash[:12]}")


@app.command()
def unload(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """Free a model's memory in a running service. The next call that needs it loads it again."""
    from wordspot.services.model_client import Models

    with Models.at(_running(address)) as models:
        told = models.unload(name)
    console.say(f"{told.name} is not loaded")


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Which recipe, or a model, for the first of its recipes.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of your own pictures to learn from; the model is called after it."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The artifact's folder; default WORDSPOT_HOME/models/NAME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    as_json: console.Json = False,
) -> None:
    """Train a model on its data set, which is fetched, and judge it."""
    import torch

    from wordspot.models import recipe, registry
    from wordspot.models.trainer import Progress

    registry.load_classes()
    chosen = recipe.find(name)
    if data is not None:
        if not isinstance(chosen, recipe.PictureRecipe):
            raise InvalidInput(f"{name} learns from no pictures; leave --data out")
        chosen = chosen.of_own(data)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    home = settings.home(os.environ)
    folder = out or home / "models" / chosen.name

    def report(progress: Progress) -> None:
        console.warn(
            f"step {progress.step}/{progress.steps}  {progress.minutes:.1f} min  "
            f"loss {progress.loss:.4f}  validation {progress.validation:.4f}  best {progress.best:.4f}"
        )

    card = chosen.train(
        home,
        folder,
        resume=resume,
        seed=seed,
        steps=steps,
        minutes=minutes,
        device=device,
        report=report,
    )
    if as_json:
        for metric in card.metrics:
            console.say_json(_row(chosen.name, metric))
        return
    console.say(f"{folder}: {card.name}, hash {card.hash[:12]}")
    _say_figures([_row(chosen.name, metric) for metric in card.metrics])


@app.command()
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(help="Which models.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model that can be judged here.")] = False,
    as_json: console.Json = False,
) -> None:
    """Judge models on held-out data, which is fetched. Ends with 1 where a threshold is missed.

    Floor: the same figure on real held-out data, or of doing nothing; baseline: of the simple alternative.
    """
    import torch

    from wordspot.models import evaluation, registry

    home = settings.home(os.environ)
    if every == bool(names):
        raise InvalidInput("name models to judge, or give --all, and not both")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows: list[dict[str, Any]] = []
    for name in names or sorted(registry.folders(home)):
        try:
            rows += [_row(name, metric) for metric in evaluation.evaluate(name, home)]
        except MissingWeights as missing:
            if not every:
                raise
            console.warn(f"{name} is left out: {missing}")
    if as_json:
        console.say_json(rows)
    else:
        _say_figures(rows)
    if any(row["passed"] is False for row in rows):
        raise typer.Exit(FAILED)


def _running(address: str | None) -> str:
    """Raises InvalidInput."""
    if address is None:
        raise InvalidInput("no --address: a model is loaded and unloaded in a running `wordspot serve`")
    return address


def _row(model: str, metric: Metric) -> dict[str, Any]:
    return {
        "model": model,
        "metric": metric.name,
        "value": metric.value,
        "floor": metric.floor,
        "baseline": metric.baseline,
        "threshold": metric.threshold,
        "passed": metric.passed,
    }


def _say_figures(rows: list[dict[str, Any]]) -> None:
    figures = ("value", "floor", "baseline", "threshold")
    verdicts = {True: "yes", False: "NO", None: ""}
    console.say_table(
        ("model", "metric", *figures, "passed"),
        [
            (
                row["model"],
                row["metric"],
                *("" if row[figure] is None else f"{row[figure]:.4g}" for figure in figures),
                verdicts[row["passed"]],
            )
            for row in rows
        ],
        right=(2, 3, 4, 5),
    )
