"""Requests of the Open Inference Protocol: what a model's metadata allows, then broken."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.server import ServedModel, TensorShape
from wordspot.oip import inference_pb2 as pb

DATATYPES = ("FP32", "FP64", "FP16", "BF16", "INT8", "INT32", "INT64", "UINT64", "BOOL", "BYTES", "", "fp32")
CODES = {"FP32": "f", "INT32": "i", "INT64": "q", "UINT64": "Q", "BOOL": "?"}
FIELDS = {
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
SIZES = (-(2**63), -2, -1, 0, 1, 2, 3, 1_025, 65_536, 2**31, 2**62, 2**63 - 1)
MAX_VALUES = 1 << 19
NUMBERS = (float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 1e-45, 2.0, -1.0)
ELEMENTS = (b"", b"\xff\xfe", b"\0", b"king", "天".encode(), b"a" * 70_000)

Breaking = Callable[[pb.ModelInferRequest, Random], None]


def draw(rng: Random, models: Sequence[ServedModel]) -> pb.ModelInferRequest:
    """Returns a request that is right, or broken up to three times."""
    model = rng.choice([one for one in models if one.signatures])
    capability = rng.choice(sorted(model.signatures))
    request = pb.ModelInferRequest(model_name=f"{model.name}:{capability}", id="a")
    raw = rng.random() < 0.6
    for tensor in model.signatures[capability]:
        _add(request, tensor, raw, rng)
    if rng.random() < 0.3:
        request.parameters["temperature"].double_param = rng.choice((1.0, 0.5, 0.001, 1_000.0))
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
        rng.choice(_BREAKINGS)(request, rng)
    return request


def _add(request: pb.ModelInferRequest, kind: TensorShape, raw: bool, rng: Random) -> None:
    shape = [size if size >= 0 else rng.choice((1, 1, 2, 3, 40)) for size in kind.shape]
    tensor = request.inputs.add(name=kind.name, datatype=kind.datatype, shape=shape)
    values = [_value(kind, rng) for _ in range(min(math.prod(shape), MAX_VALUES))]
    if not raw:
        getattr(tensor.contents, FIELDS[kind.datatype]).extend(values)
    elif kind.datatype == "BYTES":
        request.raw_input_contents.append(b"".join(struct.pack("<I", len(v)) + v for v in values))
    else:
        request.raw_input_contents.append(struct.pack(f"<{len(values)}{CODES[kind.datatype]}", *values))


def _value(kind: TensorShape, rng: Random) -> float | int | bool | bytes:
    if kind.datatype == "BYTES":
        return rng.choice((b"king", b"queen", "天".encode(), b"the king says", b""))
    if kind.datatype == "FP32":
        return rng.random()
    if kind.datatype == "BOOL":
        return rng.random() < 0.5
    return rng.choice((1, 2, 3)) if kind.name == "count" else rng.randrange(30)


def _break_shape(request: pb.ModelInferRequest, rng: Random) -> None:
    """One size, or the number of axes."""
    for tensor in _one_input(request, rng):
        choice = rng.randrange(4)
        if choice == 0 or not tensor.shape:
            tensor.shape.append(rng.choice(SIZES))
        elif choice == 1:
            del tensor.shape[rng.randrange(len(tensor.shape))]
        else:
            tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice(SIZES)


def _break_type(request: pb.ModelInferRequest, rng: Random) -> None:
    for tensor in _one_input(request, rng):
        tensor.datatype = rng.choice(DATATYPES)


def _break_name(request: pb.ModelInferRequest, rng: Random) -> None:
    for tensor in _one_input(request, rng):
        tensor.name = rng.choice(("", "seed", "count", "known", "pictures", "x" * 10_000, "\0"))


def _break_inputs(request: pb.ModelInferRequest, rng: Random) -> None:
    """One twice, or one less."""
    for tensor in _one_input(request, rng):
        if rng.random() < 0.5:
            request.inputs.append(tensor)
        else:
            del request.inputs[-1]


def _break_values(request: pb.ModelInferRequest, rng: Random) -> None:
    """Numbers that are none, counts beyond all bounds, texts that are none; or more or less of them."""
    for tensor in _one_input(request, rng):
        contents = tensor.contents
        number = rng.choice(NUMBERS)
        if contents.fp32_contents:
            contents.fp32_contents[rng.randrange(len(contents.fp32_contents))] = number
        elif contents.int64_contents:
            contents.int64_contents[0] = rng.choice(SIZES)
        elif contents.bytes_contents:
            contents.bytes_contents[0] = rng.choice(ELEMENTS)
        else:
            contents.fp64_contents.append(number)


def _break_raw(request: pb.ModelInferRequest, rng: Random) -> None:
    contents = request.raw_input_contents
    if not contents:
        contents.append(rng.randbytes(rng.choice((0, 3, 4, 64))))
        return
    at = rng.randrange(len(contents))
    whole = contents[at]
    number = struct.pack("<f", rng.choice(NUMBERS))
    choices = (whole[:-1], whole + b"\0", b"", number + whole[4:], b"\xff" * len(whole), whole * 2)
    contents[at] = rng.choice(choices)


def _break_model(request: pb.ModelInferRequest, rng: Random) -> None:
    names = ("", ":", "x:y", request.model_name + ":", request.model_name.partition(":")[0], "m" * 5_000)
    if rng.random() < 0.7:
        request.model_name = rng.choice(names)
    else:
        request.model_version = rng.choice(("0", "v" * 5_000, "\0"))


def _break_outputs(request: pb.ModelInferRequest, rng: Random) -> None:
    for _ in range(rng.choice((1, 2, 1_000))):
        request.outputs.add(name=rng.choice(("pictures", "codes", "", "texts", "probabilities")))


def _break_parameters(request: pb.ModelInferRequest, rng: Random) -> None:
    name = rng.choice(("temperature", "condition", "priority", "binary_data", "", "sequence_id"))
    parameter = request.parameters[name]
    choices: tuple[Callable[[], object], ...] = (
        lambda: setattr(parameter, "double_param", rng.choice(NUMBERS)),
        lambda: setattr(parameter, "int64_param", rng.choice(SIZES)),
        lambda: setattr(parameter, "string_param", rng.choice(("", "3", "hello", "x" * 100_000))),
        lambda: setattr(parameter, "bool_param", True),
        lambda: None,
    )
    rng.choice(choices)()


_BREAKINGS: tuple[Breaking, ...] = (
    _break_shape,
    _break_shape,
    _break_type,
    _break_name,
    _break_inputs,
    _break_values,
    _break_raw,
    _break_raw,
    _break_model,
    _break_outputs,
    _break_parameters,
)


def _one_input(request: pb.ModelInferRequest, rng: Random) -> Sequence[pb.ModelInferRequest.InferInputTensor]:
    """One of them, where there is any."""
    return [request.inputs[rng.randrange(len(request.inputs))]] if request.inputs else []
