"""wordspot adapt: trains the encoder of an archive further, on the archive itself."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordspot.indexer.errors import AlreadyExists, InvalidInput
from wordspot.services import settings
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.devices import resolved_device
from wordspot.services.limits import AUTO

if TYPE_CHECKING:
    from wordspot.models.adaptation import AdaptationResult
    from wordspot.models.trainer import Progress
    from wordspot.services.archive_material import AdaptationMaterial

UNCHANGED = 1  # the exit code where the encoder did not become better

Minutes = Annotated[float, typer.Option(help="Of training at most.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Of training at most. [default: 300]")]
Seeds = Annotated[
    int, typer.Option(min=1, help="How many stretches of the archive are searched for in the others.")
]
EncoderName = Annotated[
    str | None, typer.Option(help="Of the new encoder. [default: its encoder's and the archive's name]")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Write it there instead of WORDSPOT_HOME/models/NAME; goes with --no-index."
    ),
]
Seed = Annotated[int, typer.Option(help="Same seed and steps, same encoder.")]
Force = Annotated[bool, typer.Option("--force", help="Keep it even if it did not become better.")]
Index = Annotated[bool, typer.Option("--index/--no-index", help="Index the archive with it when it is done.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]


def adapt(
    archive: console.Archive = "default",
    minutes: Minutes = 10.0,
    steps: Steps = None,
    seeds: Seeds = 3_000,
    name: EncoderName = None,
    out: Out = None,
    seed: Seed = 0,
    force: Force = False,
    index: Index = True,
    device: Device = AUTO,
    as_json: console.Json = False,
) -> None:
    """Adapt an archive's encoder to the archive: no labels, a few minutes."""
    from wordspot.models import adaptation

    home = settings.home(os.environ)
    target = _target(out, name, home, minutes=minutes, index=index)
    device = resolved_device(device)
    material = _mine(archive, home, seeds, seed)
    folder = target or home / "models" / free_name(material.encoder, archive, home)
    if not as_json:
        console.print_line(_mining_summary(material))
    adapted = adaptation.adapt(
        material.encoder,
        material.spectra,
        material.clusters,
        folder,
        speech=material.speech,
        home=home,
        learned_from=material.learned_from,
        minutes=minutes,
        steps=steps,
        seed=seed,
        force=force,
        device=device,
        report=_report,
    )
    indexed = adapted.card is not None and index
    if not as_json:
        console.print_line(_judgement(adapted, folder))
    if indexed:
        _index(archive, folder.name)
        if not as_json:
            console.print_line(f"archive {archive} is indexed with {folder.name}")
    if as_json:
        console.print_json(_figures(material, adapted, folder, indexed))
    if adapted.card is None:
        raise typer.Exit(UNCHANGED)


def _target(out: Path | None, name: str | None, home: Path, *, minutes: float, index: bool) -> Path | None:
    """Returns the folder that was asked for, if any. Raises InvalidInput, AlreadyExists."""
    if not minutes > 0:
        raise InvalidInput(f"--minutes must be more than 0, got {minutes:g}")
    if out is not None and (index or name is not None):
        raise InvalidInput(
            f"--out {out} goes with --no-index and without --name: an archive is indexed by name"
        )
    folder = out if name is None else home / "models" / name
    if folder is not None and (folder / "card.json").exists():
        raise AlreadyExists(
            f"there is an encoder in {folder}, which an archive may need; choose another name"
        )
    return folder


def _mine(archive: str, home: Path, seeds: int, seed: int) -> AdaptationMaterial:
    """Raises what `gather_material` raises."""
    from wordspot.indexer.search.mining import MiningSettings
    from wordspot.services.archive_material import gather_material
    from wordspot.services.embedded_transport import is_readable
    from wordspot.services.searcher.app import Searcher
    from wordspot.services.settings import SearcherSettings

    mining = MiningSettings(seeds=seeds, seed=seed)
    with (
        closing(
            Searcher(
                SearcherSettings.read(
                    os.environ,
                    home=home,
                    isolate=False,
                    resume=False,
                    scrub_hours=0,
                    read_only=is_readable(home, os.environ),
                )
            )
        ) as searcher,
        console.progress_bar() as move,
    ):
        return gather_material(
            searcher.library,
            archive,
            home,
            mining,
            lambda done, total: move("searching", done, total),
            lambda message: console.warn(f"wordspot: {message}"),
        )


def _index(archive: str, encoder: str) -> None:
    with Client() as client, console.progress_bar() as move:
        client.index([], archive, encoder, progress=lambda step: move(step.stage, step.done, step.total))


def free_name(base: str, archive: str, home: Path) -> str:
    """Returns base and archive as a name, with a number where that is taken.

    A base that was itself adapted to the archive keeps its name up to the number.
    """
    from wordspot.models import registry

    taken = registry.folders(home)
    stem = f"{re.sub(rf'-{re.escape(archive)}(-[0-9]+)?$', '', base)}-{archive}"
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def _report(progress: Progress) -> None:
    console.warn(
        f"step {progress.step}/{progress.steps}  {progress.minutes:.1f} min  "
        f"loss {progress.loss:.4f}  validation {progress.validation:.4f}  best {progress.best:.4f}"
    )


def _mining_summary(material: AdaptationMaterial) -> str:
    mined = material.mined
    stretches = sum(len(cluster) for cluster in material.clusters)
    return (
        f"mined {len(mined.pairs)} pairs by {mined.seeds} searches: {stretches} stretches in "
        f"{len(material.clusters)} clusters; {console.hours(material.spectra.seconds)} of speech"
    )


def _judgement(adapted: AdaptationResult, folder: Path) -> str:
    judgement = adapted.judgement
    before, after = float(judgement.before.mean()), float(judgement.after.mean())
    figure = (
        f"a stretch cut out and disturbed finds its likes in {len(judgement.before)} clusters that were held "
        f"out: average precision {before:.3f} before, {after:.3f} after (difference {after - before:+.3f}, "
        f"95 % {judgement.low:+.3f} to {judgement.high:+.3f}), with {adapted.share:g} of what was learned"
    )
    if adapted.card is None:
        return (
            f"{figure}\nthat is no better beyond doubt: the archive keeps its encoder and its index; --force "
            "keeps the new one nevertheless"
        )
    summary = f"{figure}\n{folder}: {adapted.card.name}, hash {adapted.card.hash[:12]}"
    if adapted.card.onnx is None:
        summary += (
            "\nit runs in torch only, for want of the package onnx: pip install 'wordspot[export]', then "
            f"wordspot models export {folder}"
        )
    return summary


def _figures(
    material: AdaptationMaterial, adapted: AdaptationResult, folder: Path, indexed: bool
) -> dict[str, Any]:
    judgement, card = adapted.judgement, adapted.card
    return {
        "encoder": None if card is None else card.name,
        "path": None if card is None else str(folder),
        "hash": None if card is None else card.hash,
        "base": material.encoder,
        "searches": material.mined.seeds,
        "pairs": len(material.mined.pairs),
        "clusters": len(material.clusters),
        "held_out_clusters": len(judgement.before),
        "average_precision_before": float(judgement.before.mean()),
        "average_precision_after": float(judgement.after.mean()),
        "interval": [judgement.low, judgement.high],
        "improved": judgement.improved,
        "trained_share": adapted.share,
        "without_torch": card is not None and card.onnx is not None,
        "steps": adapted.progress.step,
        "minutes": adapted.progress.minutes,
        "indexed": indexed,
    }
