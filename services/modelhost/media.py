"""The wire forms of examples, by modality: a row of MEDIA for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wordspot.models.artifact import ArtifactCard
from wordspot.services import png, wav, wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_CHARACTERS_PER_CALL
from wordspot.services.modelhost.tasks import Flags, Floats, check_count
from wordspot.services.modelhost.tensors import ANY, TensorKind
from wordspot.services.pricing import check_length
from wordspot.v1 import models_pb2 as pb

MASK_THRESHOLD = 0.5  # of white, from which a pixel of a mask is known

Examples = Floats | tuple[str, ...]


@dataclass(frozen=True)
class WireModality:
    """A modality of examples, as tensors and in ModelService's messages.

    examples: returns their tensor.
    field: where a message holds them.
    read: returns examples as a model takes them; raises MalformedRequest, BadInput.
    write: returns the message of a model's output.
    write_part: returns the message of a part of a series; None where none are generated.
    known_mask: returns the tensor that says what of examples is known; None where none are completed.
    read_incomplete: returns the examples of a CompleteRequest and what is known of them; None likewise.
    attention: axes of attention weights; None where none are described.
    """

    examples: Callable[[ArtifactCard], TensorKind]
    field: str
    read: Callable[[Any, ArtifactCard], Examples]
    write: Callable[[Any, ArtifactCard], Any]
    write_part: Callable[[Any, ArtifactCard], pb.GenerateResponse] | None = None
    known_mask: Callable[[ArtifactCard], TensorKind] | None = None
    read_incomplete: Callable[[pb.CompleteRequest, ArtifactCard], tuple[Floats, Flags]] | None = None
    attention: tuple[int, ...] | None = None


def picture_shape(card: ArtifactCard) -> tuple[int, int, int]:
    """Returns channels, height, width."""
    config = card.config
    return config["channels"], config["height"], config["width"]


def clip_shape(card: ArtifactCard) -> tuple[int, int, int, int]:
    """Returns frames, channels, height, width."""
    return (int(card.config["frames"]), *picture_shape(card))


def sound_rate(card: ArtifactCard) -> int:
    """Returns samples a second."""
    return int(card.config["rate"])


def example_values(card: ArtifactCard) -> int:
    """Returns the numbers of one example; of a sound, of one that is sampled."""
    if card.modality == "sound":
        return int(card.config.get("samples", 0))
    return math.prod(size for size in MEDIA[card.modality].examples(card).shape[1:] if size != ANY)


def check_samples(count: int, card: ArtifactCard) -> None:
    """Raises MalformedRequest where so many samples would not fit into an answer, whatever they are.

    Files of sounds alone have a size that is known before.
    """
    if card.modality == "sound":
        wire.check_answer_bytes(count * wav.file_bytes(example_values(card)), "count")


def read(holder: Any, choice: str, card: ArtifactCard) -> Examples:
    """Returns the examples in one of the fields of `choice`, a oneof of the message.

    Raises MalformedRequest, BadInput.
    """
    field = chosen_field(holder, choice, card)
    return MEDIA[card.modality].read(getattr(holder, field), card)


def chosen_field(holder: Any, choice: str, card: ArtifactCard) -> str:
    """Returns the field of `choice`, a oneof, that the model takes. Raises MalformedRequest for another."""
    field = MEDIA[card.modality].field
    sent = holder.WhichOneof(choice) or field
    if sent != field:
        raise MalformedRequest(f"model {holder.model!r} takes {field}, got {sent}", choice)
    return field


def written(output: Any, card: ArtifactCard) -> dict[str, Any]:
    """Returns the message of a model's output, by the field that is to hold it."""
    modality = MEDIA[card.modality]
    return {modality.field: modality.write(output, card)}


def written_part(part: Any, card: ArtifactCard) -> pb.GenerateResponse:
    """Returns the message of a part of a series."""
    write = MEDIA[card.modality].write_part
    assert write is not None
    return write(part, card)


