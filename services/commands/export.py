"""wordspot export: hits to files of other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.commands.exporting import (
    FORMAT_HELP,
    STANDARD_OUTPUT,
    ExportTarget,
    Out,
    recording_lengths,
)
from wordspot.services.escapes import escaped
from wordspot.services.interchange.lines import HitLine, read_lines
from wordspot.services.interchange.records import Occurrence

Source = Annotated[
    Path,
    typer.Argument(
        metavar="[HITS]",
        help="What `wordspot search --json` printed, or an export as jsonl; - or nothing for standard input.",
        show_default=False,
    ),
]
FormatName = Annotated[str, typer.Option("--format", "-f", metavar="FORMAT", help=FORMAT_HELP)]
ArchiveOfHits = Annotated[
    str | None,
    typer.Option(
        "--archive", "-a", help="The archive of the hits, where they do not say. [default: default]"
    ),
]
Zip = Annotated[bool, typer.Option("--zip", help="All files in one zip archive.")]


class WantedVerdicts(StrEnum):
    """Which verdicts are exported."""

    CORRECT = "correct"
    WRONG = "wrong"
    ALL = "all"


Verdicts = Annotated[
    WantedVerdicts | None,
    typer.Option("--verdicts", help="Instead of hits: the places of the archive that people have judged."),
]
OnlyQuery = Annotated[str, typer.Option("--query", metavar="LABEL", help="Only verdicts of this query.")]
Detected = Annotated[bool, typer.Option("--detected", help="Only what is detected.")]
WithScores = Annotated[
    bool, typer.Option("--with-scores", help="Texts of annotations end with the score of the hit.")
]
Bom = Annotated[bool, typer.Option("--bom", help="Begin tables with a byte order mark, as Excel wants it.")]
PerRecording = Annotated[
    bool, typer.Option("--per-recording", help="A file a recording for tables, too; others always have it.")
]


def export(
    format_name: FormatName,
    source: Source = STANDARD_OUTPUT,
    out: Out = None,
    archive: ArchiveOfHits = None,
    verdicts: Verdicts = None,
    query: OnlyQuery = "",
    detected: Detected = False,
    with_scores: WithScores = False,
    per_recording: PerRecording = False,
    zip_: Zip = False,
    bom: Bom = False,
    address: console.Address = None,
) -> None:
    """Write hits or verdicts as annotations for ELAN, Praat, Audacity and players, or as tables.

    Annotation files have a tier a query, more where hits of one query overlap; hits that are uncertain are
    marked with a question mark.
    """
    target = ExportTarget(format_name, out, zip_, with_scores, bom, per_recording)
    target.check()
    if verdicts is None and query:
        raise typer.BadParameter("--query goes with --verdicts")
    if verdicts is not None:
        if source != STANDARD_OUTPUT or detected:
            raise typer.BadParameter("--verdicts goes without HITS and --detected")
        with Client(address, read_only=True) as client:
            judged = _judged(client, archive or "default", query, verdicts)
            told = target.write(judged, lambda: recording_lengths(client, archive or "default", judged))
        if told:
            console.print_line(escaped(told))
        return
    read = list(_hit_lines(source))
    occurrences = [each for line in read for each in line.occurrences if each.detected or not detected]
    archives = {line.archive for line in read if line.archive}
    if archive is None and len(archives) > 1:
        got = ", ".join(sorted(archives))
        raise InvalidInput(f"the hits must be of one archive, or of --archive, got {got}")
    name = archive or next(iter(archives), "default")

    def lengths() -> dict[str, float]:
        with Client(address, read_only=True) as client:
            return dict(recording_lengths(client, name, occurrences))

    if told := target.write(occurrences, lengths):
        console.print_line(escaped(told))


def _judged(client: Client, archive: str, query: str, wanted: WantedVerdicts) -> list[Occurrence]:
    """Returns the places with a verdict. Raises NotFound."""
    correct = {WantedVerdicts.CORRECT: True, WantedVerdicts.WRONG: False}.get(wanted)
    return [
        Occurrence(
            query=verdict.query,
            recording=verdict.recording,
            path=name_of_text(verdict.path),
            start=verdict.start,
            end=verdict.end,
            score=verdict.score or None,
            p_correct=verdict.p_correct or None,
            channel=verdict.channel,
            verdict=verdict.correct,
            author=verdict.author,
        )
        for verdict in client.verdicts(archive, query=query, correct=correct)
    ]


def _hit_lines(source: Path) -> Iterator[HitLine]:
    """Raises InvalidInput."""
    if source == STANDARD_OUTPUT:
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
        yield from read_lines(sys.stdin, "standard input")
        return
    try:
        with source.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from read_lines(file, str(source))
    except OSError as error:
        raise InvalidInput(f"cannot read {source}: {error.strerror}") from error
