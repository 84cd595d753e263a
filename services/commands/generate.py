"""wordspot generate, complete, translate, encode, neighbours, analogy: calls of models."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services.commands import console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.services.client.models import Models, Pixels
    from wordspot.services.commands.media import GenerationRequest

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
    from wordspot.services.commands.media import DEFAULT_PARTS, OUTPUT_FORMATS, GenerationRequest

    with connected(address) as models:
        # Models of other modalities generate nothing, which the service says.
        output = OUTPUT_FORMATS.get(models.card(model)["modality"], OUTPUT_FORMATS["picture"])
        printed = output.printed and out is None
        path = out or Path(f"{model}{output.suffixes[0]}")
        if not printed:
            console.check_out(path, output.suffixes)
        request = GenerationRequest(
            model=model,
            count=count or (DEFAULT_PARTS if series else output.count),
            seed=seed,
            series=series,
            suffix=path.suffix.lower(),
            options={"temperature": temperature, "condition": _condition(condition, condition_file)},
        )
        if printed:
            for part in output.generate(models, request):
                console.print_part(part.decode())
            return
        content = b"".join(output.generate(models, request))
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
    options = {"--mask": mask, "--rows": rows, "--cover": cover, "--seen": seen}
    hiding = {name: value for name, value in options.items() if value is not None}
    if len(hiding) > 1:
        raise InvalidInput(f"{' and '.join(hiding)} exclude each other")
    from wordspot.services.commands.media import GenerationRequest, sheet

    request = GenerationRequest(
        model, count, seed, False, ".png", {"temperature": temperature, "condition": condition}
    )
    with connected(address) as models:
        card = models.card(model)
        complete_files = COMPLETIONS.get(card["modality"], _complete_picture)
        rows_of_pictures = complete_files(models, card, files, hiding, request)
    write(sheet(rows_of_pictures), path)


def _complete_picture(
    models: Models,
    card: Mapping[str, Any],
    files: Sequence[Path],
    hiding: Mapping[str, Any],
    request: GenerationRequest,
) -> list[Sequence[Pixels]]:
    """Returns one row: the picture, what is known of it, completions. Raises InvalidInput."""
    import numpy as np

    from wordspot.services.client import models as model_client

    if len(files) > 1:
        raise InvalidInput(f"complete takes one picture, got {len(files)}")
    _check_hiding(hiding, ("--mask", "--rows", "--cover"), request.model)
    (picture,) = model_client.read(files)
    known_mask = _known_mask(picture, **{name.removeprefix("--"): value for name, value in hiding.items()})
    completions = models.complete(
        request.model,
        np.stack([picture] * request.count),
        np.stack([known_mask] * request.count),
        request.seed,
        **request.options,
    )
    pixel_mask = known_mask if picture.ndim == 2 else known_mask[..., None]
    return [(picture, np.where(pixel_mask, picture, np.uint8(WHITE // 2)), *completions)]


def _known_mask(
    picture: Pixels, mask: Path | None = None, rows: int | None = None, cover: float = 50.0
) -> NDArray[np.bool_]:
    """Returns what of the picture is known, (H, W). Raises InvalidInput.

    mask: a picture file, white what is known. rows: from above, that are known. cover: percent that are not.
    """
    import numpy as np

    from wordspot.services.client import models as model_client

    if mask is not None:
        (pixels,) = model_client.read([mask])
        known_mask: NDArray[np.bool_] = (pixels if pixels.ndim == 2 else pixels.mean(axis=2)) >= WHITE / 2
        if known_mask.shape != picture.shape[:2]:
            raise InvalidInput(
                f"{mask} must have the size {picture.shape[:2]} of the picture, got {known_mask.shape}"
            )
        return known_mask
    known_mask = np.zeros(picture.shape[:2], np.bool_)
    known_mask[: round(len(picture) * (1 - cover / 100)) if rows is None else rows] = True
    return known_mask


def _complete_clip(
    models: Models,
    card: Mapping[str, Any],
    files: Sequence[Path],
    hiding: Mapping[str, Any],
    request: GenerationRequest,
) -> list[Sequence[Pixels]]:
    """Returns the clip, then a row for each completion. Raises InvalidInput."""
    from wordspot.services.client import models as model_client

    _check_hiding(hiding, ("--seen",), request.model)
    clip = model_client.read_clip(files)
    seen = hiding.get("--seen", min(len(clip), max(card["config"]["frames"] // 2, 1)))
    if seen > len(clip):
        raise InvalidInput(
            f"--seen must be between 1 and {len(clip)}, the number of frames in the clip, got {seen}"
        )
    completions = models.complete_clips(
        request.model, [clip[:seen]] * request.count, request.seed, **request.options
    )
    return [clip, *completions]


COMPLETIONS = {"picture": _complete_picture, "video": _complete_clip}


def _check_hiding(hiding: Mapping[str, Any], allowed: Sequence[str], model: str) -> None:
    for name in hiding:
        if name not in allowed:
            raise InvalidInput(f"{name} does not go with {model}, which takes {', '.join(allowed)}")


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
    from wordspot.services.client import models as model_client
    from wordspot.services.commands.media import sheet

    path = out or Path(f"{model}.png")
    console.check_png(path)
    with connected(address) as models:
        originals = model_client.read(pictures)
        translations = models.translate(model, originals, condition)
    write(sheet([originals, translations]), path)


def encode(
    model: Annotated[str, typer.Argument(help="A model that can encode.")],
    examples: Annotated[
        list[str], typer.Argument(help="Picture files of the size that it knows; words if it knows words.")
    ],
    address: console.Address = None,
) -> None:
    """Print the code of each example as JSON, one a line; null for a word that the model does not know."""
    from wordspot.services.client import models as model_client

    with connected(address) as models:
        if models.card(model)["modality"] == "word":
            codes, unknown = models.encode_words(model, examples)
            if unknown:
                console.warn(f"{model} does not know {', '.join(unknown)}")
            for word, code in zip(examples, codes, strict=True):
                console.print_json({"word": word, "code": None if word in unknown else _rounded(code)})
            return
        pictures = model_client.read(map(Path, examples))
        for path, code in zip(examples, models.encode(model, pictures), strict=True):
            console.print_json({"picture": path, "code": _rounded(code)})


def neighbours(
    model: Annotated[str, typer.Argument(help="A model that knows words.")],
    word: Annotated[str, typer.Argument(help="Of which word.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 10,
    address: console.Address = None,
) -> None:
    """Print the words used most like a word, and the cosine of their vectors."""
    with connected(address) as models:
        _print_ranking(models.neighbours(model, word, count))


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
        _print_ranking(models.analogy(model, a, b, c, count, keep_given=keep_given))


def connected(address: str | None) -> Models:
    """Returns a client of a running service, or of one in this process."""
    from wordspot.services.client.models import Models

    return Models(address)


def _condition(text: str, file: Path | None) -> str:
    """Returns the condition, typed or from a file. Raises InvalidInput."""
    if file is None:
        return text
    if text:
        raise InvalidInput("--condition and --condition-file exclude each other")
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--condition-file {file}: {error}") from error


def _print_ranking(words: Sequence[tuple[str, float]]) -> None:
    console.print_table(("word", "cosine"), [(word, f"{cosine:.3f}") for word, cosine in words], right=(1,))


def _rounded(code: Iterable[float]) -> list[float]:
    return [round(float(value), 6) for value in code]


def write(content: bytes, out: Path) -> None:
    """Writes a file, whole or not at all, and prints its name."""
    from wordspot.models.artifact import write_whole

    write_whole(out, content)
    console.print_line(str(out))
