"""wordspot export: hits to files of other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import InvalidInput
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
    detected: Detected = False,
    with_scores: WithScores = False,
    per_recording: PerRecording = False,
    zip_: Zip = False,
    bom: Bom = False,
    address: console.Address = None,
) -> None:
    """Write hits as annotations for ELAN, Praat, Audacity and players, or as tables.

    Annotation files have a tier a query, more where hits of one query overlap; hits that are uncertain are
    marked with a question mark.
    """
    target = ExportTarget(format_name, out, zip_, with_scores, bom, per_recording)
    target.check()
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
