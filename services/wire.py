"""What services exchange on the wire: little-endian float32 and int32 arrays in bytes fields, the record of
an encoder; how much a message holds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from wordspot.indexer.records import EncoderInfo
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_MESSAGE_BYTES
from wordspot.v1 import embedding_pb2

_FLOAT = np.dtype("<f4")
_INT = np.dtype("<i4")

MessageT = TypeVar("MessageT", bound=Message)


def to_samples(pcm: bytes, field: str) -> NDArray[np.float32]:
    """Returns float32 (samples,). Raises MalformedRequest for part of a sample and for what is not finite."""
    if len(pcm) % _FLOAT.itemsize:
        raise MalformedRequest(f"{field} must have a multiple of 4 bytes, got {len(pcm)}", field)
    samples = np.frombuffer(pcm, _FLOAT).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        wrong = samples[~np.isfinite(samples)][0]
        raise MalformedRequest(f"{field} must hold finite samples, got {wrong}", field)
    return samples


def to_spans(data: bytes, field: str) -> NDArray[np.int32]:
    """Returns int32 (N, 3). Raises MalformedRequest for part of a row."""
    if len(data) % (3 * _INT.itemsize):
        raise MalformedRequest(f"{field} must have a multiple of 12 bytes, got {len(data)}", field)
    return np.frombuffer(data, _INT).reshape(-1, 3).astype(np.int32, copy=False)


def check_spans_count(data: bytes, limit: int, field: str) -> None:
    """Raises MalformedRequest for more spans than the limit. data: as of `to_spans`."""
    count = len(data) // (3 * _INT.itemsize)
    if count > limit:
        raise MalformedRequest(f"{field} must have at most {limit:,} spans, got {count:,}", field)


def to_rows(data: bytes, dimension: int) -> NDArray[np.float32]:
    """Returns float32 (rows, dimension)."""
    return np.frombuffer(data, _FLOAT).reshape(-1, dimension).astype(np.float32, copy=False)


def from_floats(values: NDArray[np.floating]) -> bytes:
    """Returns little-endian float32, row after row."""
    return np.ascontiguousarray(values, _FLOAT).tobytes()


def from_spans(spans: NDArray[np.integer]) -> bytes:
    """Returns little-endian int32, row after row. spans: (N, 3)."""
    return np.ascontiguousarray(spans, _INT).tobytes()


def from_encoder_info(info: EncoderInfo) -> dict[str, Any]:
    """Returns the fields of an embedding_pb2.Encoder that the record fills."""
    return {_field_of_encoder(field.name): getattr(info, field.name) for field in fields(info)}


def to_encoder_info(encoder: embedding_pb2.Encoder) -> EncoderInfo:
    """Returns the record that a message holds."""
    return EncoderInfo(
        **{field.name: getattr(encoder, _field_of_encoder(field.name)) for field in fields(EncoderInfo)}
    )


def _field_of_encoder(name: str) -> str:
    """Returns the name in the contract, which is older than one name."""
    return "meaning_dimension" if name == "semantic_dimensions" else name


def fitting(answer: MessageT, field: str) -> MessageT:
    """Returns the answer. field: what makes it shorter.

    Raises MalformedRequest for one that no peer would take.
    """
    check_answer_bytes(answer.ByteSize(), field)
    return answer


def check_answer_bytes(size: int, field: str) -> None:
    """Raises MalformedRequest for an answer that no peer would take. size: of the answer, in bytes."""
    if size > MAX_MESSAGE_BYTES:
        raise MalformedRequest(
            f"the answer must have at most {MAX_MESSAGE_BYTES:,} bytes, got {size:,}: ask for less", field
        )
