"""The wiring of the segmenter."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from wordspot.indexer.records import Segmenter
from wordspot.services.admission import WorkSlots
from wordspot.services.errors import MalformedRequest
from wordspot.services.pricing import priced
from wordspot.services.runtime import Service, create_server, serve
from wordspot.services.segmenter.servicer import SegmentationServicer
from wordspot.services.settings import SegmenterSettings, ServerSettings
from wordspot.v1 import segmentation_pb2 as pb
from wordspot.v1 import segmentation_pb2_grpc

NAME = "wordspot.v1.SegmentationService"
_DETECTORS = {pb.DETECTOR_SILERO: "silero", pb.DETECTOR_ENERGY: "energy", pb.DETECTOR_NONE: "none"}


def service(
    segmenter_for: Callable[[pb.Detector], Segmenter], options: SegmenterSettings | None = None
) -> Service:
    """Returns SegmentationService. segmenter_for: by detector, as `segmenters` gives it."""
    patience_s = (options or SegmenterSettings()).queue_seconds
    slots = WorkSlots(len(os.sched_getaffinity(0)), patience_s)
    servicer = priced(SegmentationServicer(segmenter_for, slots))
    return Service(
        NAME, lambda server: segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(servicer, server)
    )


def segmenters(options: SegmenterSettings) -> Callable[[pb.Detector], Segmenter]:
    """Returns a function that gives the segmenter of a detector.

    Each is constructed, and its libraries imported, at its first use. The function raises MalformedRequest.
    """

    @lru_cache
    def named(name: str) -> Segmenter:
        from wordspot.indexer.sound import detectors, segmentation

        detector_types = {
            "silero": detectors.SileroDetector,
            "energy": detectors.EnergyDetector,
            "none": detectors.NoDetector,
        }
        return segmentation.SpeechSegmenter(detector_types[name]())

    def segmenter_for(detector: pb.Detector) -> Segmenter:
        if detector == pb.DETECTOR_UNSPECIFIED:
            return named(options.detector)
        if detector not in _DETECTORS:
            allowed = ", ".join(pb.Detector.keys())
            raise MalformedRequest(f"detector must be one of {allowed}, got {detector}", "config.detector")
        return named(_DETECTORS[detector])

    return segmenter_for


def run(server_settings: ServerSettings, options: SegmenterSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    server, _ = create_server([service(segmenters(options), options)], server_settings)
    serve(server)
