"""What the commands share: options, tables, JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from wordspot.indexer.errors import InvalidInput

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="WORDSPOT_ADDRESS",
        metavar="HOST:PORT",
        help="A running `wordspot serve`; without it the command works on WORDSPOT_HOME by itself.",
    ),
]
UNFOLDED = 10_000
Archive = Annotated[str, typer.Option("--archive", "-a", help="The archive's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def say_part(text: str) -> None:
    """Without an end of line, and at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def say_json(value: Any) -> None:
    say(json.dumps(value, ensure_ascii=False))


def say_table(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: tuple[int, ...] = ()
) -> None:
    """right: numbers of the columns that hold figures. Lines are as long as need be where nobody looks."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False, width=None if sys.stdout.isatty() else UNFOLDED).print(table)


def as_dict(message: Message) -> dict[str, Any]:
    """Field names as in the contract, enums without prefix in lower case, times as ISO 8601."""
    return {field.name: _plain(field, getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, float], None]]:
    """A function of stage, done and total that moves a bar on standard error; silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def move(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield move


def hours(seconds: float) -> str:
    """1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _plain(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if field.enum_type is not None:
        name: str = field.enum_type.values_by_number[value].name
        return name.rsplit("_", 1)[-1].lower()
    return value


def check_png(out: Path) -> None:
    """Raises InvalidInput where no PNG file can be written there."""
    check_out(out, (".png",))


def check_out(out: Path, suffixes: Sequence[str]) -> None:
    """Raises InvalidInput where no file with one of these endings can be written."""
    if out.suffix.lower() not in suffixes:
        raise InvalidInput(f"--out {out}; a name that ends in {' or '.join(suffixes)} is allowed")
    if not out.parent.is_dir():
        raise InvalidInput(f"--out {out}: there is no folder {out.parent}")
