"""wordspot generate, complete, encode, neighbours, analogy: what models make, and what they make of ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
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
WHITE = 255


def generate(
    model: Annotated[str, typer.Argument(help="A model that can sample: see `wordspot models list`.")],
    out: Annotated[Path, typer.Option(help="Where the sheet of pictures goes, a PNG file.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    address: console.Address = None,
) -> None:
    """Let a model draw; pictures go side by side into one PNG file."""
    console.check_png(out)
    from PIL import Image

    from wordspot.services import png

    with connected(address) as models:
        files = [png.encoded(Image.fromarray(one)) for one in models.sample(model, count, seed)]
    rows = [files[start : start + COLUMNS] for start in range(0, len(files), COLUMNS)]
    _write(png.encoded(png.sheet(rows)), out)


def complete(
    model: Annotated[str, typer.Argument(help="A model that can complete.")],
    picture: Annotated[Path, typer.Argument(help="A picture file of the size that it knows.")],
    out: Annotated[
        Path, typer.Option(help="Where the sheet goes: the picture, what is known of it, answers.")
    ],
    mask: Annotated[
        Path | None, typer.Option(help="A picture of the same size: black what is to be filled in.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=0, help="Without a mask: so many rows are known.")] = None,
    count: Annotated[int, typer.Option("--n", min=1, help="How many answers.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    address: console.Address = None,
) -> None:
    """Let a model fill in what is hidden of a picture; by default the lower half."""
    console.check_png(out)
    import numpy as np
    from PIL import Image

    from wordspot.services import model_client, png

    (given,) = model_client.read([picture])
    if mask is not None and rows is not None:
        raise InvalidInput("--mask and --rows; one of them is allowed")
    if mask is not None:
        shown = model_client.read([mask])[0]
        known = (shown if shown.ndim == 2 else shown.mean(axis=2)) >= WHITE / 2
        if known.shape != given.shape[:2]:
            raise InvalidInput(
                f"{mask} has the size {known.shape}; {given.shape[:2]}, the picture's, is allowed"
            )
    else:
        known = np.zeros(given.shape[:2], np.bool_)
        known[: len(given) // 2 if rows is None else rows] = True
    with connected(address) as models:
        made = models.complete(model, np.stack([given] * count), np.stack([known] * count), seed)
    hidden = np.where(known if given.ndim == 2 else known[..., None], given, np.uint8(WHITE // 2))
    files = [png.encoded(Image.fromarray(one)) for one in (given, hidden, *made)]
    _write(png.encoded(png.sheet([files])), out)


def encode(
    model: Annotated[str, typer.Argument(help="A model that can encode.")],
    examples: Annotated[
        list[str], typer.Argument(help="Picture files of the size that it knows; words if it knows words.")
    ],
    address: console.Address = None,
) -> None:
    """The code of each example, as JSON, one a line; null for a word that the model does not know."""
    from wordspot.services import model_client

    with connected(address) as models:
        if models.card(model)["modality"] == "word":
            codes, unknown = models.encode_words(model, examples)
            if unknown:
                console.warn(f"{model} does not know {', '.join(unknown)}")
            for word, code in zip(examples, codes, strict=True):
                console.say_json({"word": word, "code": None if word in unknown else _rounded(code)})
            return
        given = model_client.read(map(Path, examples))
        for path, code in zip(examples, models.encode(model, given), strict=True):
            console.say_json({"picture": path, "code": _rounded(code)})


def neighbours(
    model: Annotated[str, typer.Argument(help="A model that knows words.")],
    word: Annotated[str, typer.Argument(help="Of which word.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 10,
    address: console.Address = None,
) -> None:
    """The words used most like a word, and the cosine of their vectors."""
    with connected(address) as models:
        _say_ranked(models.neighbours(model, word, count))


def analogy(
    model: Annotated[str, typer.Argument(help="A model that knows words.")],
    a: Annotated[str, typer.Argument(help="As this ...")],
    b: Annotated[str, typer.Argument(help="... is to this,")],
    c: Annotated[str, typer.Argument(help="so is this to what?")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many answers.")] = 5,
    keep_given: Annotated[bool, typer.Option("--keep-given", help="The three may be answers too.")] = False,
    address: console.Address = None,
) -> None:
    """A : B = C : what?"""
    with connected(address) as models:
        _say_ranked(models.analogy(model, a, b, c, count, keep_given=keep_given))


def connected(address: str | None) -> Models:
    """To a running service, or one of this process's own."""
    from wordspot.services.model_client import Models

    if address is not None:
        return Models.at(address)
    return Models.within(ModelHostSettings.read(os.environ, home=settings.home(os.environ)))


def _say_ranked(found: Sequence[tuple[str, float]]) -> None:
    console.say_table(("word", "cosine"), [(word, f"{cosine:.3f}") for word, cosine in found], right=(1,))


def _rounded(code: Iterable[float]) -> list[float]:
    return [round(float(value), 6) for value in code]


def _write(content: bytes, out: Path) -> None:
    from wordspot.models.artifact import write_whole

    write_whole(out, content)
    console.say(str(out))
