"""Numbers on the wire: little-endian float32 and int32 arrays in bytes fields; how much a message holds."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from wordspot.services.errors import MalformedRequest
from wordspot.services.runtime import MAX_MESSAGE_BYTES

_FLOAT = np.dtype("<f4")
_INT = np.dtype("<i4")

MessageT = TypeVar("MessageT", bound=Message)


def to_samples(pcm: bytes, field: str) -> NDArray[np.float32]:
    """float32 (samples,). Raises MalformedRequest for part of a sample and for what is not finite."""
    if len(pcm) % _FLOAT.itemsize:
        raise MalformedRequest(f"{field} holds {len(pcm)} bytes; a multiple of 4 is allowed", field)
    samples = np.frombuffer(pcm, _FLOAT).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        wrong = samples[~np.isfinite(samples)][0]
        raise MalformedRequest(f"{field} holds a sample of {wrong}; finite numbers are allowed", field)
    return samples


def to_spans(data: bytes, field: str) -> NDArray[np.int32]:
    """int32 (N, 3). Raises MalformedRequest for part of a row."""
    if len(data) % (3 * _INT.itemsize):
        raise MalformedRequest(f"{field} holds {len(data)} bytes; a multiple of 12 is allowed", field)
    return np.frombuffer(data, _INT).reshape(-1, 3).astype(np.int32, copy=False)


def to_rows(data: bytes, dimension: int) -> NDArray[np.float32]:
    """float32 (rows, dimension)."""
    return np.frombuffer(data, _FLOAT).reshape(-1, dimension).astype(np.float32, copy=False)


def from_floats(values: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(values, _FLOAT).tobytes()


def from_spans(spans: NDArray[np.integer]) -> bytes:
    """spans (N, 3)."""
    return np.ascontiguousarray(spans, _INT).tobytes()


def fitting(answer: MessageT, field: str) -> MessageT:
    """The answer. field: what makes it shorter. Raises MalformedRequest for one that no peer would take."""
    size = answer.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        raise MalformedRequest(
            f"the answer has {size} bytes; at most {MAX_MESSAGE_BYTES} are allowed: ask for less", field
        )
    return answer
