"""Wiring of the segmenter: `python -m wordspot.services.segmenter`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from wordspot.indexer.records import Segmenter
from wordspot.services import settings
from wordspot.services.errors import MalformedRequest
from wordspot.services.runtime import Service, create_server, serve
from wordspot.services.segmenter.servicer import SegmentationServicer
from wordspot.services.settings import SegmenterSettings, ServerSettings
from wordspot.v1 import segmentation_pb2 as pb
from wordspot.v1 import segmentation_pb2_grpc

NAME = "wordspot.v1.SegmentationService"
_DETECTORS = {pb.DETECTOR_SILERO: "silero", pb.DETECTOR_ENERGY: "energy", pb.DETECTOR_NONE: "none"}


def service(segmenter_for: Callable[[pb.Detector], Segmenter]) -> Service:
    servicer = SegmentationServicer(segmenter_for)
    return Service(
        NAME, lambda server: segmentation_pb2_grpc.add_SegmentationServiceServicer_to_server(servicer, server)
    )


def segmenters(options: SegmenterSettings) -> Callable[[pb.Detector], Segmenter]:
    """By detector; each is made, and its libraries imported, at its first use."""

    @lru_cache
    def named(name: str) -> Segmenter:
        from wordspot.indexer import segmentation

        detectors = {
            "silero": segmentation.SileroDetector,
            "energy": segmentation.EnergyDetector,
            "none": segmentation.NoDetector,
        }
        return segmentation.SpeechSegmenter(detectors[name]())

    def segmenter_for(detector: pb.Detector) -> Segmenter:
        if detector == pb.DETECTOR_UNSPECIFIED:
            return named(options.detector)
        if detector not in _DETECTORS:
            allowed = ", ".join(pb.Detector.keys())
            raise MalformedRequest(f"detector is {detector}; {allowed} is allowed", "config.detector")
        return named(_DETECTORS[detector])

    return segmenter_for


def run(server_settings: ServerSettings, options: SegmenterSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    server, _ = create_server([service(segmenters(options))], server_settings)
    serve(server)


if __name__ == "__main__":
    settings.arm_faults(os.environ)
    run(ServerSettings.read(os.environ), SegmenterSettings.read(os.environ))
