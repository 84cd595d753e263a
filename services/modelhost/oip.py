"""The Open Inference Protocol over the same queues as ModelService.

A model of the protocol is one capability of one of ours: `digits-vae:sample`. Its version is the beginning of
the artifact's hash; a request may leave it empty. What a capability takes besides tensors, such as
`temperature`, are parameters of the request. An artifact called `digits-vae@ANYTHING` is another version
of `digits-vae`, and both may run side by side. Loading and unloading take the name with or without the
capability, and mean the whole model.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import ArtifactCard
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc
from wordspot.services import errors, wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.functions import ANY, DTYPES, Function, TensorKind, functions
from wordspot.services.modelhost.hosting import MOST_AT_ONCE, RANKING, Models, Parts, Task, check_count
from wordspot.services.modelhost.scheduler import SAMPLE_RATE, Encoders, awaited
from wordspot.services.modelhost.servicer import MAX_SECTION_SECONDS
from wordspot.services.modelhost.statistics import Duration, Figures
from wordspot.services.runtime import time_remaining
from wordspot.services.settings import ModelHostSettings

Array = NDArray[Any]

PLATFORM = "wordspot"
EXTENSIONS = ("model_repository", "model_configuration", "statistics")
VERSION_DIGITS = 12
READY, UNAVAILABLE = "READY", "UNAVAILABLE"
DATA_TYPES = {
    "FP32": pb.TYPE_FP32,
    "INT32": pb.TYPE_INT32,
    "INT64": pb.TYPE_INT64,
    "UINT64": pb.TYPE_UINT64,
    "BOOL": pb.TYPE_BOOL,
    "BYTES": pb.TYPE_STRING,
}
CONTENTS = {
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
LENGTH = struct.Struct("<I")  # before each element of BYTES
FINAL = "triton_final_response"
RATE = "rate"  # of an output that is sound, samples a second
PARAMETERS: Mapping[str, Sequence[str]] = {
    "temperature": ("double_param", "int64_param", "uint64_param"),
    "condition": ("string_param",),
}
# What Triton's clients say by themselves: there are no sequences, and an empty answer ends every stream.
UNHEEDED = frozenset(
    {"priority", "timeout", "sequence_id", "sequence_start", "sequence_end"}
    | {"triton_enable_empty_final_response"}
)


class InferenceServicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, models: Models, encoders: Encoders, settings: ModelHostSettings) -> None:
        self._models, self._encoders, self._settings = models, encoders, settings

    def ServerLive(  # noqa: N802
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def ServerReady(  # noqa: N802
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(  # noqa: N802
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        name, _, _ = self._find(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._models.loaded(name))

    def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=PLATFORM, version=version(PLATFORM), extensions=EXTENSIONS)

    def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        name, card, function = self._find(request.name, request.version)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[*self._versions(name, card)],
            platform=PLATFORM,
            inputs=map(_metadata, function.inputs),
            outputs=map(_metadata, function.outputs),
        )

    def ModelConfig(  # noqa: N802
        self, request: pb.ModelConfigRequest, context: grpc.ServicerContext
    ) -> pb.ModelConfigResponse:
        _, _, function = self._find(request.name, request.version)
        first = 1 if function.batched else 0
        return pb.ModelConfigResponse(
            config=pb.ModelConfig(
                name=request.name,
                platform=PLATFORM,
                backend=PLATFORM,
                max_batch_size=MOST_AT_ONCE if function.batched else 0,
                input=[
                    pb.ModelInput(name=t.name, data_type=DATA_TYPES[t.datatype], dims=t.shape[first:])
                    for t in function.inputs
                ],
                output=[
                    pb.ModelOutput(name=t.name, data_type=DATA_TYPES[t.datatype], dims=t.shape[first:])
                    for t in function.outputs
                ],
                dynamic_batching=pb.ModelDynamicBatching(
                    max_queue_delay_microseconds=round(1_000 * self._settings.batch_delay_ms)
                ),
            )
        )

    def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> pb.ModelStatisticsResponse:
        names = [request.name] if request.name else self._names()
        found = []
        for full in names:
            name, card, function = self._find(full, request.version)
            source = self._encoders if function.capability == "embed" else self._models
            figures = source.statistics.of(name, function.capability)
            found.append(_statistics(full, _version(card), figures))
        return pb.ModelStatisticsResponse(model_stats=found)

    def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryIndexResponse:
        entries = []
        for full in self._names():
            name, card, _ = self._find(full, "")
            ready = self._models.loaded(name)
            if request.ready and not ready:
                continue
            entries.append(
                pb.RepositoryIndexResponse.ModelIndex(
                    name=full,
                    version=_version(card),
                    state=READY if ready else UNAVAILABLE,
                    reason="" if ready else "not loaded; a request loads it",
                )
            )
        return pb.RepositoryIndexResponse(models=entries)

    def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        if request.parameters:
            raise BadInput(
                f"load came with {', '.join(sorted(request.parameters))}; configuration and files cannot be "
                "sent along, models come from the server's own folders"
            )
        self._models.load(self._whole(request.model_name))
        return pb.RepositoryModelLoadResponse()

    def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        self._models.unload(self._whole(request.model_name))
        return pb.RepositoryModelUnloadResponse()

    def ModelInfer(  # noqa: N802
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        _, _, function = self._find(request.model_name, request.model_version)
        if function.streamed:
            raise BadInput(
                f"model {request.model_name!r} answers piece by piece; ModelStreamInfer is allowed"
            )
        (response,) = self._infer(request)
        return response

    def ModelStreamInfer(  # noqa: N802
        self, request_iterator: Iterator[pb.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ModelStreamInferResponse]:
        for request in request_iterator:
            try:
                for response in self._infer(request):
                    yield pb.ModelStreamInferResponse(infer_response=response)
            except Exception as error:
                if errors.to_status(error) is None:
                    raise
                failed = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
                yield pb.ModelStreamInferResponse(error_message=str(error), infer_response=failed)

    def _infer(self, request: pb.ModelInferRequest) -> Iterator[pb.ModelInferResponse]:
        """One response; of a function that streams, one for each part and an empty one at the end."""
        name, card, function = self._find(request.model_name, request.model_version)
        given = _inputs(request, function)
        wanted = _wanted(request, function)
        options = _options(request, function)
        made = (
            iter([self._embedded(name, given)])
            if function.capability == "embed"
            else self._made(name, function, given, options)
        )

        def about() -> pb.ModelInferResponse:
            return pb.ModelInferResponse(
                model_name=request.model_name, model_version=_version(card), id=request.id
            )

        for some in made:
            response = about()
            for kind in wanted:
                values = some[kind.name]
                output = response.outputs.add(name=kind.name, datatype=kind.datatype, shape=values.shape)
                if kind.rate is not None:
                    output.parameters[RATE].int64_param = kind.rate
                response.raw_output_contents.append(_raw(values, kind.datatype))
            if function.streamed:
                response.parameters[FINAL].bool_param = False
            yield wire.fitting(response, "inputs")
        if function.streamed:
            response = about()
            response.parameters[FINAL].bool_param = True
            yield response

    def _made(
        self, name: str, function: Function, given: Mapping[str, Array], options: Mapping[str, Any]
    ) -> Iterator[dict[str, Array]]:
        task = Task(function.capability, **_examples(function.inputs[0], given), **options)
        if "count" in given:
            check_count(int(given["count"][0]), "examples", "count")
            task = replace(task, count=int(given["count"][0]))
        if "seed" in given:
            task = replace(task, seed=int(given["seed"][0]))
        if "known" in given:
            _check_known(given["known"], function.inputs[0], given)
            task = replace(task, known=given["known"])
        first = function.outputs[0].name
        if function.streamed:
            parts = Parts()
            for part in parts.until(self._models.begin(name, replace(task, parts=parts))):
                made, *others = part if isinstance(part, tuple) else (part,)
                beside = [kind.name for kind in function.outputs[1:]]
                yield {first: _batch([made]), **dict(zip(beside, others, strict=True))}
        elif function.capability in RANKING:
            found = self._models.ask(name, task)
            yield {
                first: np.array([word for word, _ in found], object),
                function.outputs[1].name: np.array([similarity for _, similarity in found], np.float32),
            }
        else:
            yield {first: _batch(self._models.ask(name, task))}

    def _embedded(self, name: str, given: Mapping[str, Array]) -> dict[str, Array]:
        audio, spans = given["audio"], given["spans"]
        if len(audio) > MAX_SECTION_SECONDS * SAMPLE_RATE:
            raise MalformedRequest(
                f"{len(audio)} samples; at most {MAX_SECTION_SECONDS} s at {SAMPLE_RATE} Hz are allowed",
                "audio",
            )
        table = np.concatenate([np.zeros((len(spans), 1), np.int32), spans], axis=1)
        vectors, frames = awaited(self._encoders.get(name).submit(([audio], table), time_remaining()))
        return {"vectors": vectors, "frames": frames[0]}

    def _names(self) -> list[str]:
        return [
            f"{name}:{capability}"
            for name, card in sorted(self._models.cards().items())
            for capability in sorted(functions(card))
        ]

    def _find(self, full: str, wanted: str) -> tuple[str, ArtifactCard, Function]:
        """Name, card and function. Raises UnknownModel."""
        name, _, capability = full.rpartition(":")
        try:
            card = self._models.card(name)
        except UnknownModel:
            card = None
        if card is None or capability not in functions(card):
            raise UnknownModel(f"no model {full!r}; there are {', '.join(self._names())}")
        if wanted and wanted != _version(card):
            versions = self._versions(name, card)
            if wanted not in versions:
                raise UnknownModel(
                    f"model {full!r} has no version {wanted!r}; there is {', '.join(versions)}"
                )
            name, card = versions[wanted]
        return name, card, functions(card)[capability]

    def _versions(self, name: str, card: ArtifactCard) -> dict[str, tuple[str, ArtifactCard]]:
        """Names and cards by version: of the model itself, and of those called NAME@ANYTHING, which are other
        versions of it."""
        found = {
            _version(other): (other_name, other)
            for other_name, other in self._models.cards().items()
            if other_name.startswith(f"{name}@")
        }
        return {_version(card): (name, card), **found}

    def _whole(self, given: str) -> str:
        """The name without a capability. Raises UnknownModel."""
        name = given.rpartition(":")[0] or given
        self._models.card(name)
        return name


def _version(card: ArtifactCard) -> str:
    return card.hash[:VERSION_DIGITS]


def _metadata(kind: TensorKind) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=kind.name, datatype=kind.datatype, shape=kind.shape)


def _inputs(request: pb.ModelInferRequest, function: Function) -> dict[str, Array]:
    """Arrays by name, checked against what the function takes. Raises MalformedRequest."""
    given = [tensor.name for tensor in request.inputs]
    wanted = [kind.name for kind in function.inputs]
    if sorted(given) != sorted(wanted):
        raise MalformedRequest(
            f"inputs {', '.join(given) or 'none'}; {', '.join(wanted)} are allowed, each once", "inputs"
        )
    raw = request.raw_input_contents
    if raw and len(raw) != len(given):
        raise MalformedRequest(
            f"{len(raw)} raw contents for {len(given)} inputs; as many are allowed", "raw_input_contents"
        )
    kinds = {kind.name: kind for kind in function.inputs}
    return {
        tensor.name: _array(tensor, raw[number] if raw else None, kinds[tensor.name])
        for number, tensor in enumerate(request.inputs)
    }


def _options(request: pb.ModelInferRequest, function: Function) -> dict[str, str | float]:
    """What the parameters say, by the names of a Task's fields. Raises MalformedRequest."""
    options: dict[str, str | float] = {}
    for name, parameter in request.parameters.items():
        if name in UNHEEDED:
            continue
        if name not in function.options:
            raise MalformedRequest(
                f"parameter {name!r} came; {request.model_name!r} takes "
                f"{' and '.join(function.options) or 'none'}",
                "parameters",
            )
        given = parameter.WhichOneof("parameter_choice") or "nothing"
        if given not in PARAMETERS[name]:
            raise MalformedRequest(
                f"parameter {name!r} holds a {given}; {' or '.join(PARAMETERS[name])} is allowed",
                "parameters",
            )
        value = getattr(parameter, given)
        options[name] = value if isinstance(value, str) else float(value)
    return options


