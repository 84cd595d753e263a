"""ModelService: any model by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import grpc
import numpy as np

from wordspot.models.artifact import ArtifactCard
from wordspot.services import png
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.functions import code_size, picture_shape
from wordspot.services.modelhost.hosting import Floats, Models, Task, check_count
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        cards = self._models.cards()
        return pb.ListModelsResponse(models=[self._told(name, card) for name, card in sorted(cards.items())])

    def GetModel(  # noqa: N802
        self, request: pb.GetModelRequest, context: grpc.ServicerContext
    ) -> pb.GetModelResponse:
        card = self._models.card(request.name)
        return pb.GetModelResponse(model=self._told(request.name, card), card=json.dumps(asdict(card)))

    def LoadModel(  # noqa: N802
        self, request: pb.LoadModelRequest, context: grpc.ServicerContext
    ) -> pb.LoadModelResponse:
        self._models.load(request.name)
        return pb.LoadModelResponse(model=self._told(request.name, self._models.card(request.name)))

    def UnloadModel(  # noqa: N802
        self, request: pb.UnloadModelRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModelResponse:
        self._models.unload(request.name)
        return pb.UnloadModelResponse(model=self._told(request.name, self._models.card(request.name)))

    def Encode(  # noqa: N802
        self, request: pb.EncodeRequest, context: grpc.ServicerContext
    ) -> pb.EncodeResponse:
        card = self._models.able(request.model, "encode")
        codes = self._models.ask(request.model, Task("encode", _pictures(request.pictures, card)))
        return pb.EncodeResponse(codes=_vectors(codes))

    def Decode(  # noqa: N802
        self, request: pb.DecodeRequest, context: grpc.ServicerContext
    ) -> pb.DecodeResponse:
        card = self._models.able(request.model, "decode")
        pictures = self._models.ask(request.model, Task("decode", _codes(request.codes, card)))
        return pb.DecodeResponse(pictures=pb.Pictures(png=png.to_files(pictures)))

    def Reconstruct(  # noqa: N802
        self, request: pb.ReconstructRequest, context: grpc.ServicerContext
    ) -> pb.ReconstructResponse:
        card = self._models.able(request.model, "reconstruct")
        pictures = self._models.ask(request.model, Task("reconstruct", _pictures(request.pictures, card)))
        return pb.ReconstructResponse(pictures=pb.Pictures(png=png.to_files(pictures)))

    def Sample(  # noqa: N802
        self, request: pb.SampleRequest, context: grpc.ServicerContext
    ) -> pb.SampleResponse:
        self._models.able(request.model, "sample")
        check_count(request.count, "samples", "count")
        pictures = self._models.ask(request.model, Task("sample", count=request.count, seed=request.seed))
        return pb.SampleResponse(pictures=pb.Pictures(png=png.to_files(pictures)))

    def Classify(  # noqa: N802
        self, request: pb.ClassifyRequest, context: grpc.ServicerContext
    ) -> pb.ClassifyResponse:
        card = self._models.able(request.model, "classify")
        chances = self._models.ask(request.model, Task("classify", _pictures(request.pictures, card)))
        return pb.ClassifyResponse(probabilities=_vectors(chances))

    def GetLogLikelihood(  # noqa: N802
        self, request: pb.GetLogLikelihoodRequest, context: grpc.ServicerContext
    ) -> pb.GetLogLikelihoodResponse:
        card = self._models.able(request.model, "nll")
        nats = self._models.ask(
            request.model, Task("nll", _pictures(request.pictures, card), seed=request.seed)
        )
        return pb.GetLogLikelihoodResponse(nats=(-nats).tolist())

    def _told(self, name: str, card: ArtifactCard) -> pb.Model:
        return pb.Model(
            name=name,
            hash=card.hash,
            modality=card.modality,
            capabilities=card.capabilities,
            description=card.description,
            loaded=self._models.loaded(name),
        )


def _pictures(given: pb.Pictures, card: ArtifactCard) -> Floats:
    """(B, C, H, W). Raises MalformedRequest, BadInput."""
    check_count(len(given.png), "pictures", "pictures.png")
    return png.to_floats(given.png, picture_shape(card))


def _codes(given: Sequence[pb.Vector], card: ArtifactCard) -> Floats:
    """(B, D). Raises MalformedRequest."""
    check_count(len(given), "codes", "codes")
    for number, vector in enumerate(given):
        if len(vector.values) != code_size(card):
            raise MalformedRequest(
                f"code {number} has {len(vector.values)} numbers; {code_size(card)} are allowed", "codes"
            )
    codes = np.array([vector.values for vector in given], np.float32)
    if not np.isfinite(codes).all():
        raise MalformedRequest("a code holds numbers that are not finite", "codes")
    return codes


def _vectors(rows: Floats) -> list[pb.Vector]:
    return [pb.Vector(values=row) for row in rows.tolist()]
