"""wordspot backup and wordspot restore: a copy of the catalogue, and how it comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.settings import SearcherSettings

if TYPE_CHECKING:
    from wordspot.indexer.archive.catalogue_file import CatalogueSummary


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    as_json: console.Json = False,
) -> None:
    """Write a copy of the catalogue in WORDSPOT_HOME, which may be in use, to a file."""
    from wordspot.indexer.archive.catalogue_file import back_up

    summary = back_up(_home("pg_dump"), file)
    if as_json:
        console.print_json({"file": str(file)} | vars(summary))
    else:
        console.print_line(f"{file}: {_contents(summary)}")


def restore(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="What `wordspot backup` wrote.")] = None,
    identity: Annotated[
        bool,
        typer.Option(
            "--identity", help="Only tie WORDSPOT_HOME to its own catalogue again, and accept it as it is."
        ),
    ] = False,
    segments: Annotated[
        bool, typer.Option("--segments", help="Without a backup: make a new catalogue from the segments.")
    ] = False,
    as_json: console.Json = False,
) -> None:
    """Put a backup in the place of the catalogue in WORDSPOT_HOME; nothing is deleted."""
    from wordspot.indexer.archive import catalogue_file

    if [file is not None, identity, segments].count(True) != 1:
        raise InvalidInput("restore needs one of FILE, --segments and --identity")
    home = _home("pg_restore")
    if segments:
        _rebuild(home, as_json=as_json)
        return
    if file is None:
        restored = catalogue_file.restore_identity(home)
        if as_json:
            console.print_json({"identity": restored})
        else:
            console.print_line(f"{home} has identity {restored} again")
        return
    result = catalogue_file.restore(home, file)
    if as_json:
        console.print_json(
            vars(result.catalogue)
            | {
                "missing_segments": result.missing_segments,
                "missing_uploads": result.missing_uploads,
                "unlisted": str(result.unlisted or ""),
                "replaced": str(result.replaced or ""),
            }
        )
        return
    catalogue = result.catalogue
    console.print_line(f"restored {_contents(catalogue)}")
    if result.missing_segments:
        console.print_line(
            f"missing: {console.counted(len(result.missing_segments), 'segment')}: "
            "`wordspot archive repair --archive NAME` indexes anew what they held"
        )
    if result.missing_uploads:
        console.print_line(
            f"{len(result.missing_uploads)} uploads are missing: {result.missing_uploads[0]}, ..."
        )
    if result.unlisted:
        console.print_line(f"segments and uploads that the backup does not list lie in {result.unlisted}")
    if result.replaced:
        console.print_line(f"the former catalogue lies in {result.replaced}")


def _rebuild(home: Path, *, as_json: bool) -> None:
    from wordspot.indexer.archive.rebuild import rebuild

    result = rebuild(home)
    catalogue = result.catalogue
    if as_json:
        console.print_json(
            vars(catalogue)
            | {
                "deleted": result.deleted,
                "unusable": result.unusable,
                "unknown_uploads": result.uploads,
                "unlisted": str(result.unlisted or ""),
                "replaced": str(result.replaced or ""),
            }
        )
        return
    console.print_line(f"a new catalogue lists {_contents(catalogue)}")
    console.print_line(
        "it does not list recordings that were not indexed: `wordspot index` adds them again; deleted ones "
        f"may be back ({result.deleted} are known to be deleted)"
    )
    for problem in result.unusable:
        console.print_line(f"not listed: {problem}")
    if result.uploads:
        console.print_line(f"{len(result.uploads)} uploads belong to no segment: {result.uploads[0]}, ...")
    if result.unlisted:
        console.print_line(f"segments and uploads that it does not list lie in {result.unlisted}")
    if result.replaced:
        console.print_line(f"the former catalogue lies in {result.replaced}")


def _home(tool: str) -> Path:
    """Returns the home. Raises FailedPrecondition if its catalogue is no file."""
    home = settings.home(os.environ)
    if SearcherSettings.read(os.environ, home=home).database_url:
        raise FailedPrecondition(
            f"WORDSPOT_DATABASE_URL names a database, which has tools of its own, such as {tool}"
        )
    return home


def _contents(summary: CatalogueSummary) -> str:
    """Returns what a catalogue lists, in words."""
    parts = (
        (summary.archives, "archive"),
        (summary.recordings, "recording"),
        (summary.segments, "segment"),
    )
    return ", ".join(console.counted(number, noun) for number, noun in parts)