def _examples(kind: TensorKind, given: Mapping[str, Array]) -> dict[str, Any]:
    """What a capability works upon, by the names of a Task's fields; empty if it makes something of nothing.

    Raises MalformedRequest.
    """
    if kind.datatype not in ("FP32", "BYTES"):
        return {}
    examples = given[kind.name]
    check_count(len(examples), "examples", "inputs")
    if not examples.size:
        raise MalformedRequest(
            f"input {kind.name!r} has the shape {list(examples.shape)}; one value or more of each is allowed",
            "inputs",
        )
    return {"values": examples} if kind.datatype == "FP32" else {"words": tuple(examples)}


def _check_known(known: Array, kind: TensorKind, given: Mapping[str, Array]) -> None:
    """Raises MalformedRequest."""
    if len(known) != len(given[kind.name]):
        raise MalformedRequest(
            f"{len(known)} masks for {len(given[kind.name])} {kind.name}; as many are allowed", "known"
        )
    if known.ndim == 2 and (known[:, 1:] > known[:, :-1]).any():
        raise MalformedRequest(
            "a frame is known and the one before it is not; only the first frames may be known", "known"
        )


def _batch(made: Any) -> Array:
    """One text or one array for each example, as one array."""
    return np.asarray(made, object if isinstance(made[0], str) else np.float32)


