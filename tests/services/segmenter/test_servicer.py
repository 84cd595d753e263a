from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from wordspot.indexer.sound.detectors import EnergyDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.services import errors
from wordspot.services.admission import WorkSlots
from wordspot.services.errors import Overloaded
from wordspot.services.limits import MAX_CHUNK_BYTES
from wordspot.services.segmenter.app import segmenters, service
from wordspot.services.segmenter.servicer import SegmentationServicer
from wordspot.services.settings import SegmenterSettings
from wordspot.v1 import segmentation_pb2 as pb
from wordspot.v1 import segmentation_pb2_grpc


@pytest.fixture
def stub(serving: Callable[..., Any]) -> Any:
    channel, _ = serving(service(segmenters(SegmenterSettings(detector="energy"))))
    return segmentation_pb2_grpc.SegmentationServiceStub(channel)


def requests(samples: np.ndarray, size: int = 16_000, **config: Any) -> Iterator[pb.SegmentRequest]:
    yield pb.SegmentRequest(config=pb.SegmentConfig(**config))
    for start in range(0, len(samples), size):
        yield pb.SegmentRequest(pcm=samples[start : start + size].astype("<f4").tobytes())


def parts(responses: Iterator[pb.SegmentResponse]) -> tuple[list[pb.Section], pb.SegmentSummary]:
    *sections, last = responses
    assert last.WhichOneof("part") == "summary"
    return [response.section for response in sections], last.summary


def refused(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_sections_are_those_of_the_segmenter_and_the_summary_adds_them_up(
    stub: Any, say: Callable[..., np.ndarray]
) -> None:
    samples = np.concatenate([say("tea", "milk", voice=voice) for voice in range(50)])
    sections, summary = parts(stub.Segment(requests(samples)))
    direct = list(SpeechSegmenter(EnergyDetector()).segment([samples]))
    assert len(sections) == len(direct) > 1
    for section, true in zip(sections, direct, strict=True):
        assert [(r.start_tick, r.end_tick) for r in section.regions] == [
            (r.start, r.stop) for r in true.regions
        ]
        assert np.array_equal(np.frombuffer(section.spans, "<i4").reshape(-1, 3), true.spans)
        assert section.end_tick == true.stop
    assert summary.regions == sum(len(true.regions) for true in direct) > 0
    assert summary.spans == sum(len(true.spans) for true in direct) > 0
    assert summary.audio_seconds == pytest.approx(len(samples) / 16_000, abs=0.01)
    assert summary.spans_per_hour == pytest.approx(summary.spans / summary.audio_seconds * 3600)


def test_a_section_comes_while_the_audio_is_still_arriving(stub: Any, say: Callable[..., np.ndarray]) -> None:
    samples = np.concatenate([say("tea", "milk", voice=voice) for voice in range(80)])
    arrived = threading.Event()
    sent = 0
    sent_at_first_section = None

    def slowly() -> Iterator[pb.SegmentRequest]:
        nonlocal sent
        for request in requests(samples):
            sent += len(request.pcm) // 4
            yield request
            if sent > 140 * 16_000 and sent_at_first_section is None:
                arrived.wait(10)

    for response in stub.Segment(slowly()):
        if sent_at_first_section is None and response.WhichOneof("part") == "section":
            sent_at_first_section = sent
            arrived.set()
    assert sent_at_first_section is not None
    assert sent_at_first_section < len(samples)


def test_regions_only_leaves_the_spans_out(stub: Any, say: Callable[..., np.ndarray]) -> None:
    samples = say("tea")
    (section,), summary = parts(stub.Segment(requests(samples, regions_only=True)))
    true = SpeechSegmenter(EnergyDetector()).regions(samples)
    assert [(r.start_tick, r.end_tick) for r in section.regions] == [(r.start, r.stop) for r in true]
    assert len(true) == 1
    assert section.spans == b""
    assert summary.spans == 0


def test_a_call_chooses_its_detector(stub: Any, say: Callable[..., np.ndarray]) -> None:
    samples = say("tea")
    (section,), _ = parts(stub.Segment(requests(samples, detector=pb.DETECTOR_NONE, regions_only=True)))
    (region,) = section.regions
    assert (region.start_tick, region.end_tick) == (0, len(samples) // 160)
    sections, _ = parts(stub.Segment(requests(samples, detector=pb.DETECTOR_SILERO)))
    assert sections


def test_no_audio_gives_no_section(stub: Any) -> None:
    sections, summary = parts(stub.Segment(requests(np.zeros(0, np.float32))))
    assert sections == []
    assert summary == pb.SegmentSummary()


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ([], "must hold config, got nothing"),
        ([pb.SegmentRequest(pcm=bytes(4))], "must hold config, got pcm"),
        ([pb.SegmentRequest(config=pb.SegmentConfig())] * 2, "must hold pcm, got config"),
        ([*requests(np.zeros(0)), pb.SegmentRequest(pcm=b"12345")], "must have a multiple of 4 bytes, got 5"),
        (
            [*requests(np.zeros(0)), pb.SegmentRequest(pcm=struct.pack("<f", float("inf")))],
            "finite samples, got inf",
        ),
        ([*requests(np.zeros(0)), pb.SegmentRequest(pcm=bytes(MAX_CHUNK_BYTES + 4))], "at most 262,144"),
        ([*requests(np.zeros(0), detector=99)], "detector must be one of DETECTOR_UNSPECIFIED"),
        ([*requests(np.zeros(601 * 16_000), 65_536, regions_only=True)], "at most 600 s long"),
    ],
)
def test_malformed_streams_are_invalid_and_say_what_is_allowed(
    stub: Any, stream: list[pb.SegmentRequest], told: str
) -> None:
    error = refused(lambda: list(stub.Segment(iter(stream))))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert errors.reason_of(error) == "MALFORMED_REQUEST"
    assert told in error.details()


def test_a_stream_that_waits_for_its_caller_holds_no_slot(
    serving: Callable[..., Any], say: Callable[..., np.ndarray]
) -> None:
    options = SegmenterSettings(detector="energy", queue_seconds=0.1)
    channel, _ = serving(service(segmenters(options), options))
    stub = segmentation_pb2_grpc.SegmentationServiceStub(channel)
    ended = threading.Event()

    def half() -> Iterator[pb.SegmentRequest]:
        yield pb.SegmentRequest(config=pb.SegmentConfig())
        yield pb.SegmentRequest(pcm=say("tea").astype("<f4").tobytes())
        ended.wait(60)

    streams = [stub.Segment(half()) for _ in range(64)]
    for _ in range(8):
        (section,), _ = parts(stub.Segment(requests(say("tea"), regions_only=True)))
        assert len(section.regions) == 1
    ended.set()
    assert all(parts(stream)[1].regions == 1 for stream in streams)


def test_queries_beyond_what_can_be_served_in_time_are_turned_away(say: Callable[..., np.ndarray]) -> None:
    slots = WorkSlots(1, 0.05)
    servicer = SegmentationServicer(segmenters(SegmenterSettings(detector="energy")), slots)
    with slots.slot(), pytest.raises(Overloaded):
        list(servicer.Segment(requests(say("tea"), regions_only=True), None))  # type: ignore[arg-type]
