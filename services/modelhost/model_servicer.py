"""ModelService: any model by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import grpc
import numpy as np

from wordspot.models.artifact import ArtifactCard
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost import media
from wordspot.services.modelhost.functions import code_size
from wordspot.services.modelhost.hosting import Floats, Models, Parts, Ranked, Task, check_count
from wordspot.services.modelhost.media import Examples, read_pictures, write_pictures
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
        task = _task("encode", media.read(request, "examples", card))
        codes = self._models.ask(request.model, task)
        # Pictures are no words: none is unknown.
        unknown = [word for word, code in zip(task.words, codes, strict=False) if not code.any()]
        return pb.EncodeResponse(codes=_vectors(codes), unknown=unknown)

    def Decode(  # noqa: N802
        self, request: pb.DecodeRequest, context: grpc.ServicerContext
    ) -> pb.DecodeResponse:
        card = self._models.able(request.model, "decode")
        pictures = self._models.ask(request.model, Task("decode", _codes(request.codes, card)))
        return pb.DecodeResponse(pictures=write_pictures(pictures, card))

    def Reconstruct(  # noqa: N802
        self, request: pb.ReconstructRequest, context: grpc.ServicerContext
    ) -> pb.ReconstructResponse:
        card = self._models.able(request.model, "reconstruct")
        task = Task("reconstruct", read_pictures(request.pictures, card))
        pictures = self._models.ask(request.model, task)
        return pb.ReconstructResponse(pictures=write_pictures(pictures, card))

    def Sample(  # noqa: N802
        self, request: pb.SampleRequest, context: grpc.ServicerContext
    ) -> pb.SampleResponse:
        card = self._models.able(request.model, "sample")
        check_count(request.count, "samples", "count")
        made = self._models.ask(request.model, _drawing("sample", request, count=request.count))
        return wire.fitting(pb.SampleResponse(**media.written(made, card)), "count")

    def Classify(  # noqa: N802
        self, request: pb.ClassifyRequest, context: grpc.ServicerContext
    ) -> pb.ClassifyResponse:
        card = self._models.able(request.model, "classify")
        chances = self._models.ask(request.model, Task("classify", read_pictures(request.pictures, card)))
        return pb.ClassifyResponse(probabilities=_vectors(chances))

    def GetLogLikelihood(  # noqa: N802
        self, request: pb.GetLogLikelihoodRequest, context: grpc.ServicerContext
    ) -> pb.GetLogLikelihoodResponse:
        card = self._models.able(request.model, "nll")
        task = replace(_task("nll", media.read(request, "examples", card)), seed=request.seed)
        nats = self._models.ask(request.model, task)
        return pb.GetLogLikelihoodResponse(nats=(-nats).tolist())

    def Complete(  # noqa: N802
        self, request: pb.CompleteRequest, context: grpc.ServicerContext
    ) -> pb.CompleteResponse:
        card = self._models.able(request.model, "complete")
        values, known = media.partly_known(request, card)
        made = self._models.ask(request.model, _drawing("complete", request, values=values, known=known))
        return wire.fitting(pb.CompleteResponse(**media.written(made, card)), "subject")

    def Generate(  # noqa: N802
        self, request: pb.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.GenerateResponse]:
        card = self._models.able(request.model, "generate")
        check_count(request.count, "parts", "count")
        parts = Parts()
        task = _drawing("generate", request, count=request.count, parts=parts)
        for part in parts.until(self._models.begin(request.model, task)):
            yield media.part(part, card)

    def Translate(  # noqa: N802
        self, request: pb.TranslateRequest, context: grpc.ServicerContext
    ) -> pb.TranslateResponse:
        card = self._models.able(request.model, "translate")
        task = Task("translate", read_pictures(request.pictures, card), condition=request.condition)
        return pb.TranslateResponse(pictures=write_pictures(self._models.ask(request.model, task), card))

    def Describe(  # noqa: N802
        self, request: pb.DescribeRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.DescribeResponse]:
        card = self._models.able(request.model, "describe")
        shown = media.read(request, "subject", card)
        if len(shown) != 1:
            raise MalformedRequest(f"{len(shown)} are to be described; one at a time is allowed", "subject")
        parts = Parts()
        task = _asked("describe", request, values=shown, parts=parts)
        for part in parts.until(self._models.begin(request.model, task)):
            assert isinstance(part, tuple)
            text, looks = part
            attention = pb.Attention(shape=looks.shape, shares=looks.ravel().tolist())
            yield pb.DescribeResponse(text=text, attention=attention)

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
            options=card.options,
        )


def _task(capability: str, examples: Examples) -> Task:
    if isinstance(examples, tuple):
        return Task(capability, words=examples)
    return Task(capability, examples)


def _drawing(capability: str, request: Any, **fields: Any) -> Task:
    """request: of Sample, Complete or Generate."""
    return _asked(capability, request, condition=request.condition, **fields)


def _asked(capability: str, request: Any, **fields: Any) -> Task:
    """request: with a seed and a temperature."""
    heat = request.temperature if request.HasField("temperature") else None
    return Task(capability, seed=request.seed, temperature=heat, **fields)


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
