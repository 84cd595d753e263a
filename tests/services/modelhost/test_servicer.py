from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import grpc
import numpy as np
import pytest

from wordspot.services import errors
from wordspot.services.limits import MAX_CHUNK_BYTES
from wordspot.services.modelhost.app import embedding_service
from wordspot.v1 import embedding_pb2 as pb
from wordspot.v1 import embedding_pb2_grpc

SPANS = struct.pack("<6i", 0, 0, 30, 0, 10, 90)


@pytest.fixture
def host(
    serving: Callable[..., Any], offering: Callable[..., Any], band_encoder: Any
) -> Callable[..., tuple[Any, Any]]:
    def start(**settings: Any) -> tuple[Any, Any]:
        encoder = band_encoder()
        channel, _ = serving(embedding_service(offering(encoder, **settings)))
        return encoder, embedding_pb2_grpc.EmbeddingServiceStub(channel)

    return start


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(16_000 * seconds)).astype(np.float32)


def config(**fields: Any) -> pb.EmbedRequest:
    return pb.EmbedRequest(config=pb.EmbedConfig(**({"encoder": "bands", "frames": True} | fields)))


def audio(samples: np.ndarray, region: int = 0) -> Iterator[pb.EmbedRequest]:
    data = samples.astype("<f4").tobytes()
    for start in range(0, len(data), MAX_CHUNK_BYTES):
        chunk = data[start : start + MAX_CHUNK_BYTES]
        yield pb.EmbedRequest(audio=pb.RegionAudio(region=region, pcm=chunk))


def spans(table: bytes = SPANS) -> pb.EmbedRequest:
    return pb.EmbedRequest(spans=pb.SpanTable(spans=table))


def collected(responses: Iterator[pb.EmbedResponse]) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    sections, vectors, frames = [], b"", {}
    for response in responses:
        part = response.WhichOneof("part")
        if part == "vectors":
            assert len(response.vectors.data) <= MAX_CHUNK_BYTES
            vectors += response.vectors.data
            dimension = response.vectors.dimension
        elif part == "frames":
            frames[response.frames.region] = frames.get(response.frames.region, b"") + response.frames.data
            width = response.frames.dimension
        else:
            rows = np.frombuffer(vectors, "<f4").reshape(-1, dimension)
            assert len(rows) == response.end.spans
            sections.append(
                (rows, [np.frombuffer(data, "<f4").reshape(-1, width) for _, data in sorted(frames.items())])
            )
            vectors, frames = b"", {}
    return sections


