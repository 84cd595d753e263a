"""The Open Inference Protocol over the same queues as ModelService.

A model of the protocol is one capability of one of ours: `digits-vae:sample`. Its version is the beginning of
the artifact's hash; a request may leave it empty. Options of a capability, such as
`temperature`, are parameters of the request. An artifact called `digits-vae@ANYTHING` is another version
of `digits-vae`, and both may run side by side. Loading and unloading take the name with or without the
capability, and mean the whole model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import grpc

from wordspot.models.artifact import ArtifactCard
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc
from wordspot.services import errors, wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_EXAMPLES_PER_CALL
from wordspot.services.modelhost.capabilities import signatures
from wordspot.services.modelhost.capability import Signature
from wordspot.services.modelhost.oip_tensors import raw_content, read_inputs
from wordspot.services.modelhost.price import check_answer, held_tensor_bytes
from wordspot.services.modelhost.repository import ModelRepository
from wordspot.services.modelhost.statistics import Duration, Figures
from wordspot.services.modelhost.tasks import PartQueue, Task
from wordspot.services.modelhost.tensors import TensorKind
from wordspot.services.settings import ModelHostSettings

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
FINAL_RESPONSE = "triton_final_response"
RATE = "rate"  # of an output that is sound, samples a second
PARAMETERS: Mapping[str, Sequence[str]] = {
    "temperature": ("double_param", "int64_param", "uint64_param"),
    "condition": ("string_param",),
}
# Sent by Triton's clients: there are no sequences, and an empty answer ends every stream anyway.
IGNORED_PARAMETERS = frozenset(
    {"priority", "timeout", "sequence_id", "sequence_start", "sequence_end"}
    | {"triton_enable_empty_final_response"}
)


class InferenceServicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    """GRPCInferenceService on a model repository."""

    def __init__(self, models: ModelRepository, settings: ModelHostSettings) -> None:
        self._models, self._settings = models, settings

    def ServerLive(
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        name, _, _ = self._find(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._models.loaded(name))

    def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=PLATFORM, version=version(PLATFORM), extensions=EXTENSIONS)

    def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        name, card, signature = self._find(request.name, request.version)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[*self._versions(name, card)],
            platform=PLATFORM,
            inputs=map(_metadata, signature.inputs),
            outputs=map(_metadata, signature.outputs),
        )

    def ModelConfig(
        self, request: pb.ModelConfigRequest, context: grpc.ServicerContext
    ) -> pb.ModelConfigResponse:
        _, _, signature = self._find(request.name, request.version)
        first = 1 if signature.capability.batched else 0
        return pb.ModelConfigResponse(
            config=pb.ModelConfig(
                name=request.name,
                platform=PLATFORM,
                backend=PLATFORM,
                max_batch_size=MAX_EXAMPLES_PER_CALL if signature.capability.batched else 0,
                input=[
                    pb.ModelInput(name=t.name, data_type=DATA_TYPES[t.datatype], dims=t.shape[first:])
                    for t in signature.inputs
                ],
                output=[
                    pb.ModelOutput(name=t.name, data_type=DATA_TYPES[t.datatype], dims=t.shape[first:])
                    for t in signature.outputs
                ],
                dynamic_batching=pb.ModelDynamicBatching(
                    max_queue_delay_microseconds=round(1_000 * self._settings.batch_delay_ms)
                ),
            )
        )

    def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> pb.ModelStatisticsResponse:
        names = [request.name] if request.name else self._names()
        statistics = []
        for model in names:
            name, card, signature = self._find(model, request.version)
            figures = self._models.statistics.of(name, signature.capability.name)
            statistics.append(_statistics(model, _version(card), figures))
        return pb.ModelStatisticsResponse(model_stats=statistics)

    def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryIndexResponse:
        entries = []
        for model in self._names():
            name, card, _ = self._find(model, "")
            ready = self._models.loaded(name)
            if request.ready and not ready:
                continue
            entries.append(
                pb.RepositoryIndexResponse.ModelIndex(
                    name=model,
                    version=_version(card),
                    state=READY if ready else UNAVAILABLE,
                    reason="" if ready else "not loaded; a request loads it",
                )
            )
        return pb.RepositoryIndexResponse(models=entries)

    def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        if request.parameters:
            raise BadInput(
                f"load takes no parameters, got {', '.join(sorted(request.parameters))}: models come from "
                "the server's own folders"
            )
        self._models.load(self._artifact_name(request.model_name))
        return pb.RepositoryModelLoadResponse()

    def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        self._models.unload(self._artifact_name(request.model_name))
        return pb.RepositoryModelUnloadResponse()

    def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        _, _, signature = self._find(request.model_name, request.model_version)
        if signature.capability.streamed:
            raise BadInput(f"model {request.model_name!r} answers part by part; call ModelStreamInfer")
        with self._models.budget.account(held_tensor_bytes(request)):
            (response,) = self._infer(request)
        return response

    def ModelStreamInfer(
        self, request_iterator: Iterator[pb.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ModelStreamInferResponse]:
        for request in request_iterator:
            try:
                with self._models.budget.account(held_tensor_bytes(request)):
                    for response in self._infer(request):
                        yield pb.ModelStreamInferResponse(infer_response=response)
            except Exception as error:
                if errors.to_status(error) is None:
                    raise
                failed = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
                yield pb.ModelStreamInferResponse(
                    error_message=errors.clipped(str(error)), infer_response=failed
                )

    def _infer(self, request: pb.ModelInferRequest) -> Iterator[pb.ModelInferResponse]:
        """Yields one response; of a capability that streams, one for each part and an empty last one."""
        name, card, signature = self._find(request.model_name, request.model_version)
        capability = signature.capability
        tensors = read_inputs(request, signature)
        output_kinds = _output_kinds(request, signature)
        task = capability.from_tensors(signature, tensors, _options(request, signature))
        check_answer(task, signature, card)

        def empty_response() -> pb.ModelInferResponse:
            return pb.ModelInferResponse(
                model_name=request.model_name, model_version=_version(card), id=request.id
            )

        for answer in self._answers(name, task) if capability.streamed else [self._models.call(name, task)]:
            outputs = capability.to_tensors(answer, signature)
            response = empty_response()
            for kind in output_kinds:
                values = outputs[kind.name]
                output = response.outputs.add(name=kind.name, datatype=kind.datatype, shape=values.shape)
                if kind.rate is not None:
                    output.parameters[RATE].int64_param = kind.rate
                response.raw_output_contents.append(raw_content(values, kind.datatype))
            if capability.streamed:
                response.parameters[FINAL_RESPONSE].bool_param = False
            yield wire.fitting(response, "inputs")
        if capability.streamed:
            response = empty_response()
            response.parameters[FINAL_RESPONSE].bool_param = True
            yield response

    def _answers(self, name: str, task: Task) -> Iterator[Any]:
        """Returns the answer part by part."""
        parts = PartQueue()
        return parts.parts_until(self._models.submit(name, replace(task, parts=parts)))

    def _names(self) -> list[str]:
        return [
            f"{name}:{capability}"
            for name, card in sorted(self._models.cards().items())
            for capability in sorted(signatures(card))
        ]

    def _find(self, model: str, version: str) -> tuple[str, ArtifactCard, Signature]:
        """Returns name, card and signature. version: empty for any. Raises UnknownModel."""
        name, _, capability = model.rpartition(":")
        try:
            card = self._models.card(name)
        except UnknownModel:
            card = None
        if card is None or capability not in signatures(card):
            raise UnknownModel(f"no model {model!r}; there are {', '.join(self._names())}")
        if version and version != _version(card):
            versions = self._versions(name, card)
            if version not in versions:
                raise UnknownModel(
                    f"model {model!r} has no version {version!r}; there is {', '.join(versions)}"
                )
            name, card = versions[version]
        return name, card, signatures(card)[capability]

    def _versions(self, name: str, card: ArtifactCard) -> dict[str, tuple[str, ArtifactCard]]:
        """Returns names and cards by version: of the model itself, and of those called NAME@ANYTHING."""
        others = {
            _version(other): (other_name, other)
            for other_name, other in self._models.cards().items()
            if other_name.startswith(f"{name}@")
        }
        return {_version(card): (name, card), **others}

    def _artifact_name(self, model: str) -> str:
        """Returns the name without a capability. Raises UnknownModel."""
        name = model.rpartition(":")[0] or model
        self._models.card(name)
        return name


def _version(card: ArtifactCard) -> str:
    return card.hash[:VERSION_DIGITS]


def _metadata(kind: TensorKind) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=kind.name, datatype=kind.datatype, shape=kind.shape)


def _options(request: pb.ModelInferRequest, signature: Signature) -> dict[str, str | float]:
    """Returns the parameters by the names of a Task's fields. Raises MalformedRequest."""
    options: dict[str, str | float] = {}
    for name, parameter in request.parameters.items():
        if name in IGNORED_PARAMETERS:
            continue
        if name not in signature.options:
            raise MalformedRequest(
                f"parameters of {request.model_name!r} must be "
                f"{' and '.join(signature.options) or 'left out'}, got {name!r}",
                "parameters",
            )
        kind = parameter.WhichOneof("parameter_choice") or "nothing"
        if kind not in PARAMETERS[name]:
            raise MalformedRequest(
                f"parameter {name!r} must hold a {' or '.join(PARAMETERS[name])}, got a {kind}",
                "parameters",
            )
        value = getattr(parameter, kind)
        options[name] = value if isinstance(value, str) else float(value)
    return options


def _output_kinds(request: pb.ModelInferRequest, signature: Signature) -> Sequence[TensorKind]:
    kinds = {kind.name: kind for kind in signature.outputs}
    names = [output.name for output in request.outputs] or list(kinds)
    for name in names:
        if name not in kinds:
            raise MalformedRequest(f"outputs must be among {', '.join(kinds)}, got {name!r}", "outputs")
    return [kinds[name] for name in names]


def _statistics(name: str, version: str, figures: Figures) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=name,
        version=version,
        last_inference=figures.last_ms,
        inference_count=figures.examples,
        execution_count=sum(duration.count for duration in figures.batches.values()),
        inference_stats=pb.InferStatistics(
            success=_duration(figures.answered),
            fail=_duration(figures.failed),
            queue=_duration(figures.queued),
            compute_infer=_duration(figures.computed),
        ),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=size, compute_infer=_duration(duration))
            for size, duration in sorted(figures.batches.items())
        ],
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.ns)
