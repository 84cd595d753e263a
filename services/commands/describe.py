"""wordspot describe, chat: models that write about pictures and answer texts."""

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
    from wordspot.services.client.models import Floats, Pixels

MAX_ANSWER_PARTS = 1_024
Pieces = Iterator[tuple[str, "Floats"]]


def describe(
    files: Annotated[
        list[Path],
        typer.Argument(help="Pictures; of a clip the frames in their order, or one animated file."),
    ],
    model: Annotated[str, typer.Option(help="A model that can describe.")] = "caption-en",
    sheet_path: Annotated[
        Path | None,
        typer.Option(
            "--attention",
            help="Where a sheet goes that shows for each word where the model looked, a PNG file.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes; needs --temperature.")] = 0,
    temperature: Temperature = None,
    as_json: console.Json = False,
    address: console.Address = None,
) -> None:
    """Let a model describe what pictures or a clip show.

    Pictures of any size are fitted to the one that the model knows. Without --temperature it is the likeliest
    description that is found.
    """
    if sheet_path is not None:
        console.check_png(sheet_path)
    with connected(address) as models:
        card = models.card(model)
        rows = []
        for name, subject in _subjects(files, card):
            call = models.describe_clip if card["modality"] == "video" else models.describe
            pieces = _collected(call(model, subject, seed, temperature=temperature), printed=not as_json)
            if as_json:
                console.print_json(
                    {
                        "shown": name,
                        "text": "".join(text for text, _ in pieces),
                        "pieces": [
                            {"text": text, "attention": rounded(attention)} for text, attention in pieces
                        ],
                    }
                )
            if sheet_path is not None:
                rows.append([*_frames(subject), *(overlay(subject, weights) for _, weights in pieces)])
    if sheet_path is not None:
        from wordspot.services.commands.media import sheet

        write(sheet(rows), sheet_path)


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
                model, MAX_ANSWER_PARTS, seed, temperature=temperature, condition="\n".join(turns)
            ):
                console.print_part(part)
                answer += part
            console.print_part("\n")
            turns.append(" ".join(answer.split()))


def _line(prompt: str) -> str:
    """Returns a line of the input, "" at its end."""
    console.print_part(prompt)
    return sys.stdin.readline().strip()


def _subjects(files: Sequence[Path], card: Mapping[str, Any]) -> Iterator[tuple[str, Pixels]]:
    """Yields each picture with its name, or the clip. Raises BadInput, InvalidInput."""
    from wordspot.services.client import models as model_client

    if card["modality"] == "video":
        frames = model_client.read_clip(files)
        frame_count = card["config"]["frames"]
        if len(frames) != frame_count:
            raise InvalidInput(f"a clip must have {frame_count} frames, got {len(frames)}")
        yield str(files[0].parent if len(files) > 1 else files[0]), _fitted(frames, card)
        return
    for file in files:
        yield str(file), _fitted(model_client.read([file]), card)[0]


def _fitted(pictures: Pixels, card: Mapping[str, Any]) -> Pixels:
    """Returns pictures of the size that the model knows, uint8 (N, height, width, 3).

    Those for a model without a ground to put them on are returned as they are.
    """
    import numpy as np
    from PIL import Image

    from wordspot.models.pictures import letterbox

    config = card["config"]
    if "ground" not in config:
        return pictures
    size = config["height"], config["width"], config["ground"]
    return np.stack([letterbox(Image.fromarray(picture).convert("RGBA"), *size) for picture in pictures])


def _collected(pieces: Pieces, *, printed: bool) -> list[tuple[str, Floats]]:
    """Returns all pieces of a text with their attention. printed: whether each is printed as it comes."""
    texts = []
    for text, attention in pieces:
        if printed:
            console.print_part(text)
        texts.append((text, attention))
    if printed:
        console.print_part("\n")
    return texts


def rounded(attention: Floats) -> list[Any]:
    """Returns the weights with four decimals, nested as the axes are."""
    weights: list[Any] = attention.astype(float).round(4).tolist()
    return weights


def _frames(subject: Pixels) -> list[Pixels]:
    return list(subject) if subject.ndim == 4 else [subject]


def overlay(subject: Pixels, attention: Floats) -> Pixels:
    """Returns a picture, bright where the attention is, or of a clip the frame with the most attention.

    subject: uint8 (H, W, 3) or (frames, H, W, 3). attention: (rows, columns) or (frames,), with the sum 1.
    """
    import numpy as np

    if attention.ndim == 1:
        return np.asarray(subject[int(attention.argmax())])
    height, width = (size // cells for size, cells in zip(subject.shape[:2], attention.shape, strict=True))
    brightness = np.kron(attention / attention.max(), np.ones((height, width)))[..., np.newaxis]
    return np.asarray((0.25 + 0.75 * brightness) * subject, np.uint8)
