"""What models can do: a row of CAPABILITIES for each, with its specification, call and wire forms.

A method of ModelService and a model of the Open Inference Protocol exist for each row that asks for them;
queues, statistics and checks follow from the row as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf.message import Message

from wordspot.models.artifact import ArtifactCard
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost import media
from wordspot.services.modelhost.capability import (
    Array,
    Capability,
    Kinds,
    Rpc,
    Signature,
    batch,
    each,
    example_chunks,
    examples_of,
    in_parts,
    together,
)
from wordspot.services.modelhost.embedding import EMBED, EMBEDDING
from wordspot.services.modelhost.media import MEDIA, read_pictures, write_pictures
from wordspot.services.modelhost.tasks import Floats, Ranking, Task, check_count
from wordspot.services.modelhost.tensors import ANY, COUNT, SEED, TensorKind
from wordspot.services.modelhost.torch_model import TorchModel
from wordspot.v1 import models_pb2 as pb


@lru_cache(256)
def signatures(card: ArtifactCard) -> dict[str, Signature]:
    """Returns the signatures of a model by capability."""
    by_capability = {}
    for name in card.capabilities:
        capability = CAPABILITIES.get(name)
        if capability is not None and card.modality in capability.media:
            options = card.options if capability.takes_options else ()
            by_capability[name] = Signature(capability, *capability.kinds(card), options)
    return by_capability


def embeds(card: ArtifactCard) -> bool:
    """Returns whether a model embeds speech."""
    return EMBED in signatures(card)


# Tensors.


def code_size(card: ArtifactCard) -> int:
    """Returns the numbers of a code; ANY where the configuration does not say."""
    return int(card.config.get("code", card.config.get("dimension", ANY)))


def _examples(card: ArtifactCard) -> TensorKind:
    return MEDIA[card.modality].examples(card)


def _codes(card: ArtifactCard) -> TensorKind:
    return TensorKind("codes", "FP32", (ANY, code_size(card)))


def _known_mask(card: ArtifactCard) -> TensorKind:
    kind = MEDIA[card.modality].known_mask
    assert kind is not None
    return kind(card)


def _probabilities(card: ArtifactCard) -> TensorKind:
    return TensorKind("probabilities", "FP32", (ANY, card.config.get("classes", ANY - 1) + 1))


def _description_kinds(card: ArtifactCard) -> tuple[Kinds, Kinds]:
    """Returns the tensors of `describe`: pieces of a text, each with its attention."""
    subject, attention = _examples(card), MEDIA[card.modality].attention
    assert attention is not None
    outputs = (TensorKind("texts", "BYTES", (1,)), TensorKind("attention", "FP32", attention))
    return (replace(subject, shape=(1, *subject.shape[1:])), SEED), outputs


def _ranking_kinds(words: int) -> Callable[[ArtifactCard], tuple[Kinds, Kinds]]:
    """Returns the tensors of a ranking of words. words: how many are given."""
    inputs = (TensorKind("words", "BYTES", (words,)), COUNT)
    outputs = (TensorKind("words", "BYTES", (ANY,)), TensorKind("similarities", "FP32", (ANY,)))
    return lambda card: (inputs, outputs)


# Calls.


def _negative_log_likelihood(model: TorchModel, task: Task) -> Any:
    rng = model.rng(task.seed)
    return np.concatenate([model.array(model.module.nll(part, rng)) for part in example_chunks(model, task)])


def _translation(model: TorchModel, task: Task) -> Any:
    parts = (model.module.translate(part, **task.options) for part in example_chunks(model, task))
    return np.concatenate([model.array(part) for part in parts])


# Messages of ModelService.


def _read_examples(capability: str) -> Callable[[Any, ArtifactCard], Task]:
    def read(request: Any, card: ArtifactCard) -> Task:
        examples = media.read(request, "examples", card)
        if isinstance(examples, tuple):
            return Task(capability, words=examples)
        return Task(capability, examples)

    return read


def _read_pictures(capability: str) -> Callable[[Any, ArtifactCard], Task]:
    return lambda request, card: Task(capability, read_pictures(request.pictures, card))


def _read_codes(request: pb.DecodeRequest, card: ArtifactCard) -> Task:
    check_count(len(request.codes), "codes", "codes")
    for number, vector in enumerate(request.codes):
        if len(vector.values) != code_size(card):
            raise MalformedRequest(
                f"code {number} must have {code_size(card)} numbers, got {len(vector.values)}", "codes"
            )
    codes = np.array([vector.values for vector in request.codes], np.float32)
    if not np.isfinite(codes).all():
        raise MalformedRequest("codes must hold finite numbers", "codes")
    return Task("decode", codes)


def _read_log_likelihood(request: pb.GetLogLikelihoodRequest, card: ArtifactCard) -> Task:
    return replace(_read_examples("nll")(request, card), seed=request.seed)


def _read_count(capability: str, what: str) -> Callable[[Any, ArtifactCard], Task]:
    def read(request: Any, card: ArtifactCard) -> Task:
        check_count(request.count, what, "count")
        if capability == "sample":
            media.check_samples(request.count, card)
        return _sampling_task(capability, request, count=request.count)

    return read


def _read_incomplete(request: pb.CompleteRequest, card: ArtifactCard) -> Task:
    values, known_mask = media.read_incomplete(request, card)
    return _sampling_task("complete", request, values=values, known_mask=known_mask)


def _read_translate(request: pb.TranslateRequest, card: ArtifactCard) -> Task:
    return replace(_read_pictures("translate")(request, card), condition=request.condition)


def _read_describe(request: pb.DescribeRequest, card: ArtifactCard) -> Task:
    subjects = media.read(request, "subject", card)
    if len(subjects) != 1:
        raise MalformedRequest(f"describe takes one at a time, got {len(subjects)}", "subject")
    return _seeded_task("describe", request, values=subjects)


def _read_neighbours(request: pb.ListNeighboursRequest, card: ArtifactCard) -> Task:
    check_count(request.count, "neighbours", "count")
    return Task("neighbours", words=(request.word,), count=request.count)


def _read_analogy(request: pb.SolveAnalogyRequest, card: ArtifactCard) -> Task:
    check_count(request.count, "answers", "count")
    words = (request.a, request.b, request.c)
    return Task("analogy", words=words, count=request.count, keep_given=request.keep_given)


def _sampling_task(capability: str, request: Any, **fields: Any) -> Task:
    """Returns the task of a Sample, Complete or Generate."""
    return _seeded_task(capability, request, condition=request.condition, **fields)


def _seeded_task(capability: str, request: Any, **fields: Any) -> Task:
    """Returns the task of a request with a seed and a temperature."""
    temperature = request.temperature if request.HasField("temperature") else None
    return Task(capability, seed=request.seed, temperature=temperature, **fields)


def _write_codes(codes: Floats, task: Task, card: ArtifactCard) -> pb.EncodeResponse:
    # Only words can be unknown; their codes are zeros.
    unknown = [word for word, code in zip(task.words, codes, strict=False) if not code.any()]
    return pb.EncodeResponse(codes=_vectors(codes), unknown=unknown)


def _write_pictures(response: type[Any]) -> Callable[[Any, Task, ArtifactCard], Message]:
    return lambda pictures, task, card: response(pictures=write_pictures(pictures, card))


def _write_fitting(response: type[Any], shortened_by: str) -> Callable[[Any, Task, ArtifactCard], Message]:
    """Returns a function that writes a response of which what does not fit is refused.

    shortened_by: the field of the request that makes the response shorter.
    """
    return lambda output, task, card: wire.fitting(response(**media.written(output, card)), shortened_by)


def _write_description(part: tuple[str, Floats], task: Task, card: ArtifactCard) -> pb.DescribeResponse:
    text, attention = part
    return pb.DescribeResponse(
        text=text, attention=pb.Attention(shape=attention.shape, shares=attention.ravel().tolist())
    )


def _neighbours(ranking: Ranking) -> list[pb.Neighbour]:
    return [pb.Neighbour(word=word, similarity=similarity) for word, similarity in ranking]


def _vectors(rows: Floats) -> list[pb.Vector]:
    return [pb.Vector(values=row) for row in rows.tolist()]


# Tensors of the Open Inference Protocol.


def _ranking_tensors(ranking: Ranking, signature: Signature) -> dict[str, Array]:
    words, similarities = signature.outputs
    return {
        words.name: np.array([word for word, _ in ranking], object),
        similarities.name: np.array([similarity for _, similarity in ranking], np.float32),
    }


def _part_tensors(part: Any, signature: Signature) -> dict[str, Array]:
    return {signature.outputs[0].name: batch([part])}


def _description_tensors(part: tuple[str, Floats], signature: Signature) -> dict[str, Array]:
    texts, attention = signature.outputs
    return {texts.name: batch([part[0]]), attention.name: part[1]}


PICTURE, VIDEO, SOUND, TEXT, WORD = "picture", "video", "sound", "text", "word"

CAPABILITIES: Mapping[str, Capability] = {
    capability.name: capability
    for capability in (
        EMBEDDING,
        Capability(
            "encode",
            media=(PICTURE, WORD),
            kinds=lambda card: ((_examples(card),), (_codes(card),)),
            call=together("encode"),
            rpc=Rpc("Encode", _read_examples("encode"), _write_codes),
            batched=True,
            weight=examples_of,
        ),
        Capability(
            "decode",
            media=(PICTURE,),
            kinds=lambda card: ((_codes(card),), (_examples(card),)),
            call=together("decode"),
            rpc=Rpc("Decode", _read_codes, _write_pictures(pb.DecodeResponse)),
            batched=True,
            weight=examples_of,
        ),
        Capability(
            "reconstruct",
            media=(PICTURE,),
            kinds=lambda card: ((_examples(card),), (_examples(card),)),
            call=together("reconstruct"),
            rpc=Rpc("Reconstruct", _read_pictures("reconstruct"), _write_pictures(pb.ReconstructResponse)),
            batched=True,
            weight=examples_of,
        ),
        Capability(
            "classify",
            media=(PICTURE,),
            kinds=lambda card: ((_examples(card),), (_probabilities(card),)),
            call=together("classify"),
            rpc=Rpc(
                "Classify",
                _read_pictures("classify"),
                lambda rows, task, card: pb.ClassifyResponse(probabilities=_vectors(rows)),
            ),
            batched=True,
            weight=examples_of,
        ),
        Capability(
            "sample",
            media=(PICTURE, VIDEO, SOUND, TEXT),
            kinds=lambda card: ((COUNT, SEED), (_examples(card),)),
            call=each(
                lambda model, task: model.module.sample(task.count, model.rng(task.seed), **task.options)
            ),
            rpc=Rpc("Sample", _read_count("sample", "samples"), _write_fitting(pb.SampleResponse, "count")),
            takes_options=True,
        ),
        Capability(
            "nll",
            media=(PICTURE, VIDEO, SOUND, TEXT),
            kinds=lambda card: ((_examples(card), SEED), (TensorKind("nats", "FP32", (ANY,)),)),
            call=each(_negative_log_likelihood),
            rpc=Rpc(
                "GetLogLikelihood",
                _read_log_likelihood,
                lambda nats, task, card: pb.GetLogLikelihoodResponse(nats=(-nats).tolist()),
            ),
        ),
        Capability(
            "complete",
            media=(PICTURE, VIDEO),
            kinds=lambda card: ((_examples(card), _known_mask(card), SEED), (_examples(card),)),
            call=each(
                lambda model, task: model.module.complete(
                    model.tensor(task.values),
                    model.tensor(task.known_mask),
                    model.rng(task.seed),
                    **task.options,
                )
            ),
            rpc=Rpc("Complete", _read_incomplete, _write_fitting(pb.CompleteResponse, "subject")),
            takes_options=True,
        ),
        Capability(
            "generate",
            media=(PICTURE, SOUND, TEXT),
            kinds=lambda card: ((COUNT, SEED), (_examples(card),)),
            call=in_parts(
                lambda model, task: model.module.generate(task.count, model.rng(task.seed), **task.options)
            ),
            rpc=Rpc(
                "Generate",
                _read_count("generate", "parts"),
                lambda part, task, card: media.written_part(part, card),
            ),
            streamed=True,
            takes_options=True,
            to_tensors=_part_tensors,
        ),
        Capability(
            "translate",
            media=(PICTURE,),
            kinds=lambda card: ((_examples(card),), (_examples(card),)),
            call=each(_translation),
            rpc=Rpc("Translate", _read_translate, _write_pictures(pb.TranslateResponse)),
            takes_options=True,
        ),
        Capability(
            "describe",
            media=(PICTURE, VIDEO),
            kinds=_description_kinds,
            call=in_parts(
                lambda model, task: model.module.describe(
                    model.tensor(task.values)[0], model.rng(task.seed), **task.options
                )
            ),
            rpc=Rpc("Describe", _read_describe, _write_description),
            streamed=True,
            takes_options=True,
            to_tensors=_description_tensors,
        ),
        Capability(
            "neighbours",
            media=(WORD,),
            kinds=_ranking_kinds(1),
            call=each(lambda model, task: model.module.neighbours(*task.words, task.count)),
            rpc=Rpc(
                "ListNeighbours",
                _read_neighbours,
                lambda ranking, task, card: pb.ListNeighboursResponse(neighbours=_neighbours(ranking)),
            ),
            size=lambda task: 1,
            weight=lambda task: 1,
            to_tensors=_ranking_tensors,
        ),
        Capability(
            "analogy",
            media=(WORD,),
            kinds=_ranking_kinds(3),
            call=each(lambda model, task: model.module.analogy(task.words, task.count, task.keep_given)),
            rpc=Rpc(
                "SolveAnalogy",
                _read_analogy,
                lambda ranking, task, card: pb.SolveAnalogyResponse(answers=_neighbours(ranking)),
            ),
            size=lambda task: 1,
            weight=lambda task: 1,
            to_tensors=_ranking_tensors,
        ),
    )
}
