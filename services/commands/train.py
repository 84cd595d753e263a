"""wordspot train: an encoder of one's own."""

from __future__ import annotations

import os
from contextlib import closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services import settings
from wordspot.services.commands import console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.indexer.view import ArchiveView
    from wordspot.models.artifact import ArtifactCard

MOST_SPANS = 2_000_000  # that meanings are learned from, about 20 hours of speech


class Trainable(StrEnum):
    sa = "sa"
    dsa = "dsa"
    contrastive = "contrastive"
    correspondence = "correspondence"
    whisper = "whisper"
    phonetic = "phonetic"
    semantic = "semantic"


TAUGHT = frozenset({Trainable.whisper, Trainable.phonetic})
"""Those that learn from word times, and so from the data sets that have them."""


def train(
    name: Annotated[Trainable, typer.Argument(help="Which encoder.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of audio, read recursively; no labels needed. whisper and phonetic take none: "
            "they learn from data sets, which are fetched; nor does semantic, which learns from --archive."
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive", "-a", help="What semantic learns from: an indexed archive. [default: default]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The artifact's folder; default WORDSPOT_HOME/models/NAME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    weights: Annotated[
        str | None, typer.Option(help="Which Whisper a map for `whisper` learns on: base or tiny.en.")
    ] = None,
    as_json: console.Json = False,
) -> None:
    """Train an encoder: on a folder of audio without labels, or on data sets with word times."""
    if weights is not None and name is not Trainable.whisper:
        raise InvalidInput(f"--weights {weights} goes with whisper, not with {name.value}")
    if name is Trainable.semantic:
        if data is not None or resume or (minutes, steps) != (None, None):
            raise InvalidInput(
                "semantic learns from an indexed archive in one go; --archive, --out and --seed are allowed"
            )
        _say(learn_meanings(archive or "default", out, seed), as_json=as_json)
        return
    if archive is not None:
        raise InvalidInput(f"--archive {archive} goes with semantic, not with {name.value}")
    if name in TAUGHT and data is not None:
        raise InvalidInput(f"{name.value} learns from data sets of its own; --data {data} is not allowed")
    if name not in TAUGHT and data is None:
        raise InvalidInput(f"{name.value} learns from your audio; --data is needed, a folder of it")
    if data is not None and not data.is_dir():
        raise InvalidInput(f"{data} is not a folder; --data takes a folder of audio")
    import torch

    from wordspot.models import teaching
    from wordspot.models import train as recipes
    from wordspot.models.trainer import Progress

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    home = settings.home(os.environ)
    own = name.value if weights in (None, "base") else f"{name.value}-{weights}"
    folder = out or home / "models" / own

    def report(progress: Progress) -> None:
        console.warn(
            f"step {progress.step}/{progress.steps}  {progress.minutes:.1f} min  "
            f"loss {progress.loss:.4f}  validation {progress.validation:.4f}  best {progress.best:.4f}"
        )

    chosen = {} if weights is None else {"weights": weights, "name": own}
    learn = (
        partial(teaching.RECIPES[name.value], home, **chosen)
        if data is None
        else partial(recipes.train, name.value, data)
    )
    card = learn(
        folder,
        resume=resume,
        seed=seed,
        steps=steps,
        minutes=minutes,
        device=device,
        report=report,
    )
    _say((folder, card), as_json=as_json)


def learn_meanings(archive: str, out: Path | None, seed: int) -> tuple[Path, ArtifactCard]:
    """Of an archive below WORDSPOT_HOME, by the encoder that it is indexed with.

    Raises NotFound, FailedPrecondition, BadInput.
    """
    import numpy as np

    from wordspot.models.encoders import semantic
    from wordspot.services.searcher.__main__ import Searcher
    from wordspot.services.settings import SearcherSettings

    home = settings.home(os.environ)
    with closing(Searcher(SearcherSettings.read(os.environ, home=home))) as searcher:
        view = searcher.library.view(archive)
        chosen = _as_many(view)
        region, start, stop = view.places(chosen)
        spans = semantic.Spans(
            view.rows(chosen).astype(np.float32), view.region_recording[region].astype(np.int64), start, stop
        )
        name = view.encoder.name
    folder = out or home / "models" / semantic.NAME
    note = f"the archive {archive!r}"
    return folder, semantic.learn(spans, name, folder, home=home, seed=seed, note=note, report=console.warn)


def _as_many(view: ArchiveView) -> NDArray[np.int64]:
    """Spans of as many recordings, drawn by lot, as memory is meant for; in order of recording and start."""
    import numpy as np

    first = view.recording_span
    alive = np.flatnonzero(view.alive)
    order = np.random.default_rng(0).permutation(alive)
    many = np.diff(first)[order].cumsum()
    chosen = np.sort(order[: np.searchsorted(many, MOST_SPANS) + 1])
    ranges = [np.arange(first[n], first[n + 1]) for n in chosen]
    spans = np.concatenate([np.zeros(0, np.int64), *ranges])
    region, start, _ = view.places(spans)
    return np.asarray(spans[np.lexsort((start, view.region_recording[region]))])


def _say(learned: tuple[Path, ArtifactCard], *, as_json: bool) -> None:
    folder, card = learned
    figures = {metric.name: metric.value for metric in card.metrics}
    if as_json:
        console.say_json({"name": card.name, "path": str(folder), "hash": card.hash, "metrics": figures})
    else:
        told = ", ".join(f"{metric} {value:.4f}" for metric, value in figures.items())
        console.say(f"{folder}: {card.name}, hash {card.hash[:12]}, {told}")
