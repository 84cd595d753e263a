"""Silero VAD's network (Silero Team, 2024) as an ONNX graph that hears many frames at once.

The graphs that Silero publishes run a convolution over the four spectra of each frame, which are too few to
keep a processor busy. Here every layer is one matrix product over all frames, and a spectrum is made of the
sums and differences of samples that lie at the same distance from the middle of its window: half the work.
The weights are read from their graph, which has the same layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CONTEXT, FRAME, STATE = 64, 512, 128
WINDOW, HOP, SPECTRA = 256, 128, 4
STRIDES = (1, 2, 2, 1)  # of the convolutions over a frame's spectra

IR_VERSION, OPSET = 8, 17
FLOAT, INT64 = 1, 7  # TensorProto.DataType
INT, INTS = 2, 7  # AttributeProto.AttributeType


@dataclass(frozen=True)
class Weights:
    """basis: (2 bins, WINDOW), of the spectra, real parts first. convolutions: kernels (out, in, 3) and
    biases (out,). recurrent: as ONNX's LSTM takes them: of the input, of the state, and biases. output:
    (1, STATE) and (1,).
    """

    basis: Floats
    convolutions: tuple[tuple[Floats, Floats], ...]
    recurrent: tuple[Floats, Floats, Floats]
    output: tuple[Floats, Floats]


def read_weights(model: bytes) -> Weights:
    """Returns the weights in silero_vad_16k_sequence.onnx. Raises KeyError where one is missing."""
    (content,) = (value for field, value in _fields(memoryview(model)) if field == 7)
    tensors: dict[str, Floats] = {}
    recurrent: list[str] = []
    for field, value in _fields(content):
        parts = list(_fields(value)) if field in (1, 5) else []
        if field == 5:
            shape = [size for part, size in parts if part == 1]
            named = {part: each for part, each in parts if part in (8, 9)}
            tensors[str(named[8], "utf-8")] = np.frombuffer(named[9], np.float32).reshape(shape)
        elif (4, b"LSTM") in parts:
            recurrent = [str(name, "utf-8") for part, name in parts if part == 1][1:4]
    entry, state, biases = (tensors[name] for name in recurrent)
    layers = [tensors[f"encoder.{layer}.{kind}"] for layer in range(4) for kind in ("weight", "bias")]
    return Weights(
        tensors["stft.forward_basis_buffer"][:, 0],
        tuple(zip(layers[::2], layers[1::2], strict=True)),
        (entry, state, biases),
        (tensors["output.weight"][:, :, 0], tensors["output.bias"]),
    )


def graph(weights: Weights) -> bytes:
    """Returns a serialised ONNX model.

    Inputs: `input` (n, CONTEXT + FRAME), samples of n frames that follow one another, each after the
    CONTEXT samples before it; `h`, `c` (1, 1, STATE), the state of the LSTM. Outputs: `speech_probs` (n,),
    and the next state as `hn`, `cn`.
    """
    net = _Graph()
    left, right = _halves(net)  # (4 n, HOP) each, all first windows before all second ones
    real, imaginary = (half[:, 1 : HOP + 1].T.copy() for half in np.split(weights.basis, 2))
    real[-1] /= 2  # the middle sample is its own opposite
    squares = []
    for operation, part in (("Add", real), ("Sub", imaginary)):
        spectrum = net.node("MatMul", net.node(operation, left, right), net.constant(part))
        squares.append(net.node("Mul", spectrum, spectrum))
    magnitudes = net.node("Sqrt", net.node("Add", *squares))
    columns = net.split(magnitudes, SPECTRA)
    for (kernel, bias), stride in zip(weights.convolutions, STRIDES, strict=True):
        columns = _convolution(net, columns, kernel, bias, stride)
    (heard,) = columns  # (n, STATE)
    steps = net.node("Unsqueeze", heard, net.constant(np.array([1])))  # (n, 1, STATE)
    recurrent = map(net.constant, weights.recurrent)
    outputs = net.node("LSTM", steps, *recurrent, "", "h", "c", outputs=3, hidden_size=STATE)
    states, hidden, cell = outputs.split()
    rows = net.node("Relu", net.node("Reshape", states, net.constant(np.array([-1, STATE]))))
    matrix, bias = weights.output
    logits = net.node("Gemm", rows, net.constant(matrix.T), net.constant(bias))
    flat = net.node("Reshape", logits, net.constant(np.array([-1])))
    net.node("Sigmoid", flat, names=("speech_probs",))
    net.node("Identity", hidden, names=("hn",))
    net.node("Identity", cell, names=("cn",))
    state: tuple[int | str, ...] = (1, 1, STATE)
    return net.model(
        inputs={"input": ("n", CONTEXT + FRAME), "h": state, "c": state},
        outputs={"speech_probs": ("n",), "hn": state, "cn": state},
    )


def _halves(net: _Graph) -> tuple[str, str]:
    """Adds the samples 1 to HOP of each window, and those opposite them, WINDOW - 1 to HOP. Beyond its end
    a frame is reflected."""
    size = CONTEXT + FRAME
    starts = range(0, SPECTRA * HOP, HOP)
    left = [net.columns("input", start + 1, start + HOP + 1) for start in starts]
    right = [net.columns("input", start + WINDOW - 1, start + HOP - 1, -1) for start in starts[:-1]]
    beyond = starts[-1] + WINDOW - size  # samples
    reflected = net.columns("input", size - 1 - beyond, size - 1)
    inside = net.columns("input", size - 1, size - 1 - (HOP - beyond), -1)
    right.append(net.node("Concat", reflected, inside, axis=1))
    return net.node("Concat", *left, axis=0), net.node("Concat", *right, axis=0)


def _convolution(net: _Graph, columns: Sequence[str], kernel: Floats, bias: Floats, stride: int) -> list[str]:
    """Adds the relu of a convolution of width 3 over columns (n, in), one beyond each end being zero.
    kernel (out, in, 3)."""
    offset = net.constant(bias)
    made = []
    for middle in range(0, len(columns), stride):
        taps = [tap for tap in range(3) if 0 <= middle + tap - 1 < len(columns)]
        parts = [columns[middle + tap - 1] for tap in taps]
        joined = net.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        matrix = net.constant(np.concatenate([kernel[:, :, tap].T for tap in taps]))
        made.append(net.node("Relu", net.node("Gemm", joined, matrix, offset)))
    return made


class _Graph:
    """Writes messages of onnx.proto in protobuf's wire format; the onnx package is not needed."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._names = 0

    def constant(self, value: Floats | NDArray[np.int64]) -> str:
        name = self._name()
        kind = FLOAT if value.dtype == np.float32 else INT64
        dimensions = b"".join(_number(1, size) for size in value.shape)
        data = np.ascontiguousarray(value).tobytes()
        self._constants.append(dimensions + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, data))
        return name

    def node(
        self, operation: str, *inputs: str, outputs: int = 1, names: Sequence[str] = (), **attributes: int
    ) -> str:
        """Adds a node and returns the name of its output; of several the names, a space between. An input
        may be empty."""
        made = names or [self._name() for _ in range(outputs)]
        message = b"".join(_bytes(1, name.encode()) for name in inputs)
        message += b"".join(_bytes(2, name.encode()) for name in made) + _bytes(4, operation.encode())
        for name, value in attributes.items():
            message += _bytes(5, _bytes(1, name.encode()) + _number(3, value) + _number(20, INT))
        self._nodes.append(message)
        return " ".join(made)

    def columns(self, rows: str, start: int, stop: int, step: int = 1) -> str:
        """Adds rows[:, start:stop:step]."""
        bounds = (self.constant(np.array([value])) for value in (start, stop, 1, step))
        return self.node("Slice", rows, *bounds)

    def split(self, rows: str, parts: int) -> list[str]:
        """Adds the division into equal parts along the first axis."""
        return self.node("Split", rows, outputs=parts, axis=0).split()

    def model(
        self, inputs: Mapping[str, tuple[int | str, ...]], outputs: Mapping[str, tuple[int | str, ...]]
    ) -> bytes:
        """Returns the model. inputs, outputs: shapes by name; an axis that is a word has any size."""
        message = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, b"silero")
        message += b"".join(_bytes(5, constant) for constant in self._constants)
        message += b"".join(_bytes(11, _value(*named)) for named in inputs.items())
        message += b"".join(_bytes(12, _value(*named)) for named in outputs.items())
        return _number(1, IR_VERSION) + _bytes(8, _number(2, OPSET)) + _bytes(7, message)

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    axes = b"".join(
        _bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size.encode())) for size in shape
    )
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, axes)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yields number and value of each field: an int, or a view of bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        size = {1: 8, 5: 4}.get(key & 7)
        if size is None:
            size, at = _read_varint(message, at)
            if not key & 7:
                yield key >> 3, size
                continue
        yield key >> 3, message[at : at + size]
        at += size


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte <= 0x7F:
            return value, at
