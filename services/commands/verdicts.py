"""wordspot verdicts: what people say of hits."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.indexer.verdicts import Verdict
from wordspot.services.client.archives import Client
from wordspot.services.client.verdicts import system_user
from wordspot.services.commands import console

app = typer.Typer(no_args_is_help=True, help="Say which hits are right and which are wrong.")

Query = Annotated[str, typer.Option("--query", metavar="LABEL", help="What was looked for: its label.")]
OnlyQuery = Annotated[str, typer.Option("--query", metavar="LABEL", help="Only of this query.")]
OnlyRecording = Annotated[str, typer.Option("--recording", metavar="ID", help="Only of this recording.")]
OnlyAuthor = Annotated[str, typer.Option("--author", metavar="NAME", help="Only theirs.")]
Correct = Annotated[
    bool | None, typer.Option("--correct/--wrong", help="Only those that say so. [default: both]")
]


@app.command()
def add(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="The recording's id.")],
    start: Annotated[float, typer.Argument(metavar="START", help="Where it begins, in seconds.")],
    end: Annotated[float, typer.Argument(metavar="END", help="Where it ends, in seconds.")],
    query: Query,
    correct: Annotated[bool, typer.Option("--correct/--wrong", help="Whether it is said there.")] = True,
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="NAME", help="Whose verdict it is. [default: your user name]"),
    ] = None,
    archive: console.Archive = "default",
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Store that a query is said at a place, or is not; replaces an earlier verdict of that place."""
    name = system_user() if author is None else author
    with Client(address, wait_seconds=wait) as client:
        (stored,) = client.set_verdicts([Verdict(recording, start, end, query, correct, name)], archive)
    if as_json:
        console.print_json(_row(stored))
    else:
        told = "right" if stored.correct else "wrong"
        console.print_line(f"{stored.id}: {stored.query} is {told} at {stored.start:.2f} - {stored.end:.2f}")


@app.command("list")
def list_(
    archive: console.Archive = "default",
    query: OnlyQuery = "",
    recording: OnlyRecording = "",
    correct: Correct = None,
    author: OnlyAuthor = "",
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """List verdicts, in order of their first being set."""
    with Client(address, read_only=True) as client:
        verdicts = list(
            client.verdicts(archive, query=query, recording=recording, correct=correct, author=author)
        )
    if as_json:
        for verdict in verdicts:
            console.print_json(_row(verdict))
        return
    rows = [
        (
            verdict.id,
            verdict.query,
            "right" if verdict.correct else "wrong",
            f"{verdict.start:.2f} - {verdict.end:.2f}",
            name_of_text(verdict.path),
            verdict.author,
            f"{verdict.created:%Y-%m-%d %H:%M}",
        )
        for verdict in verdicts
    ]
    columns = ("verdict", "query", "is", "seconds", "recording", "by", "when (UTC)")
    console.print_table(columns, rows, right=(3,))


@app.command()
def delete(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[VERDICT]...", help="Verdicts by their ids.")
    ] = None,
    archive: console.Archive = "default",
    query: OnlyQuery = "",
    recording: OnlyRecording = "",
    author: OnlyAuthor = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Delete verdicts: those named, or all of a query, a recording, an author."""
    chosen = query or recording or author
    if bool(ids) == bool(chosen):
        raise typer.BadParameter("give VERDICT, or one or more of --query, --recording and --author")
    with Client(address, wait_seconds=wait) as client:
        if chosen:
            found = client.verdicts(archive, query=query, recording=recording, author=author)
            ids = [verdict.id for verdict in found]
        _confirm(len(ids or ()), asked=yes or not chosen)
        client.delete_verdicts(ids or (), archive)
    if as_json:
        console.print_json({"deleted": ids})
    else:
        console.print_line(f"{console.counted(len(ids or ()), 'verdict')} deleted")


def _confirm(count: int, *, asked: bool) -> None:
    """Raises InvalidInput, typer.Abort."""
    if asked or not count:
        return
    told = console.counted(count, "verdict")
    if not sys.stdin.isatty():
        raise InvalidInput(f"{told} would be deleted: with --yes only, where the input is no terminal")
    typer.confirm(f"Delete {told}?", abort=True, err=True)


def _row(verdict: Verdict) -> dict[str, Any]:
    created = verdict.created.isoformat() if verdict.created else None
    return vars(verdict) | {"path": name_of_text(verdict.path), "created": created}