def read_incomplete(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    """Returns examples to be completed, and what of them is known. Raises MalformedRequest, BadInput."""
    chosen_field(request, "subject", card)
    read_examples = MEDIA[card.modality].read_incomplete
    assert read_examples is not None
    return read_examples(request, card)


def read_pictures(message: pb.Pictures, card: ArtifactCard) -> Floats:
    """Returns float32 (B, C, H, W), 0 to 1. Raises MalformedRequest, BadInput."""
    check_count(len(message.png), "pictures", "pictures.png")
    return png.to_floats(message.png, picture_shape(card))


def write_pictures(pictures: Floats, card: ArtifactCard) -> pb.Pictures:
    """Returns the message of pictures, (B, C, H, W), 0 to 1."""
    return pb.Pictures(png=png.to_files(pictures))


def _read_words(message: pb.Words, card: ArtifactCard) -> tuple[str, ...]:
    check_count(len(message.words), "words", "words.words")
    check_length(sum(map(len, message.words)), MAX_CHARACTERS_PER_CALL, "words.words")
    return tuple(message.words)


def _write_words(words: Sequence[str], card: ArtifactCard) -> pb.Words:
    return pb.Words(words=words)


def _read_sounds(message: pb.Sounds, card: ArtifactCard) -> Floats:
    """Returns sounds (B, samples)."""
    check_count(len(message.wav), "sounds", "sounds.wav")
    return wav.to_floats(message.wav, sound_rate(card))


def _write_sounds(sounds: Floats, card: ArtifactCard) -> pb.Sounds:
    return pb.Sounds(wav=wav.to_files(sounds, sound_rate(card)))


def _read_texts(message: pb.Texts, card: ArtifactCard) -> tuple[str, ...]:
    check_count(len(message.texts), "texts", "texts.texts")
    check_length(sum(map(len, message.texts)), MAX_CHARACTERS_PER_CALL, "texts.texts")
    return tuple(message.texts)


def _write_texts(texts: Sequence[str], card: ArtifactCard) -> pb.Texts:
    return pb.Texts(texts=texts)


def _read_clips(message: pb.Clips, card: ArtifactCard) -> Floats:
    """Returns clips (B, T, C, H, W)."""
    frames = clip_shape(card)[0]
    check_count(len(message.clips), "clips", "clips.clips")
    for number, clip in enumerate(message.clips):
        if len(clip.png) != frames:
            raise MalformedRequest(
                f"clip {number} must have {frames} frames, got {len(clip.png)}", "clips.clips"
            )
    return np.stack([png.to_floats(clip.png, picture_shape(card)) for clip in message.clips])


def _write_clips(clips: Floats, card: ArtifactCard) -> pb.Clips:
    return pb.Clips(clips=[write_pictures(clip, card) for clip in clips])


def _pictures_and_masks(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    pictures = read_pictures(request.pictures, card)
    if len(request.known.png) != len(pictures):
        raise MalformedRequest(
            f"the number of masks must be that of pictures, {len(pictures)}, got {len(request.known.png)}",
            "known.png",
        )
    return pictures, png.to_floats(request.known.png, (1, *picture_shape(card)[1:])) >= MASK_THRESHOLD


def _first_frames(request: pb.CompleteRequest, card: ArtifactCard) -> tuple[Floats, Flags]:
    """Returns clips whose unknown frames are black, and which frames are known."""
    beginnings = request.clips.clips
    check_count(len(beginnings), "clips", "clips.clips")
    if request.known.png:
        raise MalformedRequest(
            f"clips take no masks, got {len(request.known.png)}: the frames that come are known",
            "known.png",
        )
    frames = clip_shape(card)[0]
    clips = np.zeros((len(beginnings), *clip_shape(card)), np.float32)
    known_mask = np.zeros((len(beginnings), frames), np.bool_)
    for number, clip in enumerate(beginnings):
        if not 1 <= len(clip.png) <= frames:
            raise MalformedRequest(
                f"clip {number} must have between 1 and {frames} frames, got {len(clip.png)}", "clips.clips"
            )
        clips[number, : len(clip.png)] = png.to_floats(clip.png, picture_shape(card))
        known_mask[number, : len(clip.png)] = True
    return clips, known_mask


def _picture_part(picture: Floats, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(png=png.encoded(png.to_image(picture)))


def _sound_part(samples: Floats, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(sound=pb.Sound(pcm=wire.from_floats(samples), rate=sound_rate(card)))


def _text_part(text: str, card: ArtifactCard) -> pb.GenerateResponse:
    return pb.GenerateResponse(text=text)


MEDIA: Mapping[str, WireModality] = {
    "picture": WireModality(
        examples=lambda card: TensorKind("pictures", "FP32", (ANY, *picture_shape(card))),
        field="pictures",
        read=read_pictures,
        write=write_pictures,
        write_part=_picture_part,
        known_mask=lambda card: TensorKind("known", "BOOL", (ANY, 1, *picture_shape(card)[1:])),
        read_incomplete=_pictures_and_masks,
        attention=(ANY, ANY),
    ),
    "video": WireModality(
        examples=lambda card: TensorKind("clips", "FP32", (ANY, *clip_shape(card))),
        field="clips",
        read=_read_clips,
        write=_write_clips,
        known_mask=lambda card: TensorKind("known", "BOOL", (ANY, clip_shape(card)[0])),
        read_incomplete=_first_frames,
        attention=(ANY,),
    ),
    "sound": WireModality(
        examples=lambda card: TensorKind("sounds", "FP32", (ANY, ANY), sound_rate(card)),
        field="sounds",
        read=_read_sounds,
        write=_write_sounds,
        write_part=_sound_part,
    ),
    "text": WireModality(
        examples=lambda card: TensorKind("texts", "BYTES", (ANY,)),
        field="texts",
        read=_read_texts,
        write=_write_texts,
        write_part=_text_part,
    ),
    "word": WireModality(
        examples=lambda card: TensorKind("words", "BYTES", (ANY,)),
        field="words",
        read=_read_words,
        write=_write_words,
    ),
}
