"""ModelService: any model by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message

from wordspot.models.artifact import ArtifactCard
from wordspot.services.modelhost.capabilities import CAPABILITIES
from wordspot.services.modelhost.capability import Rpc
from wordspot.services.modelhost.price import held_bytes
from wordspot.services.modelhost.repository import ModelRepository
from wordspot.services.modelhost.tasks import PartQueue
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """ModelService: methods on models as such, and one for each row of CAPABILITIES that has an rpc."""

    def __init__(self, models: ModelRepository) -> None:
        self._models = models
        for capability in CAPABILITIES.values():
            if capability.rpc is not None:
                method = self._stream if capability.streamed else self._answer
                setattr(self, capability.rpc.name, partial(method, capability.name, capability.rpc))

    def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        cards = self._models.cards()
        return pb.ListModelsResponse(
            models=[self._message(name, card) for name, card in sorted(cards.items())]
        )

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:
        card = self._models.card(request.name)
        return pb.GetModelResponse(model=self._message(request.name, card), card=json.dumps(asdict(card)))

    def LoadModel(self, request: pb.LoadModelRequest, context: grpc.ServicerContext) -> pb.LoadModelResponse:
        self._models.load(request.name)
        return pb.LoadModelResponse(model=self._message(request.name, self._models.card(request.name)))

    def UnloadModel(
        self, request: pb.UnloadModelRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModelResponse:
        self._models.unload(request.name)
        return pb.UnloadModelResponse(model=self._message(request.name, self._models.card(request.name)))

    def _answer(self, capability: str, rpc: Rpc, request: Any, context: grpc.ServicerContext) -> Message:
        card = self._models.able(request.model, capability)
        with self._models.budget.account(held_bytes(request, card, streamed=False)):
            task = rpc.read(request, card)
            return rpc.write(self._models.call(request.model, task), task, card)

    def _stream(
        self, capability: str, rpc: Rpc, request: Any, context: grpc.ServicerContext
    ) -> Iterator[Message]:
        card = self._models.able(request.model, capability)
        parts = PartQueue()
        with self._models.budget.account(held_bytes(request, card, streamed=True)):
            task = replace(rpc.read(request, card), parts=parts)
            for part in parts.parts_until(self._models.submit(request.model, task)):
                yield rpc.write(part, task, card)

    def _message(self, name: str, card: ArtifactCard) -> pb.Model:
        return pb.Model(
            name=name,
            hash=card.hash,
            modality=card.modality,
            capabilities=card.capabilities,
            description=card.description,
            loaded=self._models.loaded(name),
            options=card.options,
        )
