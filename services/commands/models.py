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
from wordspot.services.commands.train import train
from wordspot.services.interchange.schemas import MODEL, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


app = typer.Typer(
    help="Encoders and generators: list, show, train, export, evaluate, load, unload.", no_args_is_help=True
)

FAILED = 1
DEMO_SPEECH = Path(__file__).resolve().parents[2] / "deploy/demo/sample/recordings"
MAX_CLIPS, MAX_CLIP_SECONDS = 60, 30  # of speech on which an export is checked


@app.command("list")
def list_models(as_json: console.Json = False, address: console.Address = None) -> None:
    """Every artifact that ships or lies below WORDSPOT_HOME/models, here or where a service runs."""
    models = _local() if address is None else _remote(address)
    if as_json:
        for model in models:
            console.print_json(named(MODEL) | model)
        return
    console.print_table(
        ("name", "modality", "can", "description"),
        [
            (model["name"], model["modality"], ", ".join(model["capabilities"]), model["description"])
            for model in models
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
    from wordspot.services.client.models import Models

    with Models(address) as models:
        return [
            {
                **{field: getattr(model, field) for field in ("name", "modality", "hash", "loaded")},
                "capabilities": [*model.capabilities],
                "options": [*model.options],
                "description": model.description,
            }
            for model in models.list()
        ]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """A model's card as JSON: what it is, what it learned from, how good it was."""
    import json

    from wordspot.models import artifact, registry
    from wordspot.services.client.models import Models

    if address is None:
        artifact_card = artifact.read_card(registry.find(name, settings.home(os.environ)))
        card = {**asdict(artifact_card), "hash": artifact_card.hash}
    else:
        with Models(address) as models:
            card = models.card(name)
    console.print_line(json.dumps(card, indent=2, ensure_ascii=False))


@app.command()
def load(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """Load a model into a running service, afresh if its artifact has changed, so that no caller waits."""
    from wordspot.services.client.models import Models

    with Models(_running(address)) as models:
        model = models.load(name)
    console.print_line(f"{model.name} is loaded, hash {model.hash[:12]}")


@app.command()
def unload(
    name: Annotated[str, typer.Argument(help="A name that `wordspot models list` shows.")],
    address: console.Address = None,
) -> None:
    """Free a model's memory in a running service. The next call that needs it loads it again."""
    from wordspot.services.client.models import Models

    with Models(_running(address)) as models:
        model = models.unload(name)
    console.print_line(f"{model.name} is not loaded")


app.command()(train)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="An encoder that `wordspot models list` shows, or a folder.")],
    speech: Annotated[
        Path | None,
        typer.Option(
            help="A file or folder of recorded speech, on which both are compared; in a checkout the demo's."
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="int8 or fp32, of the linear layers.")] = "int8",
) -> None:
    """Write an encoder's model.onnx beside its weights, with which it indexes and searches without torch."""
    from wordspot.models import export as exports

    home = settings.home(os.environ)
    card = exports.export(name, _clips(speech or DEMO_SPEECH), home, precision=precision)
    assert card.onnx is not None
    console.print_line(
        f"{card.name}: {card.onnx.precision}, of 100 frames and vectors 99 have a cosine similarity of "
        f"{card.onnx.agreement:.4f} or more to the torch model's; {card.onnx.tolerance} or more is required"
    )


def _clips(path: Path) -> list[NDArray[np.float32]]:
    """Returns the sound of a file, or of at most MAX_CLIPS of a folder. Raises InvalidInput, BadInput."""
    from wordspot.models import audio

    if not path.exists():
        raise InvalidInput(f"--speech must be a file or folder of audio, got {path}, which does not exist")
    files = [path] if path.is_file() else [clip.path for clip in audio.find_audio(path)]
    return [audio.load(file, seconds=MAX_CLIP_SECONDS) for file in files[:MAX_CLIPS]]


@app.command()
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(help="Which models.")] = None,
    all_models: Annotated[bool, typer.Option("--all", help="Every model that can be judged here.")] = False,
    as_json: console.Json = False,
) -> None:
    """Judge models on held-out data, which is fetched. Ends with 1 where a threshold is missed.

    Floor: the same figure on real held-out data, or of doing nothing; baseline: of the simple alternative.
    """
    import torch

    from wordspot.models import evaluation, registry

    home = settings.home(os.environ)
    if all_models == bool(names):
        raise InvalidInput("name models to judge, or give --all, and not both")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows: list[dict[str, Any]] = []
    for name in names or sorted(registry.folders(home)):
        try:
            rows += [console.figure_row(name, metric) for metric in evaluation.evaluate(name, home)]
        except MissingWeights as missing:
            if not all_models:
                raise
            console.warn(f"{name} is left out: {missing}")
    if as_json:
        console.print_json(rows)
    else:
        console.print_figures(rows)
    if any(row["passed"] is False for row in rows):
        raise typer.Exit(FAILED)


def _running(address: str | None) -> str:
    """Returns the address. Raises InvalidInput without one."""
    if address is None:
        raise InvalidInput("no --address: a model is loaded and unloaded in a running `wordspot serve`")
    return address
