"""wordspot generate and encode: what models make, and what they make of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.settings import ModelHostSettings

if TYPE_CHECKING:
    from wordspot.services.model_client import Models

COLUMNS = 10


def generate(
    model: Annotated[str, typer.Argument(help="A model that can sample: see `wordspot models list`.")],
    out: Annotated[Path, typer.Option(help="Where the sheet of pictures goes, a PNG file.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    address: console.Address = None,
) -> None:
    """Let a model draw; pictures go side by side into one PNG file."""
    _check_png(out)
    from PIL import Image

    from wordspot.services import png

    with connected(address) as models:
        files = [png.encoded(Image.fromarray(one)) for one in models.sample(model, count, seed)]
    rows = [files[start : start + COLUMNS] for start in range(0, len(files), COLUMNS)]
    _write(png.encoded(png.sheet(rows)), out)


def encode(
    model: Annotated[str, typer.Argument(help="A model that can encode.")],
    pictures: Annotated[list[Path], typer.Argument(help="Picture files of the size that it knows.")],
    address: console.Address = None,
) -> None:
    """A picture's code, as JSON, one picture a line."""
    from wordspot.services import model_client

    given = model_client.read(pictures)
    with connected(address) as models:
        for path, code in zip(pictures, models.encode(model, given), strict=True):
            console.say_json({"picture": str(path), "code": [round(float(value), 6) for value in code]})


def connected(address: str | None) -> Models:
    """To a running service, or one of this process's own."""
    from wordspot.services.model_client import Models

    if address is not None:
        return Models.at(address)
    return Models.within(ModelHostSettings.read(os.environ, home=settings.home(os.environ)))


def _check_png(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise InvalidInput(f"--out {out}; a name that ends in .png is allowed")
    if not out.parent.is_dir():
        raise InvalidInput(f"--out {out}: there is no folder {out.parent}")


def _write(content: bytes, out: Path) -> None:
    from wordspot.models.artifact import write_whole

    write_whole(out, content)
    console.say(str(out))
