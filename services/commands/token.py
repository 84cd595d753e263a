"""wordspot token: who may call a server."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from wordspot.services import settings
from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import StoredToken, TokenFile
from wordspot.services.commands import console
from wordspot.services.settings import SettingsError

app = typer.Typer(help="Who may call a server: a file of tokens' hashes.", no_args_is_help=True)

FILE_NAME = "tokens.json"
File = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        envvar="WORDSPOT_TOKENS",
        metavar="FILE",
        help=f"The file, which `wordspot serve --tokens` reads. [default: {FILE_NAME} in WORDSPOT_HOME]",
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scope: Annotated[str, typer.Option(help="What it allows: read, write or admin.")] = "read",
    tenant: Annotated[str, typer.Option(help="Whose archives it opens; each tenant sees its own only.")] = "",
    days: Annotated[
        float | None, typer.Option(metavar="DAYS", help="After which it ends. [default: never]")
    ] = None,
    calls_per_minute: Annotated[int, typer.Option(min=0, help="That it may make; 0 for any number.")] = 0,
    audio_hours: Annotated[
        float, typer.Option(min=0, help="Of sound that its tenant's archives may hold; 0 for any amount.")
    ] = 0.0,
    file: File = None,
    json: console.Json = False,
) -> None:
    """Create a token and print it: it is stored nowhere, only its hash is."""
    try:
        token, text = _token_file(file).create(
            name,
            Scope.parse(scope),
            tenant,
            days=days,
            calls_per_minute=calls_per_minute,
            audio_hours=audio_hours,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    if json:
        console.print_json({"token": text, **_row(token)})
    else:
        console.print_line(text)


@app.command("list")
def list_tokens(file: File = None, json: console.Json = False) -> None:
    """List the tokens by what is stored of them."""
    rows = [_row(token) for token in _token_file(file).tokens()]
    if json:
        for row in rows:
            console.print_json(row)
        return
    columns = ("id", "name", "scope", "tenant", "created", "expires")
    console.print_table(columns, [tuple(row[column] for column in columns) for row in rows])


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="Of the token, as `list` shows it.")],
    file: File = None,
) -> None:
    """Revoke a token: servers refuse it from the next call on."""
    entry = _token_file(file).revoke(token)
    console.print_line(f"revoked {entry.id} of {entry.name}")


def _token_file(path: Path | None) -> TokenFile:
    return TokenFile(path or settings.home(os.environ) / FILE_NAME)


def _row(token: StoredToken) -> dict[str, Any]:
    return {name: value for name, value in asdict(token).items() if name != "sha256"}
