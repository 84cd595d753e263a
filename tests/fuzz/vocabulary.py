"""Values that a field may well hold, by its name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.fuzz import pictures, sounds
from tests.fuzz.server import ARCHIVE, ServedModel, Server

SCRATCH = "scratch"
# What the server draws; put in when a case is sent, so that a case stays the same.
RECORDING, OPERATION, ROOT = "<recording>", "<operation>", "<root>"
WORDS = ("king", "queen", "man", "woman", "paris", "天", "地", "zyxxy", "")
TEXTS = ("the king", "天地玄黃", "hello", "a red face with blonde hair", "0", "3", "")
ENCODERS = ("naive", "filterbank", "phonetic", "")
COUNTS = (1, 1, 1, 1, 1, 2, 3, 0, 1_025)
SECONDS = (0.0, 0.2, 0.5, 0.9, 1.0, 1.4, 2.0, 59.0)
PAGES = (0, 1, 2, 1_000, 1_001, -1)

# What restricts a search to little, mostly absent.
RARE = {"recordings": 0.8, "excluded_recordings": 0.8, "min_score": 0.7, "encoder": 0.4, "examples": 0.6}
FIELDS = {"picture": "pictures", "video": "clips", "sound": "sounds", "text": "texts", "word": "words"}

Value = Callable[[Random], Any]


def model_for(models: Sequence[ServedModel], method: str, rng: Random) -> ServedModel:
    """Returns one that can do what the method asks for, mostly."""
    capability = {"GetLogLikelihood": "nll", "ListNeighbours": "neighbours", "SolveAnalogy": "analogy"}.get(
        method, method.lower()
    )
    able = [model for model in models if capability in model.capabilities]
    return rng.choice(able if able and rng.random() < 0.95 else models)


class Vocabulary:
    """model: the one that the case is about."""

    def __init__(self, server: Server, service: str, model: ServedModel) -> None:
        self._server, self._model = server, model
        named = (model.name,) if "Archive" not in service else (ARCHIVE, ARCHIVE, SCRATCH, "b", "nobody")
        codes = int(model.config.get("code", model.config.get("dimension", 8)))
        self._values: dict[str, Value] = {
            "archive": _among(ARCHIVE, ARCHIVE, ARCHIVE, SCRATCH, "nobody"),
            "name": _among(*named),
            "DeleteArchiveRequest.name": _among(SCRATCH, "b", "nobody"),
            "DeleteRecordingRequest.archive": _among(SCRATCH, "nobody"),
            "recording": _among(RECORDING),
            "recordings": _among(RECORDING),
            "excluded_recordings": _among(RECORDING),
            "id": _among(OPERATION),
            "encoder": _among(*ENCODERS),
            "IndexArchiveRequest.encoder": _among("naive", "naive", "", "nobody"),  # searches are of it
            "SearchOptions.encoder": _among("naive", ""),
            "SearchOptions.archive": _among(*(ARCHIVE,) * 12, SCRATCH, "nobody"),
            "GetEncoderRequest.name": _among(*ENCODERS),
            "EmbedConfig.encoder": _among("naive", "filterbank"),
            "EmbedConfig.hash": _among(""),
            "path": self._path,
            "filename": _among("a.wav", "b.mp3", "c"),
            "request_id": lambda rng: f"request-{rng.randrange(1_000_000)}",
            "model": _among(model.name),
            "model_name": lambda rng: f"{model.name}:{rng.choice(model.capabilities)}",
            "repository_name": _among(""),
            "version": _among(""),
            "model_version": _among(""),
            "png": self._png,
            "wav": lambda rng: sounds.draw_wav(rng, int(model.config.get("rate", 8_000))),
            "words": _among(*WORDS),
            "word": _among(*WORDS),
            "a": _among(*WORDS),
            "b": _among(*WORDS),
            "c": _among(*WORDS),
            "texts": _among(*TEXTS),
            "text": _among(*TEXTS),
            "label": _among("a label", ""),
            "language": _among("", "en", "cmn", "de"),
            "speakers": _among(0, 1, 2, 8, 9),
            "condition": _among("", "", "", *TEXTS),
            "count": _among(*COUNTS),
            "seed": _among(0, 1, 2**63, 2**64 - 1),
            "temperature": _among(1.0, 1.0, 0.5, 2.0, 0.001, 0.0),
            "values": lambda rng: [rng.gauss(0, 1) for _ in range(codes)],
            "pcm": _pcm,
            "spans": _spans,
            "region": _among(0, 0, 0, 1, 2),
            "chunk": self._chunk,
            "start_seconds": _among(*(0.0, 0.2, 0.5) * 30, *SECONDS),
            "end_seconds": _among(*(0.8, 0.9, 1.0) * 30, *SECONDS),
            "page_size": _among(*PAGES),
            "page_token": _among("", "", "1", "eyJ9"),
            "top_k": _among(0, 1, 3, 3, 10, 10, 10, 10, 10, 10_000, 10_001),
            "min_score": _among(0.0, 5.0, -5.0),
            "voices": _among(0, 1, 3),
            "mode": _among(0, 0, 0, 1, 1, 1, 2, 3),  # the last two need an encoder of meanings
        }

    def get(self, message: str, name: str) -> Value | None:
        return self._values.get(f"{message}.{name}") or self._values.get(name)

    def absence(self, message: str, name: str) -> float:
        """How often a field is left out."""
        return RARE.get(name, 0.02 if self.get(message, name) else 0.06)

    def part(self, names: Sequence[str]) -> str:
        """The field of a oneof that holds what the model knows; empty where there is none."""
        field = FIELDS.get(self._model.modality, "")
        return field if field in names else ""

    def length(self, message: str, name: str) -> int:
        """Of a list, where the model knows only one."""
        is_clip = (message, name, self._model.modality) == ("Pictures", "png", "video")
        return int(self._model.config["frames"]) if is_clip else 0

    def _path(self, rng: Random) -> str:
        names = (*sorted(path.name for path in self._server.root.iterdir()), "", "missing.wav", "../root")
        return f"{ROOT}/{rng.choice(names)}"

    def _png(self, rng: Random) -> bytes:
        return pictures.draw(rng, *self._model.picture)

    def _chunk(self, rng: Random) -> bytes:
        if rng.random() < 0.7:
            return rng.choice(self._server.queries).read_bytes()
        return sounds.draw(rng)


def _among(*values: Any) -> Value:
    return lambda rng: rng.choice(values)


def _pcm(rng: Random) -> bytes:
    """Float32 samples, a second of them at most, some of which are none."""
    count = rng.choice((0, 1, 160, 1_600, 16_000))
    samples = [rng.gauss(0, 0.1) for _ in range(min(count, 1_600))] * (10 if count == 16_000 else 1)
    if samples and rng.random() < 0.1:
        samples[rng.randrange(len(samples))] = rng.choice((float("nan"), float("inf"), 1e38, 1e-45))
    data = struct.pack(f"<{len(samples)}f", *samples)
    return data if rng.random() < 0.95 else data + b"\0"


def _spans(rng: Random) -> bytes:
    """Triples of int32: region, start, end."""
    rows = []
    for _ in range(rng.choice((0, 1, 5, 300))):
        start = rng.randrange(10)
        rows.append((0, start, start + rng.choice((1, 20, 50, 90))))
    if rows and rng.random() < 0.3:
        wrong = rng.choice(((-1, 0, 1), (0, 5, 5), (0, 9, 3), (7, 0, 9), (0, -(2**31), 2**31 - 1)))
        rows[rng.randrange(len(rows))] = wrong
    data = b"".join(struct.pack("<3i", *row) for row in rows)
    return data if rng.random() < 0.95 else data + b"\0\0"
