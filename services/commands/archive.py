"""wordspot archive: look at archives and look after them."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.archive.home_lock import holder_of
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.services import settings
from wordspot.services.client.archives import Client
from wordspot.services.client.changes import MISSING, ChangeLog
from wordspot.services.commands import console, recordings
from wordspot.services.commands.index import NAMED_PATHS, changed_lines
from wordspot.services.escapes import escaped
from wordspot.services.interchange.schemas import ARCHIVE, named
from wordspot.v1 import archive_pb2

app = typer.Typer(no_args_is_help=True, help="List, show, verify, repair, delete and compact archives.")
app.add_typer(recordings.app, name="recordings")

Name = Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's name.")]


@app.command("list")
def list_(address: console.Address = None, as_json: console.Json = False) -> None:
    """List the archives."""
    with Client(address, read_only=True) as client:
        archives = list(client.archives())
    if as_json:
        for archive in archives:
            console.print_json(named(ARCHIVE) | console.as_dict(archive))
        return
    rows = [
        (a.name, str(a.recordings), str(a.indexed_recordings), console.hours(a.audio_seconds), a.encoder)
        for a in archives
    ]
    console.print_table(("archive", "recordings", "indexed", "audio", "encoder"), rows, right=(1, 2, 3))


@app.command()
def show(name: Name = "default", address: console.Address = None, as_json: console.Json = False) -> None:
    """Show an archive and its recordings."""
    with Client(address, read_only=True) as client:
        archive = client.archive(name)
        recordings = list(client.recordings(name))
        operations = list(client.operations(name))
    if as_json:
        console.print_json(
            named(ARCHIVE)
            | console.as_dict(archive)
            | {
                "recording_list": [console.as_dict(recording) for recording in recordings],
                "operation_list": [console.as_dict(operation) for operation in operations],
            }
        )
        return
    for field, value in console.as_dict(archive).items():
        if field != "quarantined":
            console.print_line(f"{field.replace('_', ' '):20} {value}")
    for segment in archive.quarantined:
        console.print_line(
            f"{'quarantined':20} {segment.problem} ({console.counted(segment.recordings, 'recording')})"
        )
    rows = [
        (
            r.id,
            console.as_dict(r)["state"],
            f"{r.duration_seconds:.1f}",
            name_of_text(r.path),
            r.problem or "; ".join(r.warnings),
        )
        for r in recordings
    ]
    console.print_table(("recording", "state", "seconds", "path", "problem or warnings"), rows, right=(2,))


@app.command()
def delete(
    name: Name,
    recording: Annotated[
        str | None, typer.Option(help="Delete this recording instead of the whole archive.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Delete an archive, or one recording of it. The files that were indexed by path stay."""
    what = f"recording {recording} of archive {name}" if recording else f"archive {name}"
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput(f"{what} is deleted with --yes only, where the input is no terminal")
        typer.confirm(f"Delete {escaped(what)}?", abort=True, err=True)
    with Client(address, wait_seconds=wait) as client:
        if recording:
            client.delete(recording, name)
        else:
            client.delete_archive(name)
    if as_json:
        console.print_json({"deleted": recording or name})
    else:
        console.print_line(f"deleted {what}")


