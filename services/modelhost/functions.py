"""What goes into a model's capabilities and what comes out, as tensors; known without loading the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wordspot.models.artifact import ArtifactCard

ANY = -1
# By the names of the Open Inference Protocol.
DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "FP32": np.dtype("<f4"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT64": np.dtype("<u8"),
    "BOOL": np.dtype("?"),
    "BYTES": np.dtype(object),
}


@dataclass(frozen=True)
class TensorKind:
    """datatype: one of DTYPES. shape: ANY where any size is allowed. rate: of sound, samples a second."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    rate: int | None = None


@dataclass(frozen=True)
class Function:
    """batched: whether the first axis of every tensor is one of examples. streamed: whether answers come one
    by one. options: what may be said besides, as a Model's options."""

    capability: str
    inputs: tuple[TensorKind, ...]
    outputs: tuple[TensorKind, ...]
    batched: bool
    streamed: bool = False
    options: tuple[str, ...] = ()


SEED, COUNT = TensorKind("seed", "UINT64", (1,)), TensorKind("count", "INT64", (1,))
NATS = TensorKind("nats", "FP32", (ANY,))


def picture_shape(card: ArtifactCard) -> tuple[int, int, int]:
    """Channels, height, width."""
    config = card.config
    return config["channels"], config["height"], config["width"]


def clip_shape(card: ArtifactCard) -> tuple[int, int, int, int]:
    """Frames, channels, height, width."""
    return (int(card.config["frames"]), *picture_shape(card))


def sound_rate(card: ArtifactCard) -> int:
    """Samples a second."""
    return int(card.config["rate"])


def code_size(card: ArtifactCard) -> int:
    """Numbers of a code; ANY where the configuration does not say."""
    return int(card.config.get("code", card.config.get("dimension", ANY)))


@lru_cache(256)
def functions(card: ArtifactCard) -> dict[str, Function]:
    """By capability."""
    known = _BY_MODALITY.get(card.modality, _of_speech)(card)
    return {capability: known[capability] for capability in card.capabilities if capability in known}


def _of_pictures(card: ArtifactCard) -> dict[str, Function]:
    pictures = TensorKind("pictures", "FP32", (ANY, *picture_shape(card)))
    codes = TensorKind("codes", "FP32", (ANY, code_size(card)))
    chances = TensorKind("probabilities", "FP32", (ANY, card.config.get("classes", ANY - 1) + 1))
    known = TensorKind("known", "BOOL", (ANY, 1, *picture_shape(card)[1:]))
    return {
        "encode": Function("encode", (pictures,), (codes,), True),
        "decode": Function("decode", (codes,), (pictures,), True),
        "reconstruct": Function("reconstruct", (pictures,), (pictures,), True),
        "classify": Function("classify", (pictures,), (chances,), True),
        "complete": Function("complete", (pictures, known, SEED), (pictures,), False, options=card.options),
        "translate": Function("translate", (pictures,), (pictures,), False, options=card.options),
        "describe": _described(card, TensorKind("pictures", "FP32", (1, *picture_shape(card))), (ANY, ANY)),
        **_drawn(card, pictures),
        **_streamed(card, pictures),
    }


def _of_clips(card: ArtifactCard) -> dict[str, Function]:
    """Of a clip, the first frames may be known."""
    clips = TensorKind("clips", "FP32", (ANY, *clip_shape(card)))
    known = TensorKind("known", "BOOL", (ANY, clip_shape(card)[0]))
    return {
        "complete": Function("complete", (clips, known, SEED), (clips,), False, options=card.options),
        "describe": _described(card, TensorKind("clips", "FP32", (1, *clip_shape(card))), (ANY,)),
        **_drawn(card, clips),
    }


def _of_sounds(card: ArtifactCard) -> dict[str, Function]:
    """A part of what is generated goes on where the one before it ends."""
    sounds = TensorKind("sounds", "FP32", (ANY, ANY), sound_rate(card))
    return {**_drawn(card, sounds), **_streamed(card, sounds)}


def _of_texts(card: ArtifactCard) -> dict[str, Function]:
    texts = TensorKind("texts", "BYTES", (ANY,))
    return {**_drawn(card, texts), **_streamed(card, texts)}


def _drawn(card: ArtifactCard, examples: TensorKind) -> dict[str, Function]:
    return {
        "sample": Function("sample", (COUNT, SEED), (examples,), False, options=card.options),
        "nll": Function("nll", (examples, SEED), (NATS,), False),
    }


def _streamed(card: ArtifactCard, examples: TensorKind) -> dict[str, Function]:
    return {"generate": Function("generate", (COUNT, SEED), (examples,), False, True, card.options)}


def _described(card: ArtifactCard, shown: TensorKind, places: tuple[int, ...]) -> Function:
    """Pieces of a text, and for each where the model looked."""
    outputs = (TensorKind("texts", "BYTES", (1,)), TensorKind("attention", "FP32", places))
    return Function("describe", (shown, SEED), outputs, False, True, card.options)


def _of_words(card: ArtifactCard) -> dict[str, Function]:
    codes = TensorKind("codes", "FP32", (ANY, card.config["dimension"]))
    found = (TensorKind("words", "BYTES", (ANY,)), TensorKind("similarities", "FP32", (ANY,)))
    return {
        "encode": Function("encode", (TensorKind("words", "BYTES", (ANY,)),), (codes,), True),
        "neighbours": Function("neighbours", (TensorKind("words", "BYTES", (1,)), COUNT), found, False),
        "analogy": Function("analogy", (TensorKind("words", "BYTES", (3,)), COUNT), found, False),
    }


def _of_speech(card: ArtifactCard) -> dict[str, Function]:
    """Of one region at 16 kHz; spans are start and stop in ticks of 10 ms."""
    audio, spans = TensorKind("audio", "FP32", (ANY,)), TensorKind("spans", "INT32", (ANY, 2))
    vectors, frames = TensorKind("vectors", "FP32", (ANY, ANY)), TensorKind("frames", "FP32", (ANY, ANY))
    return {"embed": Function("embed", (audio, spans), (vectors, frames), False)}


_BY_MODALITY: Mapping[str, Callable[[ArtifactCard], dict[str, Function]]] = {
    "picture": _of_pictures,
    "word": _of_words,
    "sound": _of_sounds,
    "video": _of_clips,
    "text": _of_texts,
}
