"""wordspot index: recordings into an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.tags import checked_tags
from wordspot.services.client.archives import Client
from wordspot.services.client.records import FileChanges, IndexReport
from wordspot.services.client.tag_tables import read_tag_table
from wordspot.services.commands import console
from wordspot.services.commands.filters import parsed_tags
from wordspot.services.escapes import escaped
from wordspot.services.interchange.schemas import INDEX, named

NAMED_PATHS = 3  # of each kind
UNBOUNDED = 2**63


Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PATH]...",
        parser=console.parsed_path,
        help="Files or folders of audio; none to index what the archive holds already.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        help="Which encoder; another than the archive's re-indexes everything. New archives get auto: "
        "the best that runs here without a download."
    ),
]
Channels = Annotated[
    str,
    typer.Option(
        metavar="mix|each|N",
        help="Which channels are searched: the mix of all, each by itself, or one. A change indexes what "
        "it concerns anew. [default: as the archive has it, the mix at first]",
    ),
]
Tracks = Annotated[
    str,
    typer.Option(
        metavar="default|all|N",
        help="Which audio tracks: the one that a player would choose, all, or one. [default: as the "
        "archive has it]",
    ),
]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Follow links to folders that lie in folders.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="What every file is tagged with, once or more."),
]
TagTable = Annotated[
    Path | None,
    typer.Option(
        "--tags",
        metavar="FILE",
        parser=console.parsed_path,
        help="A CSV file of tags: a column path, and one for each tag.",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Name every file, also those that are left out.")
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete recordings whose files lay in PATH and are missing.")
]
DropMissing = Annotated[
    bool,
    typer.Option("--drop-missing", help="With another encoder: drop recordings that cannot be read again."),
]


def index(
    paths: Paths = None,
    archive: console.Archive = "default",
    encoder: Encoder = None,
    channels: Channels = "",
    tracks: Tracks = "",
    follow_links: FollowLinks = False,
    tags: Tags = None,
    tag_table: TagTable = None,
    verbose: Verbose = False,
    prune: Prune = False,
    drop_missing: DropMissing = False,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Add recordings to an archive and make them searchable."""
    common = checked_tags(dict(parsed_tags(tags)))
    table = {} if tag_table is None else read_tag_table(tag_table)
    with Client(address, wait_seconds=wait) as client, console.progress_bar() as move:
        report = client.index(
            paths or (),
            archive,
            encoder,
            progress=lambda step: move(step.stage, step.done, step.total),
            follow_links=follow_links,
            tags=common,
            tags_by_path=table,
            drop_missing=drop_missing,
            prune=prune,
            channels=channels,
            tracks=tracks,
        )
    _warn(report)
    if as_json:
        console.print_json(_figures(report))
    else:
        console.print_line(_summary(report, UNBOUNDED if verbose else NAMED_PATHS))
    if report.encoder_reason and not as_json:
        console.print_line(f"encoder {report.encoder_reason}")
    if report.problems or report.untagged:
        raise typer.Exit(2)


def _warn(report: IndexReport) -> None:
    """Prints what is wrong with files."""
    for path, problem in report.problems.items():
        console.warn(f"wordspot: not indexed: {problem if path in problem else f'{path}: {problem}'}")
    for path, warnings in report.warnings.items():
        for warning in warnings:
            console.warn(f"wordspot: {path}: {warning}")
    for problem in report.untagged.values():
        console.warn(f"wordspot: not tagged: {problem}")


def _figures(report: IndexReport) -> dict[str, object]:
    done = report.operation
    return named(INDEX) | {
        "archive": report.archive.name,
        "channels": report.archive.channels,
        "tracks": report.archive.tracks,
        "encoder": done.encoder,
        "added": report.added,
        "already_present": report.present,
        "files": asdict(report.files),
        "ignored": report.ignored,
        "ignored_files": report.ignored_files,
        "skipped": report.skipped,
        "problems": report.problems,
        "warnings": report.warnings,
        "untagged": report.untagged,
        "indexed": done.recordings_done,
        "indexed_audio_seconds": done.audio_seconds_done,
        "indexed_spans": done.spans_done,
        "seconds": report.seconds,
        "x_realtime": done.audio_seconds_done / report.seconds,
        "recordings": report.archive.recordings,
        "audio_seconds": report.archive.audio_seconds,
        "spans": report.archive.spans,
    }


def _summary(report: IndexReport, named: int) -> str:
    """named: paths of each kind that are listed at most."""
    done, archive = report.operation, report.archive
    lines = [
        f"indexed {console.counted(done.recordings_done, 'recording')}, "
        f"{console.hours(done.audio_seconds_done)} of audio, {console.counted(done.spans_done, 'span')} in "
        f"{report.seconds:.1f} s ({done.audio_seconds_done / report.seconds:.0f} x real time) with encoder "
        f"{done.encoder}"
    ]
    if report.present:
        was = "was" if report.present == 1 else "were"
        lines.append(f"{console.counted(report.present, 'file')} {was} in the archive already")
    lines += changed_lines(report.files, named)
    lines += _left_out(report, named)
    if report.added + report.present or archive.recordings:
        lines.append(
            f"archive {archive.name}: {console.counted(archive.recordings, 'recording')}, "
            f"{console.hours(archive.audio_seconds)}, {console.counted(archive.spans, 'span')}"
        )
    else:
        lines.append(f"nothing could be added: archive {archive.name} holds no recording")
    return "\n".join(lines)


def _left_out(report: IndexReport, named: int) -> list[str]:
    """Returns a line for each reason for which something was left out, with the first paths."""
    paths: dict[str, list[str]] = {}
    for path in report.ignored_files:
        paths.setdefault("not audio by their names", []).append(path)
    for path, reason in report.skipped.items():
        paths.setdefault(reason, []).append(path)
    return [f"{len(each)} left out, {reason}: {_listed(each, named)}" for reason, each in paths.items()]


def changed_lines(files: FileChanges, named: int) -> list[str]:
    """Returns a line for each kind of change, with the first paths."""
    renamed = [f"{before} is {now}" for before, now in files.renamed.items()]
    kinds = {
        "changed": files.changed,
        "renamed": renamed,
        "there again": files.found,
        "missing, still searched (`wordspot index --prune` deletes them)": files.missing,
        "missing, deleted from the archive": files.pruned,
    }
    return [f"{len(each)} {kind}: {_listed(each, named)}" for kind, each in kinds.items() if each]


def _listed(paths: Sequence[str], named: int) -> str:
    """Returns the first paths, so many at most."""
    more = ", ... (--verbose names all)" if len(paths) > named else ""
    return ", ".join(map(escaped, paths[:named])) + more
