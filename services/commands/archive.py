"""wordspot archive: look at archives and look after them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wordspot.services.client import Client
from wordspot.services.commands import console

app = typer.Typer(no_args_is_help=True, help="List, show, delete and compact archives.")

Name = Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's name.")]


@app.command("list")
def list_(address: console.Address = None, as_json: console.Json = False) -> None:
    """List the archives."""
    with Client(address) as client:
        archives = list(client.archives())
    if as_json:
        for archive in archives:
            console.say_json(console.as_dict(archive))
        return
    rows = [
        (a.name, str(a.recordings), str(a.indexed_recordings), console.hours(a.audio_seconds), a.encoder)
        for a in archives
    ]
    console.say_table(("archive", "recordings", "indexed", "audio", "encoder"), rows, right=(1, 2, 3))


@app.command()
def show(name: Name = "default", address: console.Address = None, as_json: console.Json = False) -> None:
    """Show an archive and its recordings."""
    with Client(address) as client:
        archive = client.archive(name)
        recordings = list(client.recordings(name))
        operations = list(client.operations(name))
    if as_json:
        console.say_json(
            console.as_dict(archive)
            | {
                "recording_list": [console.as_dict(recording) for recording in recordings],
                "operation_list": [console.as_dict(operation) for operation in operations],
            }
        )
        return
    for field, value in console.as_dict(archive).items():
        console.say(f"{field.replace('_', ' '):20} {value}")
    rows = [
        (r.id, console.as_dict(r)["state"], f"{r.duration_seconds:.1f}", r.path, r.problem)
        for r in recordings
    ]
    console.say_table(("recording", "state", "seconds", "path", "problem"), rows, right=(2,))


@app.command()
def delete(
    name: Name,
    recording: Annotated[
        str | None, typer.Option(help="Delete this recording instead of the whole archive.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Delete an archive, or one recording of it. The files that were indexed by path stay."""
    what = f"recording {recording} of archive {name}" if recording else f"archive {name}"
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {what}?", abort=True, err=True)
    with Client(address) as client:
        if recording:
            client.delete(recording, name)
        else:
            client.delete_archive(name)
    if as_json:
        console.say_json({"deleted": recording or name})
    else:
        console.say(f"deleted {what}")


@app.command()
def compact(name: Name = "default", address: console.Address = None, as_json: console.Json = False) -> None:
    """Merge an archive's segments and drop what was deleted."""
    with Client(address) as client:
        done = client.compact(name)
    if as_json:
        console.say_json(console.as_dict(done))
    else:
        console.say(
            f"{done.segments_before} segments became {done.segments_after}, {done.bytes_freed} bytes freed"
        )
