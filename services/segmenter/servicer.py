"""SegmentationService: audio in, speech regions and candidate spans out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import grpc
import numpy as np

from wordspot.indexer.records import (
    SAMPLE_RATE,
    SAMPLES_PER_TICK,
    Samples,
    Section,
    Segmenter,
)
from wordspot.services import wire
from wordspot.services.admission import SlotLease, WorkSlots
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_REGIONS_ONLY_SECONDS
from wordspot.services.pricing import ByteBudget
from wordspot.services.runtime import checked_chunk, ensure_wanted, first_part, later_part, time_remaining
from wordspot.v1 import audio_pb2, segmentation_pb2_grpc
from wordspot.v1 import segmentation_pb2 as pb

if TYPE_CHECKING:
    from wordspot.indexer.sound.segmentation import SegmentationFigures


class SegmentationServicer(segmentation_pb2_grpc.SegmentationServiceServicer):
    """SegmentationService.

    Args:
        segmenter_for: by detector; raises MalformedRequest for an unknown one.
        slots: of streams that are worked on at once. A stream that waits for its caller holds none.
    """

    def __init__(self, segmenter_for: Callable[[pb.Detector], Segmenter], slots: WorkSlots) -> None:
        self._segmenter_for = segmenter_for
        self._slots = slots
        self._budget = ByteBudget()

    def Segment(
        self, request_iterator: Iterator[pb.SegmentRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.SegmentResponse]:
        from wordspot.indexer.sound.segmentation import SegmentationFigures  # brings onnxruntime

        config: pb.SegmentConfig = first_part(request_iterator, "config")
        figures = SegmentationFigures()
        # A recording takes long anyway: its stream is never turned away, and waits for its turn.
        with self._slots.lease(time_remaining, admitted=not config.regions_only) as lease:
            segmenter = self._segmenter_for(config.detector)
            blocks = _blocks(request_iterator, lease)
            by_regions = self._regions_only(segmenter, blocks)
            for section in by_regions if config.regions_only else segmenter.segment(blocks):
                ensure_wanted()
                figures = figures.including(section)
                response = pb.SegmentResponse(section=_message(section))
                with lease.paused():
                    yield response
        yield pb.SegmentResponse(summary=_summary(figures))

    def _regions_only(self, segmenter: Segmenter, blocks: Iterator[Samples]) -> Iterator[Section]:
        received = [np.zeros(0, np.float32)]
        count = 0
        with self._budget.account() as account:
            for block in blocks:
                count += len(block)
                if count > MAX_REGIONS_ONLY_SECONDS * SAMPLE_RATE:
                    raise MalformedRequest(
                        f"the audio must be at most {MAX_REGIONS_ONLY_SECONDS} s long where only regions are "
                        f"wanted, got {count / SAMPLE_RATE:g} s or more",
                        "pcm",
                    )
                account.hold(block.nbytes)
                received.append(block)
            regions = segmenter.regions(np.concatenate(received))
        yield Section(regions, np.zeros((0, 3), np.int32), count // SAMPLES_PER_TICK)


def _blocks(requests: Iterator[pb.SegmentRequest], lease: SlotLease) -> Iterator[Samples]:
    while True:
        with lease.paused():
            request = next(requests, None)
        if request is None:
            return
        later_part(request, "pcm")
        block = wire.to_samples(checked_chunk(request.pcm, "pcm"), "pcm")
        if len(block):
            yield block


def _summary(figures: SegmentationFigures) -> pb.SegmentSummary:
    return pb.SegmentSummary(
        audio_seconds=figures.audio_seconds,
        speech_seconds=figures.speech_seconds,
        regions=figures.regions,
        spans=figures.spans,
        spans_per_hour=figures.spans_per_hour,
    )


def _message(section: Section) -> pb.Section:
    return pb.Section(
        regions=[audio_pb2.Region(start_tick=r.start, end_tick=r.stop) for r in section.regions],
        spans=wire.from_spans(section.spans),
        end_tick=section.stop,
    )