def refused(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_encoders_are_listed_with_what_an_archive_must_know(host: Callable[..., Any]) -> None:
    encoder, stub = host()
    (listed,) = stub.ListEncoders(pb.ListEncodersRequest()).encoders
    assert (listed.name, listed.hash, listed.description) == ("bands", "0" * 64, "for tests")
    assert (listed.dimension, listed.frame_dimension, listed.ticks_per_frame) == (144, 24, 2)
    assert not listed.HasField("threshold")
    assert listed.query_padding == 0
    assert not listed.HasField("calibration")
    encoder.threshold, encoder.query_padding = 4.5, 30
    encoder.calibration = {
        "signals": ("score",),
        "means": (3.0,),
        "scales": (1.5,),
        "weights": (2.0,),
        "intercept": -1.0,
        "fitted_on": "a test",
    }
    (listed,) = stub.ListEncoders(pb.ListEncodersRequest()).encoders
    assert (listed.threshold, listed.query_padding) == (4.5, 30)
    assert listed.calibration == pb.Calibration(
        signals=["score"], means=[3.0], scales=[1.5], weights=[2.0], intercept=-1.0, fitted_on="a test"
    )


def test_one_encoder_is_told_of_as_it_is_listed(host: Callable[..., Any]) -> None:
    _, stub = host()
    (listed,) = stub.ListEncoders(pb.ListEncodersRequest()).encoders
    assert stub.GetEncoder(pb.GetEncoderRequest(name="bands")).encoder == listed
    error = refused(lambda: stub.GetEncoder(pb.GetEncoderRequest(name="ears")))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert "'ears'" in error.details()


def test_sections_come_back_in_order_equal_to_a_direct_call(
    host: Callable[..., Any], band_encoder: Any
) -> None:
    _, stub = host()
    first, second = [sound(1.5)], [sound(4.2, 1), sound(0.8, 2)]
    table = struct.pack("<6i", 0, 100, 180, 1, 0, 80)
    requests = [config(), *audio(first[0]), spans(), *audio(second[0]), *audio(second[1], 1), spans(table)]
    answers = collected(stub.Embed(iter(requests)))
    direct = band_encoder().embed_sections(
        [
            (first, np.frombuffer(SPANS, "<i4").reshape(-1, 3)),
            (second, np.frombuffer(table, "<i4").reshape(-1, 3)),
        ]
    )
    assert len(answers) == 2
    for (vectors, frames), (true_vectors, true_frames) in zip(answers, direct, strict=True):
        assert np.array_equal(vectors, true_vectors)
        assert [rows.tolist() for rows in frames] == [rows.tolist() for rows in true_frames]


def test_large_answers_come_in_bounded_blocks(host: Callable[..., Any]) -> None:
    _, stub = host()
    table = np.array([[0, start, start + 20] for start in range(0, 1_900)], "<i4").tobytes()
    ((vectors, _),) = collected(stub.Embed(iter([config(), *audio(sound(20)), spans(table)])))
    assert vectors.nbytes > MAX_CHUNK_BYTES
    assert vectors.shape == (1_900, 144)


def test_frames_are_sent_only_where_asked_for(host: Callable[..., Any]) -> None:
    _, stub = host()
    responses = list(stub.Embed(iter([config(frames=False), *audio(sound(1)), spans()])))
    assert [response.WhichOneof("part") for response in responses] == ["vectors", "end"]


def test_an_unknown_encoder_is_not_found(host: Callable[..., Any]) -> None:
    _, stub = host()
    error = refused(lambda: list(stub.Embed(iter([config(encoder="ears"), *audio(sound(1)), spans()]))))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert "'ears'" in error.details()
    assert "bands" in error.details()


def test_another_hash_than_asked_for_is_a_failed_precondition(host: Callable[..., Any]) -> None:
    _, stub = host()
    error = refused(lambda: list(stub.Embed(iter([config(hash="f" * 64), *audio(sound(1)), spans()]))))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert errors.reason_of(error) == "FAILED_PRECONDITION"
    assert len(list(stub.Embed(iter([config(hash="0" * 64), *audio(sound(1)), spans()])))) == 3


def not_a_number() -> pb.EmbedRequest:
    return pb.EmbedRequest(audio=pb.RegionAudio(pcm=struct.pack("<f", float("nan"))))


@pytest.mark.parametrize(
    ("requests", "told"),
    [
        ([], "must hold config, got nothing"),
        ([spans()], "must hold config, got spans"),
        ([config(), config()], "must hold audio or spans, got config"),
        ([config(), *audio(sound(1))], "spans must follow the last 1 regions, got none"),
        ([config(), *audio(sound(1), region=1)], "region must be between 0 and 0 after 0 regions, got 1"),
        ([config(), *audio(sound(1)), spans(b"12345")], "must have a multiple of 12 bytes, got 5"),
        ([config(), not_a_number()], "finite samples, got nan"),
        (
            [config(), pb.EmbedRequest(audio=pb.RegionAudio(pcm=bytes(MAX_CHUNK_BYTES + 4)))],
            "at most 262,144",
        ),
        ([config(), *audio(sound(301))], "at most 300 s"),
    ],
)
def test_malformed_streams_are_invalid_and_say_what_is_allowed(
    host: Callable[..., Any], requests: list[pb.EmbedRequest], told: str
) -> None:
    _, stub = host()
    error = refused(lambda: list(stub.Embed(iter(requests))))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert errors.reason_of(error) == "MALFORMED_REQUEST"
    assert told in error.details()


def test_what_the_encoder_refuses_is_invalid(host: Callable[..., Any]) -> None:
    encoder, stub = host()
    encoder.poison = 16_000
    error = refused(lambda: list(stub.Embed(iter([config(), *audio(sound(1)), spans()]))))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert errors.reason_of(error) == "BAD_INPUT"


def test_concurrent_callers_share_batches(host: Callable[..., Any]) -> None:
    encoder, stub = host(batch_delay_ms=300.0, batch_sections=4)
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(lambda seed=seed: list(stub.Embed(iter([config(), *audio(sound(1, seed)), spans()]))))
            for seed in range(40)
        ]
        assert all(call.result(20) for call in calls)
    assert sum(encoder.batches) == 40
    assert 1 < max(encoder.batches) <= 4


def test_a_full_queue_is_resource_exhausted_with_a_time_to_come_back(host: Callable[..., Any]) -> None:
    encoder, stub = host(queue_sections=1)
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert go_on.wait(20)

    encoder.before = hold

    def embed() -> list[pb.EmbedResponse]:
        return list(stub.Embed(iter([config(), *audio(sound(1)), spans()])))

    with ThreadPoolExecutor(6) as pool:
        under_way = pool.submit(embed)
        assert reached.wait(10)
        calls = [pool.submit(embed) for _ in range(5)]
        turned_away = list(itertools.islice(as_completed(calls, timeout=10), 4))
        go_on.set()
        for call in turned_away:
            error = refused(call.result)
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert errors.reason_of(error) == "OVERLOADED"
        assert under_way.result(20)
        (waited,) = set(calls) - set(turned_away)
        assert waited.result(20)


def test_work_of_a_caller_whose_deadline_passed_never_reaches_the_encoder(host: Callable[..., Any]) -> None:
    encoder, stub = host()
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert go_on.wait(20)

    encoder.before = hold
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(lambda: list(stub.Embed(iter([config(), *audio(sound(1)), spans()]))))
        assert reached.wait(10)
        error = refused(lambda: list(stub.Embed(iter([config(), *audio(sound(2)), spans()]), timeout=0.3)))
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        go_on.set()
        assert under_way.result(20)
    assert list(stub.Embed(iter([config(), *audio(sound(1)), spans()])))
    assert encoder.batches == [1, 1]