@app.command()
def compact(
    name: Name = "default",
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Merge an archive's segments and drop what was deleted."""
    with Client(address, wait_seconds=wait) as client:
        done = client.compact(name)
    if as_json:
        console.print_json(console.as_dict(done))
    else:
        console.print_line(
            f"{console.counted(done.segments_before, 'segment')} became {done.segments_after}, "
            f"{console.counted(done.bytes_freed, 'byte')} freed"
        )


@app.command()
def verify(
    archive: console.Archive = "default",
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Compare every stored byte with its checksum; damaged segments are not searched any more.

    Beside a server or another command that has the home open, and where it cannot be written, damage is only
    named.
    """
    obstacle = "" if address or wait else _obstacle(settings.home(os.environ))
    if obstacle:
        console.warn(f"wordspot: {obstacle}: damage is named, but stays in the way of searches")
    with Client(address, wait_seconds=wait, read_only=bool(obstacle)) as client:
        problems = _checked(client, archive, as_json=as_json)
    if problems:
        console.warn(f"wordspot: repair it with `wordspot archive repair --archive {archive}`")
        raise typer.Exit(2)


@app.command()
def refresh(
    name: Name = "default",
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Look at every file that was added by path: what changed is indexed, what is gone is missing."""
    log = ChangeLog()
    with Client(address, wait_seconds=wait) as client, console.progress_bar() as move:
        for change in client.refresh(name, progress=lambda step: move(step.stage, step.done, step.total)):
            log.note(change.status, name_of_text(change.recording.path), change.previous_path)
        log.missing = [name_of_text(each.path) for each in client.recordings(name, states=MISSING)]
        files = log.changes(())
        if files.changed:
            client.follow(client.start_index(name), lambda step: move(step.stage, step.done, step.total))
    if as_json:
        console.print_json({"archive": name, "files": asdict(files)})
    else:
        console.print_line("\n".join(changed_lines(files, NAMED_PATHS) or ["no file has changed"]))


@app.command()
def prune(
    name: Name = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Delete the recordings whose files are missing."""
    with Client(address, wait_seconds=wait) as client:
        missing = [name_of_text(each.path) for each in client.recordings(name, states=MISSING)]
        if missing and not yes:
            what = f"{console.counted(len(missing), 'recording')} of archive {name}, such as {missing[0]}"
            if not sys.stdin.isatty():
                raise InvalidInput(f"{what}, would be deleted: --yes is needed, the input is no terminal")
            typer.confirm(f"Delete {escaped(what)}?", abort=True, err=True)
        pruned = [name_of_text(each.path) for each in client.prune(name)]
    if as_json:
        console.print_json({"archive": name, "pruned": pruned})
    else:
        console.print_line(f"deleted {console.counted(len(pruned), 'recording')} of archive {name}")


@app.command()
def repair(
    archive: console.Archive = "default",
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Verify an archive and index anew, from the recordings' files, what is damaged."""
    with Client(address, wait_seconds=wait) as client, console.progress_bar() as move:
        uploads = [
            c for c in client.verify(archive) if c.problem and c.kind == archive_pb2.STORED_KIND_UPLOAD
        ]
        damaged = list(client.archive(archive).quarantined)
        done = client.repair(archive, progress=lambda step: move(step.stage, step.done, step.total))
        lost = [r for r in client.recordings(archive) if r.problem] if done.recordings_failed else []
    if as_json:
        console.print_json(
            {
                "segments": [segment.name for segment in damaged],
                "indexed": done.recordings_done,
                "lost": {name_of_text(recording.path): recording.problem for recording in lost},
                "damaged_uploads": {upload.name: upload.problem for upload in uploads},
            }
        )
    else:
        console.print_line(
            f"{console.counted(len(damaged), 'damaged segment')}, "
            f"{console.counted(done.recordings_done, 'recording')} indexed again, "
            f"{done.recordings_failed} lost"
        )
    for recording in lost:
        console.warn(f"wordspot: lost: {recording.problem}")
    for upload in uploads:
        console.warn(f"wordspot: cannot be repaired, upload it again: {upload.problem}")
    if lost or uploads:
        raise typer.Exit(2)


def _obstacle(home: Path) -> str:
    """Returns why nothing can be written to a home; "" if it can be."""
    if holder := holder_of(home):
        return (
            f"{home} is in use by {holder}. Let a server verify by --address, or wait for the end of another "
            "command with --wait SECONDS"
        )
    return f"{home} cannot be written" if home.exists() and not os.access(home, os.W_OK) else ""


def _checked(client: Client, archive: str, *, as_json: bool) -> int:
    """Prints the result of each check as it comes and returns the number of problems."""
    count, size, problems = 0, 0, 0
    for result in client.verify(archive):
        count, size, problems = count + 1, size + result.size_bytes, problems + bool(result.problem)
        if as_json:
            console.print_json(console.as_dict(result))
        elif result.problem:
            console.print_line(f"{result.problem} ({console.counted(result.recordings, 'recording')})")
    if not as_json:
        console.print_line(
            f"catalogue, segments and uploads: {count} checked, {size / 2**20:.1f} MiB, {problems} damaged"
        )
    return problems
