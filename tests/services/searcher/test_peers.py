from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from wordspot.indexer.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.sound.detectors import EnergyDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.services import errors, runtime
from wordspot.services.modelhost.app import embedding_service as modelhost
from wordspot.services.runtime import Service
from wordspot.services.searcher import peers
from wordspot.services.searcher.peers import RemoteEncoders, RemoteSegmenter
from wordspot.services.segmenter.app import segmenters
from wordspot.services.segmenter.app import service as segmenter_service
from wordspot.services.settings import SegmenterSettings
from wordspot.v1 import embedding_pb2_grpc, segmentation_pb2_grpc
from wordspot.v1 import segmentation_pb2 as pb

SPANS = np.array([[0, 0, 30], [0, 10, 90]], np.int32)


@pytest.fixture
def segmenter(serving: Callable[..., Any]) -> RemoteSegmenter:
    return RemoteSegmenter(*serving(segmenter_service(segmenters(SegmenterSettings(detector="energy")))))


@pytest.fixture
def encoders(
    serving: Callable[..., Any], offering: Callable[..., Any], band_encoder: Any
) -> tuple[Any, RemoteEncoders]:
    encoder = band_encoder()
    return encoder, RemoteEncoders(*serving(modelhost(offering(encoder))))


def seconds(samples: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), 16_000):
        yield samples[start : start + 16_000]


def test_segmenting_far_away_equals_segmenting_here(
    segmenter: RemoteSegmenter, say: Callable[..., np.ndarray]
) -> None:
    samples = np.concatenate([say("tea", "milk", voice=voice) for voice in range(60)])
    here = SpeechSegmenter(EnergyDetector())
    there = list(segmenter.segment(seconds(samples)))
    direct = list(here.segment([samples]))
    assert len(there) == len(direct) > 1
    for section, true in zip(there, direct, strict=True):
        assert section.regions == true.regions
        assert np.array_equal(section.spans, true.spans)
        assert section.stop == true.stop
    assert segmenter.regions(say("tea")) == here.regions(say("tea"))


def test_blocks_are_read_in_the_caller_s_thread(
    segmenter: RemoteSegmenter, say: Callable[..., np.ndarray]
) -> None:
    threads = set()

    def blocks() -> Iterator[np.ndarray]:
        for block in seconds(say("tea", "milk")):
            threads.add(threading.get_ident())
            yield block

    list(segmenter.segment(blocks()))
    assert threads == {threading.get_ident()}


def test_a_slow_caller_bounds_what_is_read_ahead(segmenter: RemoteSegmenter) -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    read = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(1_500):
            read += 1
            yield noise

    sections = segmenter.segment(blocks())
    first = next(sections)
    time.sleep(0.5)
    ahead = read - first.stop // 100
    assert ahead < 400
    sections.close()


def test_a_slow_caller_is_not_ended_as_idle(
    serving: Callable[..., Any], say: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "HEARTBEAT_SECONDS", 0.05)
    service = segmenter_service(segmenters(SegmenterSettings(detector="energy")))
    segmenter = RemoteSegmenter(*serving(service, stream_idle_seconds=3.0))
    here = SpeechSegmenter(EnergyDetector())

    def blocks() -> Iterator[np.ndarray]:
        yield say("tea")
        time.sleep(4.0)
        yield say("milk")

    (section,) = segmenter.segment(blocks())
    (true,) = here.segment([np.concatenate([say("tea"), say("milk")])])
    assert section.regions == true.regions


def test_an_error_while_reading_is_raised_as_it_is(
    segmenter: RemoteSegmenter, say: Callable[..., np.ndarray]
) -> None:
    def blocks() -> Iterator[np.ndarray]:
        yield say("tea")
        raise InvalidInput("the file ends in the middle")

    with pytest.raises(InvalidInput, match="ends in the middle"):
        list(segmenter.segment(blocks()))


def test_samples_that_the_segmenter_refuses_are_invalid_input(segmenter: RemoteSegmenter) -> None:
    with pytest.raises(InvalidInput, match="pcm must hold finite samples, got nan"):
        list(segmenter.segment([np.full(160, np.nan, np.float32)]))