def _array(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, kind: TensorKind) -> Array:
    if tensor.datatype != kind.datatype:
        raise MalformedRequest(
            f"input {kind.name!r} has the type {tensor.datatype}; {kind.datatype} is allowed", "inputs"
        )
    shape = tuple(tensor.shape)
    fits = len(shape) == len(kind.shape) and all(
        size == wanted or (wanted == ANY and size >= 0)
        for size, wanted in zip(shape, kind.shape, strict=True)
    )
    if not fits:
        raise MalformedRequest(
            f"input {kind.name!r} has the shape {list(shape)}; {list(kind.shape)} is allowed (-1: any)",
            "inputs",
        )
    dtype = DTYPES[kind.datatype]
    if kind.datatype == "BYTES":
        values = _texts(tensor.contents.bytes_contents if raw is None else _elements(raw, kind), kind)
    elif raw is None:
        values = np.array(getattr(tensor.contents, CONTENTS[kind.datatype]), dtype)
    elif len(raw) % dtype.itemsize:
        raise MalformedRequest(
            f"input {kind.name!r} has {len(raw)} bytes; a multiple of {dtype.itemsize} is allowed", "inputs"
        )
    else:
        values = np.frombuffer(raw, dtype)
    if len(values) != math.prod(shape):
        raise MalformedRequest(
            f"input {kind.name!r} holds {len(values)} values; {math.prod(shape)} are allowed by its shape "
            f"{list(shape)}",
            "inputs",
        )
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise MalformedRequest(f"input {kind.name!r} holds values that are not finite", "inputs")
    return values.reshape(shape).copy()


