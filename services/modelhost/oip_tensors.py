"""Tensors in the messages of the Open Inference Protocol."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from wordspot.oip import inference_pb2 as pb
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import (
    MAX_CHARACTERS_PER_CALL,
    MAX_EXAMPLE_CHARACTERS,
    MAX_TENSOR_DIMENSIONS,
)
from wordspot.services.modelhost.capability import Array, Signature
from wordspot.services.modelhost.tensors import ANY, DTYPES, TensorKind
from wordspot.services.pricing import check_length

CONTENTS = {
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
LENGTH = struct.Struct("<I")  # before each element of BYTES


def read_inputs(request: pb.ModelInferRequest, signature: Signature) -> dict[str, Array]:
    """Returns arrays by name, checked against what the signature says. Raises MalformedRequest."""
    names = [tensor.name for tensor in request.inputs]
    expected = [kind.name for kind in signature.inputs]
    if sorted(names) != sorted(expected):
        raise MalformedRequest(
            f"inputs must be {', '.join(expected)}, each once, got {', '.join(names) or 'none'}", "inputs"
        )
    raw = request.raw_input_contents
    if raw and len(raw) != len(names):
        raise MalformedRequest(
            f"the number of raw contents must be that of inputs, {len(names)}, got {len(raw)}",
            "raw_input_contents",
        )
    kinds = {kind.name: kind for kind in signature.inputs}
    return {
        tensor.name: _array(tensor, raw[number] if raw else None, kinds[tensor.name])
        for number, tensor in enumerate(request.inputs)
    }


def _array(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, kind: TensorKind) -> Array:
    if tensor.datatype != kind.datatype:
        raise MalformedRequest(
            f"input {kind.name!r} must have the type {kind.datatype}, got {tensor.datatype}", "inputs"
        )
    shape = tuple(tensor.shape[:MAX_TENSOR_DIMENSIONS])
    fits = len(shape) == len(kind.shape) and all(
        size == expected or (expected == ANY and size >= 0)
        for size, expected in zip(shape, kind.shape, strict=True)
    )
    if not fits:
        raise MalformedRequest(
            f"input {kind.name!r} must have the shape {list(kind.shape)} (-1: any), got {list(shape)}",
            "inputs",
        )
    if shape[0] > kind.max_rows:
        raise MalformedRequest(
            f"the number of rows of input {kind.name!r} must be at most {kind.max_rows:,}, got {shape[0]}",
            "inputs",
        )
    return _values(tensor, raw, kind, shape).reshape(shape).copy()


def _values(
    tensor: pb.ModelInferRequest.InferInputTensor,
    raw: bytes | None,
    kind: TensorKind,
    shape: tuple[int, ...],
) -> Array:
    """Returns as many values as the shape has; they are counted before they are converted.

    Raises MalformedRequest.
    """
    dtype = DTYPES[kind.datatype]
    if kind.datatype == "BYTES":
        elements = tensor.contents.bytes_contents if raw is None else _elements(raw, kind, shape)
        _check_count(len(elements), kind, shape)
        return _texts(elements, kind)
    if raw is None:
        contents = getattr(tensor.contents, CONTENTS[kind.datatype])
        _check_count(len(contents), kind, shape)
        values = np.array(contents, dtype)
    elif len(raw) % dtype.itemsize:
        raise MalformedRequest(
            f"input {kind.name!r} must have a multiple of {dtype.itemsize} bytes, got {len(raw)}", "inputs"
        )
    else:
        _check_count(len(raw) // dtype.itemsize, kind, shape)
        values = np.frombuffer(raw, dtype)
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise MalformedRequest(f"input {kind.name!r} must hold finite values", "inputs")
    return values


def _check_count(count: int, kind: TensorKind, shape: tuple[int, ...]) -> None:
    """Raises MalformedRequest."""
    if count != math.prod(shape):
        raise MalformedRequest(
            f"input {kind.name!r} must hold {math.prod(shape)} values by its shape {list(shape)}, got "
            f"{count}",
            "inputs",
        )


def _elements(raw: bytes, kind: TensorKind, shape: tuple[int, ...]) -> list[bytes]:
    """Returns the elements, each behind its length, at most one more than the shape has.

    Raises MalformedRequest.
    """
    elements: list[bytes] = []
    start = 0
    while start < len(raw) and len(elements) <= math.prod(shape):
        end = start + LENGTH.size
        if end <= len(raw):
            end += LENGTH.unpack_from(raw, start)[0]
        if end > len(raw):
            raise MalformedRequest(
                f"each element of input {kind.name!r} must follow its length of {LENGTH.size} bytes; the "
                f"last one ends early, after {len(raw)} bytes",
                "inputs",
            )
        elements.append(raw[start + LENGTH.size : end])
        start = end
    return elements


def _texts(elements: Sequence[bytes], kind: TensorKind) -> Array:
    """Raises MalformedRequest."""
    for element in elements:  # a character is a byte or more
        check_length(len(element), MAX_EXAMPLE_CHARACTERS, f"an element of input {kind.name!r}", "bytes")
    check_length(sum(map(len, elements)), MAX_CHARACTERS_PER_CALL, f"input {kind.name!r}", "bytes")
    try:
        return np.array([element.decode() for element in elements], object)
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"input {kind.name!r} must be UTF-8 ({error})", "inputs") from error


def raw_content(values: Array, datatype: str) -> bytes:
    """Returns the tensor as bytes, row after row, texts each behind their length."""
    if datatype != "BYTES":
        return values.astype(DTYPES[datatype], copy=False).tobytes()
    texts = [text.encode() for text in values]
    return b"".join(LENGTH.pack(len(text)) + text for text in texts)
