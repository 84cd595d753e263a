"""Writes `model.onnx` beside an artifact's weights, and verifies that its outputs are the torch model's."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wordspot.models import artifact, registry
from wordspot.models.artifact import ONNX, ArtifactCard, OnnxFile
from wordspot.models.encoders.pooled import PooledSpanModel
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.errors import BadInput, DamagedArtifact, MissingWeights, UnknownModel
from wordspot.models.runtime import encoder as runtime
from wordspot.models.runtime.networks import FAMILIES, Network
from wordspot.models.runtime.pooling import Projection
from wordspot.models.runtime.sections import Section
from wordspot.models.temporary import temporary_folder

PRECISIONS = ("int8", "fp32")
TOLERANCES = {"int8": 0.99, "fp32": 0.9999}
"""The least cosine similarity of 99 of 100 frames and vectors to the torch model's, by precision."""
OPSET = 18
EXAMPLE_LENGTH = 400  # of the axes of any length, while the graph is traced
LINEAR_LAYERS = ["MatMul", "Gemm"]
SPAN_TICKS, SPAN_STEP = (25, 50, 100), 10
MIN_FRAMES = 100
LARGE_CONSTANT = 4_096  # numbers


def export(
    name: str,
    speech: Sequence[NDArray[np.float32]],
    home: Path | None = None,
    *,
    precision: str = "int8",
) -> ArtifactCard:
    """Writes an artifact's `model.onnx` and its card anew, and returns the card.

    name: as `registry.find` takes it. speech: clips of real speech, float32 (samples,) at 16 kHz, on which
    both must agree. precision: one of PRECISIONS; with int8 the weights of linear layers are of 8 bits, and
    what goes into them is quantised as it comes.

    Raises UnknownModel, BadInput, MissingWeights, and DamagedArtifact where the two do not agree within
    TOLERANCES; then nothing is written.
    """
    if precision not in PRECISIONS:
        raise BadInput(f"precision is {precision!r}; {', '.join(PRECISIONS)} are allowed")
    folder = registry.find(name, home)
    model, card = registry.load(name, home)
    if not isinstance(model, PooledSpanModel) or model.family is None:
        raise UnknownModel(
            f"{name!r} is a {card.model}, which cannot run without torch; encoders of the families "
            f"{', '.join(FAMILIES)} can"
        )
    blob = to_onnx(model, card, precision)
    tolerance = TOLERANCES[precision]
    file = OnnxFile(hashlib.sha256(blob).hexdigest(), model.family, precision, tolerance, 0.0)
    run, _ = runtime.session(blob)
    light = runtime.OnnxEncoder(FAMILIES[model.family](run, card.config), _projection(model), card, name)
    cosine = agreement(SpanEncoder(model, name, card.hash, "", "cpu"), light, speech)
    if cosine < tolerance:
        raise DamagedArtifact(
            f"{folder / ONNX}: one frame or vector in a hundred has a cosine similarity of {cosine:.4f} or "
            f"less to that of the torch model; at least {tolerance} is allowed"
        )
    artifact.write_whole(folder / ONNX, blob)
    return artifact.write_card(
        dataclasses.replace(card, onnx=dataclasses.replace(file, agreement=round(cosine, 5))), folder
    )


def to_onnx(model: PooledSpanModel[Any], card: ArtifactCard, precision: str) -> bytes:
    """Returns the graph of a model's family with the projection in its metadata. Raises MissingWeights."""
    try:
        import onnx
    except ImportError:
        raise MissingWeights("exporting needs the package onnx: pip install 'wordspot[export]'") from None
    assert model.family is not None
    with temporary_folder() as temporary:
        path = temporary / ONNX
        _trace(model, FAMILIES[model.family], path)
        if precision == "int8":
            path = _quantised(path)
        graph = onnx.load(path)
    if precision == "int8":
        _halve(graph.graph)
    projection = _projection(model)
    metadata = {
        runtime.WEIGHTS_SHA256: card.weights_sha256,
        runtime.PROJECTION_WEIGHT: runtime.encoded(projection.weight),
        runtime.PROJECTION_BIAS: runtime.encoded(projection.bias),
    }
    onnx.helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString(deterministic=True))


def agreement(exact: SpanEncoder, light: runtime.OnnxEncoder, speech: Sequence[NDArray[np.float32]]) -> float:
    """Returns the cosine similarity that 99 of 100 frames and vectors of both encoders reach on the same
    speech.

    Raises BadInput where there is too little of it.
    """
    sections: list[Section] = []
    for waveform in speech:
        ticks = max(1, -(-len(waveform) // 160))
        starts = [
            (0, start, start + size) for size in SPAN_TICKS for start in range(0, ticks - size, SPAN_STEP)
        ]
        sections.append(([waveform], np.array(starts, np.int32).reshape(-1, 3)))
    similar: list[NDArray[np.float32]] = []
    frames = 0
    for expected, actual in zip(exact.embed_sections(sections), light.embed_sections(sections), strict=True):
        for a, b in zip([expected[0], *expected[1]], [actual[0], *actual[1]], strict=True):
            similar.append((a * b).sum(axis=1))
        frames += sum(map(len, expected[1]))
    if frames < MIN_FRAMES:
        raise BadInput(f"{frames} frames of speech to compare on; at least {MIN_FRAMES} are needed")
    return float(np.quantile(np.concatenate(similar), 0.01))


def _trace(model: PooledSpanModel[Any], family: type[Network], path: Path) -> None:
    examples = tuple(
        torch.rand([EXAMPLE_LENGTH if size is None else size for size in shape])
        for shape in family.inputs.values()
    )
    name, axis = family.output
    varying = {key: {shape.index(None): "ticks"} for key, shape in family.inputs.items()}
    with warnings.catch_warnings(), torch.inference_mode():
        # The exporter that needs no package beside onnx is called a legacy, and a traced length a constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.graph().eval(),
            examples,
            str(path),
            input_names=list(family.inputs),
            output_names=[name],
            dynamic_axes=varying | {name: {axis: "frames"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantised(path: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, out = path.with_name("prepared.onnx"), path.with_name("quantised.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(out),
        op_types_to_quantize=LINEAR_LAYERS,
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,  # processors without VNNI add pairs of products in 16 bits, which 8 would overflow
    )
    return out


def _halve(graph: Any) -> None:
    """Stores what was not quantised, the weights of convolutions above all, as fp16; the network gets it as
    fp32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LARGE_CONSTANT:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        graph.node.insert(place, cast)


def _projection(model: PooledSpanModel[Any]) -> Projection:
    linear = model.projection
    return Projection(linear.weight.detach().numpy(), linear.bias.detach().numpy())