def _elements(raw: bytes, kind: TensorKind) -> list[bytes]:
    """Each behind its length. Raises MalformedRequest."""
    found, at = [], 0
    while at < len(raw):
        end = at + LENGTH.size
        if end <= len(raw):
            end += LENGTH.unpack_from(raw, at)[0]
        if end > len(raw):
            raise MalformedRequest(
                f"input {kind.name!r} ends within an element, after {len(raw)} bytes; each is allowed "
                f"behind its length of {LENGTH.size} bytes",
                "inputs",
            )
        found.append(raw[at + LENGTH.size : end])
        at = end
    return found


def _texts(elements: Sequence[bytes], kind: TensorKind) -> Array:
    """Raises MalformedRequest."""
    try:
        return np.array([element.decode() for element in elements], object)
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            f"input {kind.name!r} is no UTF-8 ({error}); that is allowed", "inputs"
        ) from error


def _raw(values: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return values.astype(DTYPES[datatype], copy=False).tobytes()
    texts = [text.encode() for text in values]
    return b"".join(LENGTH.pack(len(text)) + text for text in texts)


def _wanted(request: pb.ModelInferRequest, function: Function) -> Sequence[TensorKind]:
    kinds = {kind.name: kind for kind in function.outputs}
    names = [output.name for output in request.outputs] or list(kinds)
    for name in names:
        if name not in kinds:
            raise MalformedRequest(f"output {name!r}; {', '.join(kinds)} is allowed", "outputs")
    return [kinds[name] for name in names]


def _statistics(name: str, version: str, figures: Figures) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=name,
        version=version,
        last_inference=figures.last_ms,
        inference_count=figures.examples,
        execution_count=sum(one.count for one in figures.batches.values()),
        inference_stats=pb.InferStatistics(
            success=_duration(figures.answered),
            fail=_duration(figures.failed),
            queue=_duration(figures.queued),
            compute_infer=_duration(figures.computed),
        ),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=size, compute_infer=_duration(one))
            for size, one in sorted(figures.batches.items())
        ],
    )


def _duration(one: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=one.count, ns=one.ns)
