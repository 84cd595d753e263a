"""What goes into a model's capabilities and what comes out, as tensors; known without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
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
    """datatype: one of DTYPES. shape: ANY where any size is allowed."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Function:
    """batched: whether the first axis of every tensor is one of examples. streamed: whether answers come one
    by one."""

    capability: str
    inputs: tuple[TensorKind, ...]
    outputs: tuple[TensorKind, ...]
    batched: bool
    streamed: bool = False


def picture_shape(card: ArtifactCard) -> tuple[int, int, int]:
    """Channels, height, width."""
    config = card.config
    return config["channels"], config["height"], config["width"]


def code_size(card: ArtifactCard) -> int:
    """Numbers of a code; ANY where the configuration does not say."""
    return int(card.config.get("code", card.config.get("dimension", ANY)))


@lru_cache(256)
def functions(card: ArtifactCard) -> dict[str, Function]:
    """By capability."""
    known = {"picture": _of_pictures, "word": _of_words}.get(card.modality, _of_speech)(card)
    return {capability: known[capability] for capability in card.capabilities if capability in known}


def _of_pictures(card: ArtifactCard) -> dict[str, Function]:
    pictures = TensorKind("pictures", "FP32", (ANY, *picture_shape(card)))
    codes = TensorKind("codes", "FP32", (ANY, code_size(card)))
    chances = TensorKind("probabilities", "FP32", (ANY, card.config.get("classes", ANY - 1) + 1))
    nats = TensorKind("nats", "FP32", (ANY,))
    seed, count = TensorKind("seed", "UINT64", (1,)), TensorKind("count", "INT64", (1,))
    known = TensorKind("known", "BOOL", (ANY, 1, *picture_shape(card)[1:]))
    return {
        "encode": Function("encode", (pictures,), (codes,), True),
        "decode": Function("decode", (codes,), (pictures,), True),
        "reconstruct": Function("reconstruct", (pictures,), (pictures,), True),
        "classify": Function("classify", (pictures,), (chances,), True),
        "sample": Function("sample", (count, seed), (pictures,), False),
        "nll": Function("nll", (pictures, seed), (nats,), False),
        "complete": Function("complete", (pictures, known, seed), (pictures,), False),
        "generate": Function("generate", (count, seed), (pictures,), False, streamed=True),
    }


def _of_words(card: ArtifactCard) -> dict[str, Function]:
    codes = TensorKind("codes", "FP32", (ANY, card.config["dimension"]))
    count = TensorKind("count", "INT64", (1,))
    found = (TensorKind("words", "BYTES", (ANY,)), TensorKind("similarities", "FP32", (ANY,)))
    return {
        "encode": Function("encode", (TensorKind("words", "BYTES", (ANY,)),), (codes,), True),
        "neighbours": Function("neighbours", (TensorKind("words", "BYTES", (1,)), count), found, False),
        "analogy": Function("analogy", (TensorKind("words", "BYTES", (3,)), count), found, False),
    }


def _of_speech(card: ArtifactCard) -> dict[str, Function]:
    """Of one region at 16 kHz; spans are start and stop in ticks of 10 ms."""
    audio, spans = TensorKind("audio", "FP32", (ANY,)), TensorKind("spans", "INT32", (ANY, 2))
    vectors, frames = TensorKind("vectors", "FP32", (ANY, ANY)), TensorKind("frames", "FP32", (ANY, ANY))
    return {"embed": Function("embed", (audio, spans), (vectors, frames), False)}
