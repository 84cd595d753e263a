"""Options by which commands choose recordings, and the tags that they are given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.filters import RecordingFilter

Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="GLOB",
        help="Only recordings whose path, or the end of it, matches: *.wav, interviews/**; several: any.",
    ),
]
Folders = Annotated[
    list[str] | None,
    typer.Option("--folder", metavar="DIR", help="Only recordings below a folder; several: any."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="KEY=VALUE", help="Only recordings with this tag; several of a key: any of them."
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE", help="Only recordings whose tag date is not before this one."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE", help="Only recordings whose tag date is not after this one."),
]


def recording_filter(
    paths: Sequence[str] | None,
    folders: Sequence[str] | None,
    tags: Sequence[str] | None,
    since: str | None,
    until: str | None,
) -> RecordingFilter:
    """Returns the filter that options ask for. Raises typer.BadParameter, InvalidInput."""
    values: dict[str, tuple[str, ...]] = {}
    for key, value in parsed_tags(tags):
        values[key] = (*values.get(key, ()), value)
    return RecordingFilter(
        tuple(paths or ()), tuple(map(_folder, folders or ())), values, since or "", until or ""
    ).checked()


def parsed_tags(tags: Sequence[str] | None) -> list[tuple[str, str]]:
    """Returns key and value of each tag. Raises typer.BadParameter."""
    parsed = []
    for tag in tags or ():
        key, sign, value = tag.partition("=")
        if not sign:
            raise typer.BadParameter(f"a tag must be KEY=VALUE, got {tag!r}")
        parsed.append((key.strip(), value))
    return parsed


def _folder(folder: str) -> str:
    """Returns a folder that is named from here, with . or .., as an absolute one."""
    return os.path.normpath(Path(folder).absolute()) if folder.split("/")[0] in (".", "..") else folder