def test_stopping_early_ends_the_call_at_the_service(
    serving: Callable[..., Any],
) -> None:
    left = threading.Event()

    class Endless(segmentation_pb2_grpc.SegmentationServiceServicer):
        def Segment(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
            context.add_callback(left.set)
            next(request_iterator)
            while True:
                yield pb.SegmentResponse(section=pb.Section(end_tick=1))

    def register(server: grpc.Server) -> None:
        segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(Endless(), server)

    segmenter = RemoteSegmenter(*serving(Service("wordspot.v1.SegmentationService", register)))
    sections = segmenter.segment([np.zeros(160, np.float32)])
    assert next(sections).stop == 1
    sections.close()
    assert left.wait(5)


def test_embedding_far_away_equals_embedding_here(encoders: Any) -> None:
    encoder, remote = encoders
    regions = [np.random.default_rng(seed).standard_normal(80_000).astype(np.float32) for seed in range(3)]
    spans = np.array([[0, 0, 100], [2, 50, 400], [1, 3, 30]], np.int32)
    embedder = remote.get("bands")
    there = embedder.embed(regions, spans)
    ((vectors, frames),) = encoder.embed_sections([(regions, spans)])
    assert np.array_equal(there.vectors, vectors)
    assert [rows.tolist() for rows in there.frames] == [rows.tolist() for rows in frames]
    assert embedder.info.hash == encoder.hash
    assert embedder.info.frame_dimension == 24


def test_a_section_without_spans_has_empty_vectors_of_the_right_width(encoders: Any) -> None:
    _, remote = encoders
    embedded = remote.get("bands").embed([np.zeros(16_000, np.float32)], np.zeros((0, 3), np.int32))
    assert embedded.vectors.shape == (0, 144)
    assert embedded.frames[0].shape == (50, 24)


def test_an_unknown_encoder_is_not_found_and_the_known_are_named(encoders: Any) -> None:
    _, remote = encoders
    with pytest.raises(NotFound, match="no encoder 'ears'; there are bands"):
        remote.get("ears")


def test_an_encoder_that_was_exchanged_is_a_failed_precondition(encoders: Any) -> None:
    encoder, remote = encoders
    embedder = remote.get("bands")
    encoder.hash = "f" * 64
    with pytest.raises(FailedPrecondition, match="has the hash f"):
        embedder.embed([np.zeros(16_000, np.float32)], SPANS)
    assert remote.get("bands").info.hash == "f" * 64


def test_what_the_encoder_refuses_is_invalid_input(encoders: Any) -> None:
    encoder, remote = encoders
    encoder.poison = 16_000
    with pytest.raises(InvalidInput, match="poisoned"):
        remote.get("bands").embed([np.zeros(16_000, np.float32)], SPANS)


class Troubled(embedding_pb2_grpc.EmbeddingServiceServicer):
    """Fails some calls, then passes them on."""

    def __init__(self, error: Exception, times: int, inner: Any) -> None:
        self.calls = 0
        self._error, self._times, self._inner = error, times, inner

    def GetEncoder(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._inner.GetEncoder(request, context)

    def Embed(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        yield from self._inner.Embed(request_iterator, context)


@pytest.fixture
def troubled(
    serving: Callable[..., Any],
    offering: Callable[..., Any],
    band_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Exception, int], tuple[Troubled, RemoteEncoders]]:
    from wordspot.services.modelhost.servicer import EmbeddingServicer

    monkeypatch.setattr(runtime, "RETRY_DELAYS_S", (0.01, 0.01))

    def start(error: Exception, times: int) -> tuple[Troubled, RemoteEncoders]:
        servicer = Troubled(error, times, EmbeddingServicer(offering(band_encoder())))

        def register(server: grpc.Server) -> None:
            embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server(servicer, server)

        return servicer, RemoteEncoders(*serving(Service("wordspot.v1.EmbeddingService", register)))

    return start


@pytest.mark.parametrize("error", [errors.Overloaded("busy"), errors.PeerUnavailable("restarting")])
def test_a_busy_or_restarting_service_is_asked_again(troubled: Callable[..., Any], error: Exception) -> None:
    servicer, remote = troubled(error, 2)
    assert remote.get("bands").embed([np.zeros(16_000, np.float32)], SPANS).vectors.shape == (2, 144)
    assert servicer.calls == 3


def test_patience_ends(troubled: Callable[..., Any]) -> None:
    servicer, remote = troubled(errors.Overloaded("busy"), 100)
    with pytest.raises(errors.Overloaded, match="busy"):
        remote.get("bands").embed([np.zeros(16_000, np.float32)], SPANS)
    assert servicer.calls == 3


def test_what_asking_again_cannot_mend_is_raised_at_once(troubled: Callable[..., Any]) -> None:
    servicer, remote = troubled(DataLoss("the artifact is gone"), 100)
    with pytest.raises(DataLoss, match="artifact is gone"):
        remote.get("bands").embed([np.zeros(16_000, np.float32)], SPANS)
    assert servicer.calls == 1


def test_a_service_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from wordspot.services.runtime import open_channel

    monkeypatch.setattr(runtime, "RETRY_DELAYS_S", ())
    with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(errors.PeerUnavailable, match=r"no service answers at 127\.0\.0\.1:1"):
            RemoteEncoders(channel, "127.0.0.1:1").get("bands")
        with pytest.raises(errors.PeerUnavailable, match=r"no service answers at 127\.0\.0\.1:1"):
            list(RemoteSegmenter(channel, "127.0.0.1:1").segment([np.zeros(160, np.float32)]))
