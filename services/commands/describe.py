"""wordspot describe, chat: what models say of what they are shown or told."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.services.commands import console
from wordspot.services.commands.generate import Temperature, connected, write

if TYPE_CHECKING:
    from wordspot.services.model_client import Floats, Pixels

MOST_PARTS = 1_024
Told = Iterator[tuple[str, "Floats"]]


def describe(
    files: Annotated[
        list[Path],
        typer.Argument(help="Pictures; of a clip the frames in their order, or one animated file."),
    ],
    model: Annotated[str, typer.Option(help="A model that can describe.")] = "caption-en",
    attention: Annotated[
        Path | None,
        typer.Option(help="Where a sheet goes that shows for each word where the model looked, a PNG file."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes; needs --temperature.")] = 0,
    temperature: Temperature = None,
    as_json: console.Json = False,
    address: console.Address = None,
) -> None:
    """Let a model say what pictures or a clip show.

    Pictures of any size are fitted to the one that the model knows. Without --temperature it is the likeliest
    description that is found.
    """
    if attention is not None:
        console.check_png(attention)
    with connected(address) as models:
        card = models.card(model)
        rows = []
        for name, shown in _shown(files, card):
            whole = models.describe_clip if card["modality"] == "video" else models.describe
            told = _said(whole(model, shown, seed, temperature=temperature), aloud=not as_json)
            if as_json:
                console.say_json(
                    {
                        "shown": name,
                        "text": "".join(piece for piece, _ in told),
                        "pieces": [{"text": piece, "attention": rounded(looks)} for piece, looks in told],
                    }
                )
            if attention is not None:
                rows.append([*_frames(shown), *(lit(shown, looks) for _, looks in told)])
    if attention is not None:
        from wordspot.services.commands.media import sheet

        write(sheet(rows), attention)


def chat(
    model: Annotated[str, typer.Argument(help="A model that answers in conversations.")] = "chat",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same answers; needs --temperature.")] = 0,
    temperature: Temperature = None,
    address: console.Address = None,
) -> None:
    """Talk with a model: a line is a turn; it ends with the input, or with an empty line."""
    prompt = "> " if sys.stdin.isatty() else ""
    turns: list[str] = []
    with connected(address) as models:
        while line := _line(prompt):
            turns.append(line)
            answer = ""
            for part in models.generate_text(
                model, MOST_PARTS, seed, temperature=temperature, condition="\n".join(turns)
            ):
                console.say_part(part)
                answer += part
            console.say_part("\n")
            turns.append(" ".join(answer.split()))


def _line(prompt: str) -> str:
    """Empty at the end."""
    console.say_part(prompt)
    return sys.stdin.readline().strip()


def _shown(files: Sequence[Path], card: Mapping[str, Any]) -> Iterator[tuple[str, Pixels]]:
    """Each picture by its name, or the clip. Raises BadInput, InvalidInput."""
    from wordspot.services import model_client

    if card["modality"] == "video":
        frames = model_client.read_clip(files)
        wanted = card["config"]["frames"]
        if len(frames) != wanted:
            raise InvalidInput(f"a clip of {len(frames)} frames; {wanted} are allowed")
        yield str(files[0].parent if len(files) > 1 else files[0]), _fitted(frames, card)
        return
    for file in files:
        yield str(file), _fitted(model_client.read([file]), card)[0]


def _fitted(pictures: Pixels, card: Mapping[str, Any]) -> Pixels:
    """(N, height, width, 3), as the model's configuration has them; others as they are."""
    import numpy as np
    from PIL import Image

    from wordspot.models.datasets.sprites import fitted

    config = card["config"]
    if "ground" not in config:
        return pictures
    size = config["height"], config["width"], config["ground"]
    return np.stack([fitted(Image.fromarray(one).convert("RGBA"), *size) for one in pictures])


def _said(told: Told, *, aloud: bool) -> list[tuple[str, Floats]]:
    """Printed as it comes, where it is to be."""
    parts = []
    for piece, looks in told:
        if aloud:
            console.say_part(piece)
        parts.append((piece, looks))
    if aloud:
        console.say_part("\n")
    return parts


def rounded(looks: Floats) -> list[Any]:
    """Nested as the places are."""
    found: list[Any] = looks.astype(float).round(4).tolist()
    return found


def _frames(shown: Pixels) -> list[Pixels]:
    return list(shown) if shown.ndim == 4 else [shown]


def lit(shown: Pixels, looks: Floats) -> Pixels:
    """The picture, or the frame that was looked at most, bright where the model looked."""
    import numpy as np

    if looks.ndim == 1:
        return np.asarray(shown[int(looks.argmax())])
    height, width = (whole // part for whole, part in zip(shown.shape[:2], looks.shape, strict=True))
    light = np.kron(looks / looks.max(), np.ones((height, width)))[..., np.newaxis]
    return np.asarray((0.25 + 0.75 * light) * shown, np.uint8)
