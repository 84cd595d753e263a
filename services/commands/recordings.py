"""wordspot archive recordings: what an archive holds, and what people know of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.paths import name_of_text
from wordspot.services.client.archives import Client
from wordspot.services.client.tag_tables import read_tag_table, recording_update, tag_updates
from wordspot.services.commands import console
from wordspot.services.commands.filters import (
    Folders,
    Paths,
    Since,
    Tags,
    Until,
    parsed_tags,
    recording_filter,
)
from wordspot.v1 import archive_pb2

app = typer.Typer(no_args_is_help=True, help="List the recordings of an archive and tag them.")

States = Annotated[
    list[str] | None, typer.Option("--state", help="Only recordings that are added, indexed or failed.")
]


@app.command("list")
def list_(
    archive: console.Archive = "default",
    paths: Paths = None,
    folders: Folders = None,
    tags: Tags = None,
    since: Since = None,
    until: Until = None,
    states: States = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """List the recordings that match, in order of adding."""
    wanted = recording_filter(paths, folders, tags, since, until)
    with Client(address, read_only=True) as client:
        recordings = list(client.recordings(archive, filter=wanted, states=states or ()))
        total = client.archive(archive).recordings
    if as_json:
        for recording in recordings:
            console.print_json(console.as_dict(recording))
        return
    console.print_table(
        ("recording", "state", "seconds", "path", "tags"),
        [
            (
                recording.id,
                console.as_dict(recording)["state"],
                f"{recording.duration_seconds:.1f}",
                name_of_text(recording.path),
                _told(recording),
            )
            for recording in recordings
        ],
        right=(2,),
    )
    if wanted or states:
        console.print_line(f"{len(recordings)} of {console.counted(total, 'recording')}")


@app.command()
def tag(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORDING]...", help="Which: id, path, or the end of a path that no other ends with."
        ),
    ] = None,
    archive: console.Archive = "default",
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="What they are tagged with.")
    ] = None,
    removed: Annotated[
        list[str] | None, typer.Option("--untag", metavar="KEY", help="A tag to be removed.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove all tags that are not given.")] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--tags",
            metavar="FILE",
            parser=console.parsed_path,
            help="Instead of all this: a CSV file with a column path, and one for each tag.",
        ),
    ] = None,
    paths: Paths = None,
    folders: Folders = None,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Tag recordings: those named, those that match --path and --folder, or those in a CSV file."""
    wanted = recording_filter(paths, folders, None, None, None)
    given = dict(parsed_tags(tags))
    if table is not None:
        if names or given or removed or replace or wanted:
            raise typer.BadParameter("--tags goes alone: the file says which recordings get which tags")
        rows = read_tag_table(table)
        labels, updates = list(rows), tag_updates(rows, ())
    elif bool(names) == bool(wanted):
        raise typer.BadParameter("give RECORDING, or --path and --folder, or --tags FILE")
    elif not (given or removed or replace):
        raise typer.BadParameter("give --tag, --untag or --replace")
    with Client(address, wait_seconds=wait) as client:
        if table is None:
            labels = list(names or _matching(client, archive, paths, folders))
            updates = [
                recording_update(name, tags=given, removed=removed or (), replace=replace) for name in labels
            ]
        outcomes = list(client.update_recordings(updates, archive))
    _report(outcomes, as_json=as_json)


@app.command("tags")
def tags_(
    archive: console.Archive = "default", address: console.Address = None, as_json: console.Json = False
) -> None:
    """List the tags that recordings have, and how many have each."""
    with Client(address, read_only=True) as client:
        counts = list(client.tags(archive))
    if as_json:
        for count in counts:
            console.print_json(console.as_dict(count))
        return
    rows = [(count.key, count.value, str(count.recordings)) for count in counts]
    console.print_table(("tag", "value", "recordings"), rows, right=(2,))


def _matching(
    client: Client, archive: str, paths: Sequence[str] | None, folders: Sequence[str] | None
) -> list[str]:
    """Returns the ids of the recordings that match. Raises NotFound if none does."""
    wanted = recording_filter(paths, folders, None, None, None)
    if found := [recording.id for recording in client.recordings(archive, filter=wanted)]:
        return found
    raise NotFound(f"no recording of archive {archive!r} matches the filter ({wanted})")


def _report(outcomes: Sequence[archive_pb2.UpdatedRecording], *, as_json: bool) -> None:
    """Prints what became of each change. Raises InvalidInput, typer.Exit."""
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    if len(problems) == len(outcomes) == 1:
        raise InvalidInput(problems[0])
    for problem in problems:
        console.warn(f"wordspot: not tagged: {problem}")
    done = [outcome.recording for outcome in outcomes if not outcome.problem]
    if as_json:
        for recording in done:
            console.print_json(console.as_dict(recording))
    else:
        console.print_line(f"{console.counted(len(done), 'recording')} tagged")
    if problems:
        raise typer.Exit(2)


def _told(recording: archive_pb2.Recording) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(recording.tags.items()))
