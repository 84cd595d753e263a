"""What the commands share: options, tables, JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.services.escapes import escaped, escaped_json, escaped_text

if TYPE_CHECKING:
    from wordspot.models.artifact import Metric

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="WORDSPOT_ADDRESS",
        metavar="HOST:PORT",
        help="A running `wordspot serve`; without it the command works on WORDSPOT_HOME by itself.",
    ),
]
UNFOLDED_WIDTH = 10_000
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        help="Wait so long for another process that is writing to WORDSPOT_HOME. [default: not at all]",
    ),
]
Archive = Annotated[str, typer.Option("--archive", "-a", help="The archive's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]


def parsed_path(text: str) -> Path:
    """Returns the path. Raises typer.BadParameter for an empty one, which would mean the current folder."""
    if not text:
        raise typer.BadParameter("a path must not be empty")
    return Path(text)


def print_line(text: str) -> None:
    """Prints a line, or several. Names in it that may hold ends of lines are to be `escaped` before."""
    sys.stdout.write(f"{escaped_text(text)}\n")


def print_part(text: str) -> None:
    """Prints text at once, without an end of line."""
    sys.stdout.write(escaped_text(text))
    sys.stdout.flush()


def warn(text: str) -> None:
    """Prints a line on standard error."""
    sys.stderr.write(f"{escaped(text)}\n")


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON."""
    sys.stdout.write(f"{escaped_json(json.dumps(value, ensure_ascii=False))}\n")


def print_table(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: tuple[int, ...] = ()
) -> None:
    """Prints a table.

    right: numbers of the columns that are aligned to the right. Lines are folded on a terminal only.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(escaped(cell)) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else UNFOLDED_WIDTH).print(table)


def as_dict(message: Message) -> dict[str, Any]:
    """Returns a message by field name, with enums in lower case without prefix and times as ISO 8601."""
    return {field.name: _plain(field, getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, float], None]]:
    """Yields a function of stage, done and total that moves a bar on standard error.

    Without a terminal it does nothing.
    """
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


def counted(number: int, noun: str) -> str:
    """Returns a number of things, as "1 file" and "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def hours(seconds: float) -> str:
    """Returns a duration as 1:02:03."""
    total = round(seconds)
    return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"


def _plain(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, str):
        return name_of_text(value)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.message_type is not None and not isinstance(value, Message):
        return [as_dict(item) for item in value]
    if field.enum_type is not None:
        name: str = field.enum_type.values_by_number[value].name
        return name.rsplit("_", 1)[-1].lower()
    return list(value) if field.is_repeated else value


def check_png(out: Path) -> None:
    """Raises InvalidInput where no PNG file can be written there."""
    check_out(out, (".png",))


def check_out(out: Path, suffixes: Sequence[str]) -> None:
    """Raises InvalidInput where no file with one of these endings can be written."""
    if out.suffix.lower() not in suffixes:
        raise InvalidInput(f"--out must end in {' or '.join(suffixes)}, got {out}")
    if not out.parent.is_dir():
        raise InvalidInput(f"--out {out}: there is no folder {out.parent}")


def figure_row(model: str, metric: Metric) -> dict[str, Any]:
    """Returns what is shown of a model's figure, by column."""
    return {
        "model": model,
        "metric": metric.name,
        "value": metric.value,
        "floor": metric.floor,
        "baseline": metric.baseline,
        "threshold": metric.threshold,
        "passed": metric.passed,
    }


def print_figures(rows: list[dict[str, Any]]) -> None:
    """Prints figures as a table. rows: as `figure_row` gives them."""
    figures = ("value", "floor", "baseline", "threshold")
    verdicts = {True: "yes", False: "NO", None: ""}
    print_table(
        ("model", "metric", *figures, "passed"),
        [
            (
                row["model"],
                row["metric"],
                *("" if row[figure] is None else f"{row[figure]:.4g}" for figure in figures),
                verdicts[row["passed"]],
            )
            for row in rows
        ],
        right=(2, 3, 4, 5),
    )
