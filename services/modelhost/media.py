"""What examples of each modality look like in ModelService's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wordspot.models.artifact import ArtifactCard
from wordspot.services import png, wav, wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.functions import clip_shape, picture_shape, sound_rate
from wordspot.services.modelhost.hosting import Flags, Floats, check_count
from wordspot.v1 import models_pb2 as pb

HALF = 0.5  # of white

Examples = Floats | tuple[str, ...]


@dataclass(frozen=True)
class Medium:
    """field: where a message holds examples. read: what a model is given of them; raises MalformedRequest,
    BadInput. write: the message of what it made."""

    field: str
    read: Callable[[Any, ArtifactCard], Examples]
    write: Callable[[Any, ArtifactCard], Any]


def read(holder: Any, choice: str, card: ArtifactCard) -> Examples:
    """The examples in one of the fields of `choice`, a oneof of the message.

    Raises MalformedRequest, BadInput.
    """
    medium = MEDIA[card.modality]
    return medium.read(getattr(holder, chosen(holder, choice, card)), card)


def chosen(holder: Any, choice: str, card: ArtifactCard) -> str:
    """The field of `choice`, a oneof, that the model knows. Raises MalformedRequest where another came."""
    field = MEDIA[card.modality].field
    given: str = holder.WhichOneof(choice) or field
    if given != field:
        raise MalformedRequest(f"{given} came; {field} are allowed by model {holder.model!r}", choice)
    return given


def written(made: Any, card: ArtifactCard) -> dict[str, Any]:
    """The message of what was made, by the field that is to hold it."""
    medium = MEDIA[card.modality]
    return {medium.field: medium.write(made, card)}


def part(made: Any, card: ArtifactCard) -> pb.GenerateResponse:
    return PARTS[card.modality](made, card)


def partly_known(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    """What is to be completed, and what of it is known. Raises MalformedRequest, BadInput."""
    chosen(request, "subject", card)
    return SUBJECTS[card.modality](request, card)


def read_pictures(given: pb.Pictures, card: ArtifactCard) -> Floats:
    """(B, C, H, W). Raises MalformedRequest, BadInput."""
    check_count(len(given.png), "pictures", "pictures.png")
    return png.to_floats(given.png, picture_shape(card))


def write_pictures(pictures: Floats, card: ArtifactCard) -> pb.Pictures:
    return pb.Pictures(png=png.to_files(pictures))


def _read_words(given: pb.Words, card: ArtifactCard) -> tuple[str, ...]:
    check_count(len(given.words), "words", "words.words")
    return tuple(given.words)


def _write_words(words: Sequence[str], card: ArtifactCard) -> pb.Words:
    return pb.Words(words=words)


def _read_sounds(given: pb.Sounds, card: ArtifactCard) -> Floats:
    """(B, samples)."""
    check_count(len(given.wav), "sounds", "sounds.wav")
    return wav.to_floats(given.wav, sound_rate(card))


def _write_sounds(sounds: Floats, card: ArtifactCard) -> pb.Sounds:
    return pb.Sounds(wav=wav.to_files(sounds, sound_rate(card)))


def _read_texts(given: pb.Texts, card: ArtifactCard) -> tuple[str, ...]:
    check_count(len(given.texts), "texts", "texts.texts")
    return tuple(given.texts)


def _write_texts(texts: Sequence[str], card: ArtifactCard) -> pb.Texts:
    return pb.Texts(texts=texts)


def _read_clips(given: pb.Clips, card: ArtifactCard) -> Floats:
    """(B, T, C, H, W)."""
    frames = clip_shape(card)[0]
    check_count(len(given.clips), "clips", "clips.clips")
    for number, clip in enumerate(given.clips):
        if len(clip.png) != frames:
            raise MalformedRequest(
                f"clip {number} has {len(clip.png)} frames; {frames} are allowed", "clips.clips"
            )
    return np.stack([png.to_floats(clip.png, picture_shape(card)) for clip in given.clips])


def _write_clips(clips: Floats, card: ArtifactCard) -> pb.Clips:
    return pb.Clips(clips=[write_pictures(clip, card) for clip in clips])


def _pictures_and_masks(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    given = read_pictures(request.pictures, card)
    if len(request.known.png) != len(given):
        raise MalformedRequest(
            f"{len(request.known.png)} masks for {len(given)} pictures; one for each is allowed", "known.png"
        )
    return given, png.to_floats(request.known.png, (1, *picture_shape(card)[1:])) >= HALF


def _first_frames(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    """What is not known is black."""
    given = request.clips.clips
    check_count(len(given), "clips", "clips.clips")
    if request.known.png:
        raise MalformedRequest(
            f"{len(request.known.png)} masks for clips; none are allowed, known are the frames that come",
            "known.png",
        )
    frames = clip_shape(card)[0]
    clips = np.zeros((len(given), *clip_shape(card)), np.float32)
    known = np.zeros((len(given), frames), np.bool_)
    for number, clip in enumerate(given):
        if not 1 <= len(clip.png) <= frames:
            raise MalformedRequest(
                f"clip {number} has {len(clip.png)} frames; 1 to {frames} are allowed", "clips.clips"
            )
        clips[number, : len(clip.png)] = png.to_floats(clip.png, picture_shape(card))
        known[number, : len(clip.png)] = True
    return clips, known


def _picture_part(picture: Floats, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(png=png.encoded(png.to_image(picture)))


def _sound_part(samples: Floats, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(sound=pb.Sound(pcm=wire.from_floats(samples), rate=sound_rate(card)))


def _text_part(text: str, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(text=text)


MEDIA: Mapping[str, Medium] = {
    "picture": Medium("pictures", read_pictures, write_pictures),
    "word": Medium("words", _read_words, _write_words),
    "sound": Medium("sounds", _read_sounds, _write_sounds),
    "text": Medium("texts", _read_texts, _write_texts),
    "video": Medium("clips", _read_clips, _write_clips),
}
PARTS: Mapping[str, Callable[[Any, ArtifactCard], pb.GenerateResponse]] = {
    "picture": _picture_part,
    "sound": _sound_part,
    "text": _text_part,
}
SUBJECTS: Mapping[str, Callable[[pb.CompleteRequest, ArtifactCard], tuple[Floats, Flags]]] = {
    "picture": _pictures_and_masks,
    "video": _first_frames,
}
