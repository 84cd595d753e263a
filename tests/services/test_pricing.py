from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from wordspot.oip import inference_pb2, inference_pb2_grpc
from wordspot.services import limits
from wordspot.services.errors import MalformedRequest, Overloaded, reason_of
from wordspot.services.modelhost.app import embedding_service, services
from wordspot.services.modelhost.repository import load_models
from wordspot.services.pricing import ByteBudget, check_request, priced
from wordspot.services.runtime import create_server, open_channel
from wordspot.services.searcher.search_messages import read_queries
from wordspot.services.settings import ModelHostSettings, ServerSettings
from wordspot.v1 import (
    archive_pb2,
    embedding_pb2,
    embedding_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    search_pb2,
    segmentation_pb2,
)

FILES = (archive_pb2, embedding_pb2, models_pb2, search_pb2, segmentation_pb2, inference_pb2)
METHODS = {
    f"{service.name}.{method.name}": method.input_type
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
LONG = "n" * 200_000


def text_fields(descriptor: Any, depth: int = 3) -> Iterator[list[Any]]:
    """Yields the way to each field of text in a message: the fields to go through."""
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield [field]
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth:
            for rest in text_fields(field.message_type, depth - 1):
                yield [field, *rest]


def put_text(message: Message, way: list[Any], text: str) -> None:
    field, *rest = way
    value = getattr(message, field.name)
    if not rest:
        value.append(text) if field.is_repeated else setattr(message, field.name, text)
    elif field.is_repeated and field.message_type.GetOptions().map_entry:
        if len(rest) == 1 and not rest[0].containing_type.fields_by_name["value"].message_type:
            value.update({text: "v"} if rest[0].name == "key" else {"k": text})
        elif rest[0].name == "key":
            value[text].SetInParent()
        else:
            put_text(value["k"], rest[1:], text)
    else:
        put_text(value.add() if field.is_repeated else value, rest, text)


@pytest.mark.parametrize("method", METHODS)
def test_no_text_of_any_request_may_be_long(method: str) -> None:
    for way in text_fields(METHODS[method]):
        message = GetMessageClass(METHODS[method])()
        put_text(message, way, LONG)
        with pytest.raises(
            MalformedRequest, match=r"must have at most [\d,]+ (characters|bytes), got 200,000"
        ):
            check_request(message)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            search_pb2.StoredQuery(examples=[search_pb2.Stretch()] * 400_000),
            "the number of examples must be at most 1,024, got 400000",
        ),
        (
            archive_pb2.AddRecordingsRequest(files=[archive_pb2.FileToAdd()] * 1_001),
            "the number of files must be at most 1,000, got 1001",
        ),
        (
            search_pb2.SearchOptions(min_score=float("nan")),
            "min_score must be finite, got nan",
        ),
        (
            search_pb2.StoredQuery(interval={"start_seconds": 0, "end_seconds": float("inf")}),
            "interval.end_seconds must be finite, got inf",
        ),
        (
            archive_pb2.UploadHeader(filename="ä" * 2_049),
            "filename must have at most 4,096 bytes, got 4,098",
        ),
    ],
)
def test_what_is_too_much_is_named_with_what_is_allowed(message: Message, told: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        check_request(message)
    assert str(caught.value) == told


def test_names_paths_and_lists_up_to_their_limits_pass() -> None:
    check_request(archive_pb2.UploadHeader(archive="n" * 255, filename="p" * 4_096))
    check_request(search_pb2.SearchOptions(recordings=["r" * 255] * 100_000))
    check_request(models_pb2.SampleRequest(model="m", count=1, temperature=0.5, condition="c" * 100_000))


class Recorder:
    """A servicer that keeps what it gets."""

    def __init__(self) -> None:
        self.requests: list[Message] = []

    def Get(self, request: Message, context: object) -> str:
        self.requests.append(request)
        return "answer"

    def Stream(self, requests: Iterator[Message], context: object) -> Iterator[str]:
        for request in requests:
            self.requests.append(request)
            yield "answer"


def test_a_servicer_sees_only_what_was_checked() -> None:
    recorder = Recorder()
    servicer: Any = priced(recorder)
    fitting, long = archive_pb2.GetArchiveRequest(name="a"), archive_pb2.GetArchiveRequest(name=LONG)
    assert servicer.Get(fitting, None) == "answer"
    with pytest.raises(MalformedRequest):
        servicer.Get(long, None)
    answers = servicer.Stream(iter([fitting, long, fitting]), None)
    assert next(answers) == "answer"
    with pytest.raises(MalformedRequest):
        next(answers)
    assert recorder.requests == [fitting, fitting]


def test_a_budget_turns_calls_away_until_others_return_what_they_hold() -> None:
    budget = ByteBudget(100)
    with budget.account(60) as first:
        first.hold(30)
        with pytest.raises(Overloaded, match="at most 100 bytes together, got 11 more beside 90"):
            first.hold(11)
        with budget.account(10):
            pass
        with budget.account(10):
            pass
    with budget.account(100):
        pass


def test_queries_give_back_what_they_held_when_the_next_is_asked_for() -> None:
    budget = ByteBudget(100)
    query = [
        search_pb2.SearchRequest(query=search_pb2.QueryHeader(label="q")),
        search_pb2.SearchRequest(chunk=b"x" * 80),
    ]
    with budget.account() as account:
        queries = read_queries([*query, *query, *query], account)
        assert [len(next(queries)) for _ in range(2)] == [1, 1]
        with pytest.raises(Overloaded), budget.account(30):
            raise AssertionError("never held")
        assert len(next(queries)) == 1
        assert next(queries, None) is None
    with budget.account(100):
        pass


def test_queries_beyond_the_budget_are_turned_away() -> None:
    query = [
        search_pb2.SearchRequest(query=search_pb2.QueryHeader(label="q")),
        search_pb2.SearchRequest(chunk=b"x" * 80),
        search_pb2.SearchRequest(chunk=b"x" * 80),
    ]
    with ByteBudget(100).account() as account, pytest.raises(Overloaded, match="got 80 more beside 80"):
        list(read_queries(query, account))


def refused(call: Callable[[], Any], code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code
    assert reason_of(caught.value) in ("MALFORMED_REQUEST", "BAD_INPUT", "OVERLOADED")
    return str(caught.value.details())


@pytest.fixture
def embedding(serving: Any, offering: Any, band_encoder: Any) -> tuple[Any, Any, Any]:
    encoder = band_encoder()
    models = offering(encoder)
    channel, _ = serving(embedding_service(models))
    return encoder, models, embedding_pb2_grpc.EmbeddingServiceStub(channel)


def section(spans: int, regions: int = 1) -> list[embedding_pb2.EmbedRequest]:
    pcm = np.zeros(8_000, "<f4").tobytes()
    table = np.tile(np.array([[0, 0, 20]], "<i4"), (spans, 1)).tobytes()
    return [
        embedding_pb2.EmbedRequest(config=embedding_pb2.EmbedConfig(encoder="bands")),
        *(
            embedding_pb2.EmbedRequest(audio=embedding_pb2.RegionAudio(region=n, pcm=b"" if n else pcm))
            for n in range(regions)
        ),
        embedding_pb2.EmbedRequest(spans=embedding_pb2.SpanTable(spans=table)),
    ]


def test_a_section_of_a_million_spans_never_reaches_the_encoder(embedding: Any) -> None:
    encoder, _, stub = embedding
    details = refused(lambda: list(stub.Embed(iter(section(1_300_000)))))
    assert details == "spans.spans must have at most 30,000 spans, got 1,300,000"
    details = refused(lambda: list(stub.Embed(iter(section(1, limits.MAX_SECTION_REGIONS + 1)))))
    assert details == "region must be between 0 and 4095 after 4096 regions, got 4096"
    assert encoder.batches == []
    assert len(list(stub.Embed(iter(section(2))))) == 2


def test_sections_under_way_share_one_budget(embedding: Any) -> None:
    encoder, models, stub = embedding
    models.budget = ByteBudget(50_000)
    under_way, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        under_way.set()
        assert go_on.wait(30)

    encoder.before = hold
    first = stub.Embed(iter(section(1)))
    assert under_way.wait(30)
    details = refused(lambda: list(stub.Embed(iter(section(1)))), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert "calls under way must hold at most 50,000 bytes together" in details
    go_on.set()
    assert len(list(first)) == 2
    encoder.before = lambda: None
    assert len(list(stub.Embed(iter(section(1))))) == 2


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    home: Path = tmp_path_factory.mktemp("home")
    settings = ModelHostSettings(home=home, device="cpu")
    with closing(load_models(settings)) as models:
        server, _ = create_server(services(models, settings), ServerSettings())
        server.start()
        with closing(open_channel(server.address)) as channel:
            yield channel
        server.stop(0)


MODEL_CALLS: dict[str, tuple[str, Message, str]] = {
    "a long condition": (
        "Sample",
        models_pb2.SampleRequest(model="title-en", count=1, condition="a " * 5_000_000),
        "condition must have at most 100,000 characters, got 10,000,000",
    ),
    "a long text": (
        "GetLogLikelihood",
        models_pb2.GetLogLikelihoodRequest(model="poem-lm", texts={"texts": ["x" * 10_000_000]}),
        "texts.texts must have at most 10,000 characters, got 10,000,000",
    ),
    "many long texts": (
        "GetLogLikelihood",
        models_pb2.GetLogLikelihoodRequest(model="poem-lm", texts={"texts": ["x" * 10_000] * 1_000}),
        "texts.texts must have at most 1,000,000 characters, got 10,000,000",
    ),
    "more sounds than an answer holds": (
        "Sample",
        models_pb2.SampleRequest(model="voice-wavenet", count=1_024),
        "the answer must have at most 16,777,216 bytes, got 32,813,056: ask for less",
    ),
    "a million codes": (
        "Decode",
        models_pb2.DecodeRequest(model="digits-vae", codes=[models_pb2.Vector()] * 1_000_000),
        "the number of codes must be at most 1,024, got 1000000",
    ),
    "a million pictures": (
        "Encode",
        models_pb2.EncodeRequest(model="digits-vae", pictures={"png": [b""] * 1_000_000}),
        "the number of pictures must be between 1 and 1,024, got 1000000",
    ),
}


@pytest.mark.parametrize("case", MODEL_CALLS)
def test_a_call_of_a_model_is_refused_before_the_model_is_loaded(channel: grpc.Channel, case: str) -> None:
    method, request, told = MODEL_CALLS[case]
    stub: Any = models_pb2_grpc.ModelServiceStub(channel)
    assert refused(lambda: getattr(stub, method)(request)) == told
    assert not any(model.loaded for model in stub.ListModels(models_pb2.ListModelsRequest()).models)


def tensor(name: str, datatype: str, *shape: int) -> Any:
    return inference_pb2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)


TENSOR_CALLS: dict[str, tuple[str, list[Any], list[bytes], str]] = {
    "spans": (
        "phonetic:embed",
        [tensor("audio", "FP32", 1), tensor("spans", "INT32", 1_300_000, 2)],
        [b"\0" * 4, b"\0" * 8 * 1_300_000],
        "the number of rows of input 'spans' must be at most 30,000, got 1300000",
    ),
    "audio": (
        "phonetic:embed",
        [tensor("audio", "FP32", 4_800_001), tensor("spans", "INT32", 0, 2)],
        [b"", b""],
        "the number of rows of input 'audio' must be at most 4,800,000, got 4800001",
    ),
    "texts": (
        "poem-lm:nll",
        [tensor("texts", "BYTES", 2), tensor("seed", "UINT64", 1)],
        [b"\0" * 15_000_000, b"\0" * 8],
        "input 'texts' must hold 2 values by its shape [2], got 3",
    ),
    "a long text": (
        "poem-lm:nll",
        [tensor("texts", "BYTES", 1), tensor("seed", "UINT64", 1)],
        [struct.pack("<I", 10_000_000) + b"x" * 10_000_000, b"\0" * 8],
        "an element of input 'texts' must have at most 10,000 bytes, got 10,000,000",
    ),
    "values that the shape does not announce": (
        "digits-vae:encode",
        [tensor("pictures", "FP32", 1, 1, 28, 28)],
        [b"\0" * 16_000_000],
        "input 'pictures' must hold 784 values by its shape [1, 1, 28, 28], got 4000000",
    ),
    "sounds": (
        "voice-wavenet:sample",
        [tensor("count", "INT64", 1), tensor("seed", "UINT64", 1)],
        [struct.pack("<q", 1_024), b"\0" * 8],
        "the answer must have at most 16,777,216 bytes, got 65,536,000: ask for less",
    ),
    "tensors": (
        "digits-vae:encode",
        [tensor("pictures", "FP32", 1, 1, 28, 28)] * 17,
        [],
        "the number of inputs must be at most 16, got 17",
    ),
}


@pytest.mark.parametrize("case", TENSOR_CALLS)
def test_tensors_are_counted_before_they_are_converted(channel: grpc.Channel, case: str) -> None:
    model, inputs, raw, told = TENSOR_CALLS[case]
    stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
    request = inference_pb2.ModelInferRequest(model_name=model, inputs=inputs, raw_input_contents=raw)
    assert refused(lambda: stub.ModelInfer(request)) == told


def test_examples_run_in_chunks_with_the_same_answer(channel: grpc.Channel) -> None:
    stub: Any = models_pb2_grpc.ModelServiceStub(channel)
    codes = np.random.default_rng(0).standard_normal((limits.MAX_EXAMPLES_AT_ONCE + 44, 50)).tolist()
    rows = [models_pb2.Vector(values=row) for row in codes]
    many = stub.Decode(models_pb2.DecodeRequest(model="digits-vae", codes=rows)).pictures.png
    few = stub.Decode(models_pb2.DecodeRequest(model="digits-vae", codes=rows[-44:])).pictures.png
    assert len(many) == len(rows)
    assert list(many[-44:]) == list(few)
