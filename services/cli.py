"""The command `wordspot`.

Mistakes of the user and errors of a service end with exit code 2 and one line on standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

from wordspot.services import native

os.environ.update(native.missing(os.environ))

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services import reporting, settings
from wordspot.services.commands import archive, data, models, open_page, token, verdicts
from wordspot.services.commands.adapt import adapt
from wordspot.services.commands.backup import backup, restore
from wordspot.services.commands.describe import chat, describe
from wordspot.services.commands.doctor import doctor
from wordspot.services.commands.export import export
from wordspot.services.commands.gallery import gallery
from wordspot.services.commands.generate import analogy, complete, encode, generate, neighbours, translate
from wordspot.services.commands.index import index
from wordspot.services.commands.resume import resume
from wordspot.services.commands.search import search
from wordspot.services.commands.serve import serve
from wordspot.services.commands.train import train
from wordspot.services.commands.watch import watch

app = typer.Typer(
    name="wordspot",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"wordspot {version('wordspot')}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Say a word, find every place it was said, in any language, without transcripts."""


for command in (
    index,
    watch,
    resume,
    search,
    export,
    generate,
    complete,
    encode,
    neighbours,
    analogy,
    translate,
    describe,
    chat,
    gallery,
    train,
    adapt,
    serve,
    backup,
    restore,
    doctor,
):
    app.command()(command)
app.command()(open_page.open)
for name, group in (
    ("archive", archive.app),
    ("verdicts", verdicts.app),
    ("models", models.app),
    ("data", data.app),
    ("token", token.app),
):
    app.add_typer(group, name=name)


def run() -> NoReturn:
    """Runs the command and ends the process."""
    reporting.run(_command)


def main() -> None:
    """Runs the command. Raises SystemExit with its status."""
    reporting.reported(_command)


def _command() -> None:
    settings.arm_faults(os.environ)
    _check(sys.argv)
    app()


def _check(arguments: list[str]) -> None:
    """Raises InvalidInput for what no message could carry: other bytes than UTF-8 but for names of files."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            if not Path(argument).exists():
                raise InvalidInput(f"an argument must be UTF-8 or name a file, got {argument!r}") from None


if __name__ == "__main__":
    run()
