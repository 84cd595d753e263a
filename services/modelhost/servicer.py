"""EmbeddingService: audio and spans in, vectors and frame features out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import FailedPrecondition
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.scheduler import (
    SAMPLE_RATE,
    EmbeddedSection,
    Encoders,
    Scheduler,
    Section,
    SectionEncoder,
    awaited,
)
from wordspot.services.runtime import checked_chunk, chunks, following, opening, time_remaining
from wordspot.v1 import embedding_pb2 as pb
from wordspot.v1 import embedding_pb2_grpc

MAX_SECTION_SECONDS = 300


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServiceServicer):
    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders

    def ListEncoders(  # noqa: N802
        self, request: pb.ListEncodersRequest, context: grpc.ServicerContext
    ) -> pb.ListEncodersResponse:
        return pb.ListEncodersResponse(encoders=map(_told, self._encoders.offered()))

    def GetEncoder(  # noqa: N802
        self, request: pb.GetEncoderRequest, context: grpc.ServicerContext
    ) -> pb.GetEncoderResponse:
        return pb.GetEncoderResponse(encoder=_told(self._encoders.get(request.name).encoder))

    def Embed(  # noqa: N802
        self, request_iterator: Iterator[pb.EmbedRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.EmbedResponse]:
        config: pb.EmbedConfig = opening(request_iterator, "config")
        scheduler = self._encoders.get(config.encoder)
        _check_hash(config, scheduler)
        for section in _sections(request_iterator):
            embedded = awaited(scheduler.submit(section, time_remaining()))
            yield from _responses(embedded, with_frames=config.frames)


def _told(encoder: SectionEncoder) -> pb.Encoder:
    return pb.Encoder(
        name=encoder.name,
        hash=encoder.hash,
        dimension=encoder.dimension,
        frame_dimension=encoder.frame_dimension,
        ticks_per_frame=encoder.ticks_per_frame,
        description=encoder.description,
        threshold=encoder.threshold,
        meaning_dimension=encoder.meaning,
    )


def _check_hash(config: pb.EmbedConfig, scheduler: Scheduler) -> None:
    if config.hash and config.hash != scheduler.encoder.hash:
        raise FailedPrecondition(
            f"encoder {config.encoder!r} has the hash {scheduler.encoder.hash}, not {config.hash}"
        )


def _sections(requests: Iterator[pb.EmbedRequest]) -> Iterator[Section]:
    """Raises MalformedRequest."""
    regions: list[list[NDArray[np.float32]]] = []
    samples = 0
    for request in requests:
        if following(request, "audio", "spans") == "audio":
            pcm = wire.to_samples(checked_chunk(request.audio.pcm, "audio.pcm"), "audio.pcm")
            samples += len(pcm)
            if samples > MAX_SECTION_SECONDS * SAMPLE_RATE:
                raise MalformedRequest(
                    f"a section holds more than {MAX_SECTION_SECONDS} s of audio, the most that is allowed",
                    "audio.pcm",
                )
            region = request.audio.region
            if not 0 <= region <= len(regions):
                raise MalformedRequest(
                    f"audio of region {region} came after {len(regions)} regions; "
                    f"0 to {len(regions)} is allowed",
                    "audio.region",
                )
            if region == len(regions):
                regions.append([])
            regions[region].append(pcm)
        else:
            table = wire.to_spans(request.spans.spans, "spans.spans")
            yield [np.concatenate(parts) for parts in regions], table
            regions, samples = [], 0
    if regions:
        raise MalformedRequest(f"the last {len(regions)} regions came without spans", "spans")


def _responses(embedded: EmbeddedSection, *, with_frames: bool) -> Iterator[pb.EmbedResponse]:
    vectors, frames = embedded
    dimension = vectors.shape[1]
    for data in chunks(wire.from_floats(vectors), 4 * dimension):
        yield pb.EmbedResponse(vectors=pb.VectorBlock(dimension=dimension, data=data))
    for region, rows in enumerate(frames if with_frames else ()):
        size = rows.shape[1]
        for data in chunks(wire.from_floats(rows), 4 * size):
            yield pb.EmbedResponse(frames=pb.FrameBlock(region=region, dimension=size, data=data))
    yield pb.EmbedResponse(end=pb.SectionEnd(spans=len(vectors)))
