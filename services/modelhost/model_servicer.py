"""ModelService: any model by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import grpc
import numpy as np

from wordspot.models.artifact import ArtifactCard
from wordspot.services import png
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.functions import code_size, picture_shape
from wordspot.services.modelhost.hosting import Floats, Models, Parts, Ranked, Task, check_count
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

HALF = 0.5  # of white


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
        given = request.WhichOneof("examples") or "pictures"
        wanted = "words" if card.modality == "word" else "pictures"
        if given != wanted:
            raise MalformedRequest(
                f"{given} came; {wanted} are allowed by model {request.model!r}", "examples"
            )
        if given == "pictures":
            codes = self._models.ask(request.model, Task("encode", _pictures(request.pictures, card)))
            return pb.EncodeResponse(codes=_vectors(codes))
        words = tuple(request.words.words)
        check_count(len(words), "words", "words.words")
        codes = self._models.ask(request.model, Task("encode", words=words))
        unknown = [word for word, code in zip(words, codes, strict=True) if not code.any()]
        return pb.EncodeResponse(codes=_vectors(codes), unknown=unknown)

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

    def Complete(  # noqa: N802
        self, request: pb.CompleteRequest, context: grpc.ServicerContext
    ) -> pb.CompleteResponse:
        card = self._models.able(request.model, "complete")
        given = _pictures(request.pictures, card)
        if len(request.known.png) != len(given):
            raise MalformedRequest(
                f"{len(request.known.png)} masks for {len(given)} pictures; one for each is allowed",
                "known.png",
            )
        masks = png.to_floats(request.known.png, (1, *picture_shape(card)[1:])) >= HALF
        task = Task("complete", given, seed=request.seed, known=masks)
        return pb.CompleteResponse(
            pictures=pb.Pictures(png=png.to_files(self._models.ask(request.model, task)))
        )

    def Generate(  # noqa: N802
        self, request: pb.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.GenerateResponse]:
        self._models.able(request.model, "generate")
        check_count(request.count, "parts", "count")
        parts = Parts()
        task = Task("generate", count=request.count, seed=request.seed, parts=parts)
        for part in parts.until(self._models.begin(request.model, task)):
            yield pb.GenerateResponse(png=png.encoded(png.to_image(part)))

    def ListNeighbours(  # noqa: N802
        self, request: pb.ListNeighboursRequest, context: grpc.ServicerContext
    ) -> pb.ListNeighboursResponse:
        self._models.able(request.model, "neighbours")
        check_count(request.count, "neighbours", "count")
        found = self._models.ask(
            request.model, Task("neighbours", words=(request.word,), count=request.count)
        )
        return pb.ListNeighboursResponse(neighbours=_ranked(found))

    def SolveAnalogy(  # noqa: N802
        self, request: pb.SolveAnalogyRequest, context: grpc.ServicerContext
    ) -> pb.SolveAnalogyResponse:
        self._models.able(request.model, "analogy")
        check_count(request.count, "answers", "count")
        words = (request.a, request.b, request.c)
        task = Task("analogy", words=words, count=request.count, keep=request.keep_given)
        return pb.SolveAnalogyResponse(answers=_ranked(self._models.ask(request.model, task)))

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


def _ranked(found: Ranked) -> list[pb.Neighbour]:
    return [pb.Neighbour(word=word, similarity=similarity) for word, similarity in found]


def _vectors(rows: Floats) -> list[pb.Vector]:
    return [pb.Vector(values=row) for row in rows.tolist()]
