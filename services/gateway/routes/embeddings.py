"""Vectors of sounds: what an encoder makes of spoken words, for maps of them."""

from __future__ import annotations

import base64
import binascii
import io
import wave
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from wordspot.services.gateway.messages import JsonMessage
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.problems import Problem
from wordspot.services.limits import MAX_CHUNK_BYTES
from wordspot.v1 import embedding_pb2

api = APIRouter(prefix="/models", tags=["models"])

SAMPLE_RATE = 16_000
SAMPLES_PER_TICK = 160
MAX_SOUNDS = 256
MAX_SOUND_S = 10
FULL_SCALE = 1 << 15


class SoundsBody(JsonMessage):
    """Sounds, each of which gets a vector."""

    sounds: Annotated[
        list[str],
        Field(min_length=1, max_length=MAX_SOUNDS, description="WAV files in base64: mono, 16 kHz, 16 bits."),
    ]


class VectorsBody(BaseModel):
    """A vector of unit length for each sound, in order."""

    vectors: list[list[float]]


@api.post("/{model}/embed", response_model=VectorsBody, operation_id="model_embed")
async def embed(model: str, body: SoundsBody, peers: ThePeers) -> Any:
    """Returns what an encoder makes of each sound as a whole."""
    sounds = [_samples(sound, f"sounds[{number}]") for number, sound in enumerate(body.sounds)]
    data, dimension = bytearray(), 1
    async for answer in peers.embed(_requests(model, sounds)):
        if answer.WhichOneof("part") == "vectors":
            data += answer.vectors.data
            dimension = answer.vectors.dimension
    return {"vectors": np.frombuffer(bytes(data), "<f4").reshape(-1, dimension).tolist()}


def _requests(model: str, sounds: Sequence[np.ndarray]) -> Iterator[embedding_pb2.EmbedRequest]:
    """Yields one section: each sound is a region of it, and a span of its region."""
    yield embedding_pb2.EmbedRequest(config=embedding_pb2.EmbedConfig(encoder=model))
    for region, sound in enumerate(sounds):
        pcm = sound.astype("<f4").tobytes()
        for at in range(0, len(pcm), MAX_CHUNK_BYTES):
            piece = embedding_pb2.RegionAudio(region=region, pcm=pcm[at : at + MAX_CHUNK_BYTES])
            yield embedding_pb2.EmbedRequest(audio=piece)
    spans = [(region, 0, len(sound) // SAMPLES_PER_TICK) for region, sound in enumerate(sounds)]
    table = np.asarray(spans, "<i4").tobytes()
    yield embedding_pb2.EmbedRequest(spans=embedding_pb2.SpanTable(spans=table))


def _samples(sound: str, field: str) -> np.ndarray:
    """Returns float32 (n,). Raises Problem."""
    try:
        with wave.open(io.BytesIO(base64.b64decode(sound, validate=True))) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") if form[1] == 2 else None
    except (binascii.Error, ValueError, wave.Error, EOFError) as error:
        raise Problem(422, f"{field} must be a WAV file in base64: {error}", field=field) from None
    if samples is None or form != (1, 2, SAMPLE_RATE):
        raise Problem(
            422,
            f"{field} must be mono with 16 bits at {SAMPLE_RATE:,} Hz, got {form[0]} channels with "
            f"{8 * form[1]} bits at {form[2]:,} Hz",
            field=field,
        )
    if not SAMPLES_PER_TICK <= len(samples) <= MAX_SOUND_S * SAMPLE_RATE:
        raise Problem(
            422,
            f"{field} must last between 0.01 and {MAX_SOUND_S} s, got {len(samples) / SAMPLE_RATE:g} s",
            field=field,
        )
    return samples.astype(np.float32) / FULL_SCALE
