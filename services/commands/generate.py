"""wordspot generate, complete, encode, neighbours, analogy: what models make, and what they make of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.settings import ModelHostSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.services.commands.media import Order
    from wordspot.services.model_client import Models, Pixels

WHITE = 255

Temperature = Annotated[
    float | None,
    typer.Option(help="Below 1 more of what is likely, above 1 more of what is not; 0.001 to 1000."),
]
Condition = Annotated[
    str, typer.Option("--condition", "--form", help="What is wanted, in the model's own terms.")
]


def generate(
    model: Annotated[str, typer.Argument(help="A model that can sample: see `wordspot models list`.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where it goes: .png for pictures, .wav for sound, .png or .gif for video, .txt for text. "
            "Default MODEL.png and so on; text is printed."
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--n", "--count", min=1, help="How many; default 20 pictures or parts, 4 clips, else 1."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    temperature: Temperature = None,
    condition: Condition = "",
    condition_file: Annotated[
        Path | None,
        typer.Option(help="A file that holds the condition, such as a text to be entitled; - is the input."),
    ] = None,
    series: Annotated[
        bool,
        typer.Option(
            "--series", help="One series of parts that belong together, of models that can generate."
        ),
    ] = False,
    address: console.Address = None,
) -> None:
    """Let a model draw, sound or write.

    Pictures go side by side into one file, sounds one after another, clips a row each.
    """
    from wordspot.services.commands.media import MEDIA, PARTS, Order

    with connected(address) as models:
        # Others make nothing, and are told so by the service.
        medium = MEDIA.get(models.card(model)["modality"], MEDIA["picture"])
        printed = medium.printed and out is None
        path = out or Path(f"{model}{medium.suffixes[0]}")
        if not printed:
            console.check_out(path, medium.suffixes)
        order = Order(
            model=model,
            count=count or (PARTS if series else medium.count),
            seed=seed,
            series=series,
            suffix=path.suffix.lower(),
            options={"temperature": temperature, "condition": _condition(condition, condition_file)},
        )
        if printed:
            for part in medium.make(models, order):
                console.say_part(part.decode())
            return
        content = b"".join(medium.make(models, order))
    write(content, path)


def complete(
    model: Annotated[str, typer.Argument(help="A model that can complete.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A picture of the size that it knows; of a clip the frames, or an animated file."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the sheet goes, a PNG file: what is given, what is known of it, answers. "
            "Default MODEL.png."
        ),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="A picture of the same size: black what is to be filled in.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=0, help="So many rows of the picture are known.")] = None,
    cover: Annotated[
        float | None, typer.Option(min=0, max=100, help="So many percent of it are hidden, from below.")
    ] = None,
    seen: Annotated[int | None, typer.Option(min=1, help="So many frames of the clip are known.")] = None,
    count: Annotated[int, typer.Option("--n", "--count", min=1, help="How many answers.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    temperature: Temperature = None,
    condition: Condition = "",
    address: console.Address = None,
) -> None:
    """Let a model fill in what is hidden of a picture, or how a clip goes on; by default the latter half."""
    path = out or Path(f"{model}.png")
    console.check_png(path)
    hiding = {"--mask": mask, "--rows": rows, "--cover": cover, "--seen": seen}
    given = {name: value for name, value in hiding.items() if value is not None}
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)}; one of them is allowed")
    from wordspot.services.commands.media import Order, sheet

    order = Order(model, count, seed, False, ".png", {"temperature": temperature, "condition": condition})
    with connected(address) as models:
        card = models.card(model)
        finished = FINISHERS.get(card["modality"], _finished_picture)(models, card, files, given, order)
    write(sheet(finished), path)


def _finished_picture(
    models: Models, card: Mapping[str, Any], files: Sequence[Path], hiding: Mapping[str, Any], order: Order
) -> list[Sequence[Pixels]]:
    """The picture, what is known of it, answers."""
    import numpy as np

    from wordspot.services import model_client

    if len(files) > 1:
        raise InvalidInput(f"{len(files)} pictures; one is allowed")
    _check_hiding(hiding, ("--mask", "--rows", "--cover"), order.model)
    (given,) = model_client.read(files)
    known = _known(given, **{name.removeprefix("--"): value for name, value in hiding.items()})
    made = models.complete(
        order.model,
        np.stack([given] * order.count),
        np.stack([known] * order.count),
        order.seed,
        **order.options,
    )
    hidden = np.where(known if given.ndim == 2 else known[..., None], given, np.uint8(WHITE // 2))
    return [(given, hidden, *made)]


def _known(
    given: Pixels, mask: Path | None = None, rows: int | None = None, cover: float = 50.0
) -> NDArray[np.bool_]:
    """(H, W). Raises InvalidInput."""
    import numpy as np

    from wordspot.services import model_client

    if mask is not None:
        shown = model_client.read([mask])[0]
        known: NDArray[np.bool_] = (shown if shown.ndim == 2 else shown.mean(axis=2)) >= WHITE / 2
        if known.shape != given.shape[:2]:
            raise InvalidInput(
                f"{mask} has the size {known.shape}; {given.shape[:2]}, the picture's, is allowed"
            )
        return known
    known = np.zeros(given.shape[:2], np.bool_)
    known[: round(len(given) * (1 - cover / 100)) if rows is None else rows] = True
    return known


def _finished_clip(
    models: Models, card: Mapping[str, Any], files: Sequence[Path], hiding: Mapping[str, Any], order: Order
) -> list[Sequence[Pixels]]:
    """The clip, then a row for each answer."""
    from wordspot.services import model_client

    _check_hiding(hiding, ("--seen",), order.model)
    given = model_client.read_clip(files)
    seen = hiding.get("--seen", min(len(given), max(card["config"]["frames"] // 2, 1)))
    if seen > len(given):
        raise InvalidInput(f"--seen {seen}; 1 to {len(given)}, as many frames as were given, is allowed")
    made = models.complete_clips(order.model, [given[:seen]] * order.count, order.seed, **order.options)
    return [given, *made]


FINISHERS = {"picture": _finished_picture, "video": _finished_clip}


def _check_hiding(hiding: Mapping[str, Any], allowed: Sequence[str], model: str) -> None:
    for name in hiding:
        if name not in allowed:
            raise InvalidInput(f"{name} does not go with {model}; {', '.join(allowed)} is allowed")


def translate(
    model: Annotated[str, typer.Argument(help="A model that can translate.")],
    pictures: Annotated[list[Path], typer.Argument(help="Files of the size that it knows.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the sheet goes, a PNG file: what is given, answers. Default MODEL.png."),
    ] = None,
    condition: Condition = "",
    address: console.Address = None,
) -> None:
    """Let a model redraw pictures in another manner."""
    from wordspot.services import model_client
    from wordspot.services.commands.media import sheet

    path = out or Path(f"{model}.png")
    console.check_png(path)
    with connected(address) as models:
        given = model_client.read(pictures)
        made = models.translate(model, given, condition)
    write(sheet([given, made]), path)


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


def _condition(told: str, file: Path | None) -> str:
    """Raises InvalidInput."""
    if file is None:
        return told
    if told:
        raise InvalidInput("--condition and --condition-file; one of them is allowed")
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--condition-file {file}: {error}") from error


def _say_ranked(found: Sequence[tuple[str, float]]) -> None:
    console.say_table(("word", "cosine"), [(word, f"{cosine:.3f}") for word, cosine in found], right=(1,))


def _rounded(code: Iterable[float]) -> list[float]:
    return [round(float(value), 6) for value in code]


def write(content: bytes, out: Path) -> None:
    """Into a file, whole or not at all, and says where."""
    from wordspot.models.artifact import write_whole

    write_whole(out, content)
    console.say(str(out))
