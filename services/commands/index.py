"""wordspot index: recordings into an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from wordspot.services.client.archives import Client
from wordspot.services.client.records import IndexReport
from wordspot.services.commands import console
from wordspot.services.escapes import escaped

NAMED_PATHS = 3  # of those left out for one reason


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", parser=console.parsed_path, help="Files or folders of audio."),
    ],
    archive: console.Archive = "default",
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Which encoder; another than the archive's re-indexes everything. New archives get auto: "
            "the best that runs here without a download."
        ),
    ] = None,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Add recordings to an archive and make them searchable."""
    with Client(address, wait_seconds=wait) as client, console.progress_bar() as move:
        report = client.index(
            paths, archive, encoder, progress=lambda step: move(step.stage, step.done, step.total)
        )
    for path, problem in report.problems.items():
        console.warn(f"wordspot: not indexed: {problem if path in problem else f'{path}: {problem}'}")
    for path, warnings in report.warnings.items():
        for warning in warnings:
            console.warn(f"wordspot: {path}: {warning}")
    if as_json:
        console.print_json(_figures(report))
    else:
        console.print_line(_summary(report))
    if report.encoder_reason and not as_json:
        console.print_line(f"encoder {report.encoder_reason}")
    if report.problems:
        raise typer.Exit(2)


def _figures(report: IndexReport) -> dict[str, object]:
    done = report.operation
    return {
        "archive": report.archive.name,
        "encoder": done.encoder,
        "added": report.added,
        "already_present": report.present,
        "ignored": report.ignored,
        "skipped": report.skipped,
        "problems": report.problems,
        "warnings": report.warnings,
        "indexed": done.recordings_done,
        "indexed_audio_seconds": done.audio_seconds_done,
        "indexed_spans": done.spans_done,
        "seconds": report.seconds,
        "x_realtime": done.audio_seconds_done / report.seconds,
        "recordings": report.archive.recordings,
        "audio_seconds": report.archive.audio_seconds,
        "spans": report.archive.spans,
    }


def _summary(report: IndexReport) -> str:
    done, archive = report.operation, report.archive
    lines = [
        f"indexed {done.recordings_done} recordings, {console.hours(done.audio_seconds_done)} of audio, "
        f"{done.spans_done} spans in {report.seconds:.1f} s "
        f"({done.audio_seconds_done / report.seconds:.0f} x real time) with encoder {done.encoder}"
    ]
    if report.present:
        lines.append(f"{report.present} files were in the archive already")
    if report.ignored:
        lines.append(f"{report.ignored} files in folders were left out: not audio by their names")
    lines += _skipped_lines(report.skipped)
    lines.append(
        f"archive {archive.name}: {archive.recordings} recordings, {console.hours(archive.audio_seconds)}, "
        f"{archive.spans} spans"
    )
    return "\n".join(lines)


def _skipped_lines(skipped: Mapping[str, str]) -> list[str]:
    """Returns a line for each reason for which something was left out, with the first paths."""
    paths: dict[str, list[str]] = {}
    for path, reason in skipped.items():
        paths.setdefault(reason, []).append(escaped(path))
    lines = []
    for reason, each in paths.items():
        more = ", ..." if len(each) > NAMED_PATHS else ""
        lines.append(f"{len(each)} left out, {reason}: {', '.join(each[:NAMED_PATHS])}{more}")
    return lines
