"""The other two services as the archive knows them: a Segmenter and Embedders over gRPC.

Errors come back as the exceptions they were; a service that cannot be reached is a PeerUnavailable, one
that is busy is asked again a few times.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import Embedded, EncoderInfo, Region, Samples, Section
from wordspot.services import errors, wire
from wordspot.services.runtime import chunks, patiently, time_remaining
from wordspot.v1 import embedding_pb2, embedding_pb2_grpc, segmentation_pb2, segmentation_pb2_grpc

CALL_SECONDS = 120.0  # for one section, where the caller sets no deadline
BLOCKS_AHEAD = 64  # messages of at most 4 s each that wait to be sent


class RemoteSegmenter:
    """A Segmenter; one stream a recording."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self._stub = segmentation_pb2_grpc.SegmentationServiceStub(channel)
        self._address = address

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Reads `blocks` in the caller's thread, and only while the caller waits for a section.

        So what is read ahead stays bounded, however fast the service and however slow the caller.
        """
        with closing(_Exchange(self._stub.Segment, self._address)) as exchange:
            for response in exchange.responses(_segment_requests(blocks, regions_only=False)):
                if response.WhichOneof("part") == "section":
                    yield _decoded(response.section)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        def call() -> tuple[Region, ...]:
            requests = _segment_requests([samples], regions_only=True)
            with errors.translated(self._address):
                responses = list(self._stub.Segment(requests, timeout=_timeout()))
            return _decoded(responses[0].section).regions

        return patiently(call)


class RemoteEmbedder:
    """An Embedder; one call a section."""

    def __init__(
        self,
        stub: embedding_pb2_grpc.EmbeddingServiceStub,
        info: EncoderInfo,
        address: str,
        threshold: float | None,
    ) -> None:
        self._stub = stub
        self._info = info
        self._threshold = threshold
        self._address = address

    @property
    def info(self) -> EncoderInfo:
        return self._info

    @property
    def threshold(self) -> float | None:
        return self._threshold

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Embedded:
        def call() -> Embedded:
            with errors.translated(self._address):
                responses = self._stub.Embed(_embed_requests(self._info, regions, spans), timeout=_timeout())
                return _assembled(responses, self._info, len(regions))

        return patiently(call)


class RemoteEncoders:
    """Embedders by the encoder's name. Asks anew each time: the service may have got another artifact."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self._stub = embedding_pb2_grpc.EmbeddingServiceStub(channel)
        self._address = address

    def get(self, name: str) -> RemoteEmbedder:
        """Raises NotFound, PeerUnavailable."""
        request = embedding_pb2.GetEncoderRequest(name=name)
        with errors.translated(self._address):
            e = self._stub.GetEncoder(request, timeout=_timeout()).encoder
        info = EncoderInfo(
            e.name, e.hash, e.dimension, e.frame_dimension, e.ticks_per_frame, e.meaning_dimension
        )
        threshold = e.threshold if e.HasField("threshold") else None
        return RemoteEmbedder(self._stub, info, self._address, threshold)


class _Exchange:
    """A bidirectional call that is fed and read from one thread, the caller's.

    gRPC would pull requests from a thread of its own and run ahead of a slow caller; here a request is
    made only while the caller waits for a response.
    """

    def __init__(self, method: Callable[..., Any], address: str) -> None:
        self._address = address
        self._outbox: deque[Any] = deque()
        self._inbox: deque[Any] = deque()
        self._sent_all = False
        self._ended = False
        self._error: grpc.RpcError | None = None
        self._changed = threading.Condition()
        self._call = method(self._outgoing())
        self._reader = threading.Thread(target=self._read, name="exchange", daemon=True)
        self._reader.start()

    def responses(self, requests: Iterator[Any]) -> Iterator[Any]:
        """Raises what `requests` raises and what the call's status stands for."""
        while True:
            with self._changed:
                self._changed.wait_for(self._can_go_on)
                if self._error is not None:
                    raise errors.from_call(self._error, self._address)
                response = self._inbox.popleft() if self._inbox else None
                if response is None and self._ended:
                    return
            if response is not None:
                yield response
                continue
            request = next(requests, None)
            with self._changed:
                if request is None:
                    self._sent_all = True
                else:
                    self._outbox.append(request)
                self._changed.notify_all()

    def close(self) -> None:
        """Ends the call, whatever its state."""
        self._call.cancel()
        with self._changed:
            self._sent_all = True
            self._changed.notify_all()
        self._reader.join()

    def _can_go_on(self) -> bool:
        room = not self._sent_all and len(self._outbox) < BLOCKS_AHEAD
        return bool(self._inbox) or self._ended or room

    def _outgoing(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._sent_all or self._ended)
                if not self._outbox:
                    return
                request = self._outbox.popleft()
                self._changed.notify_all()
            yield request

    def _read(self) -> None:
        try:
            for response in self._call:
                with self._changed:
                    self._inbox.append(response)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def _segment_requests(
    blocks: Iterable[Samples], *, regions_only: bool
) -> Iterator[segmentation_pb2.SegmentRequest]:
    config = segmentation_pb2.SegmentConfig(regions_only=regions_only)
    yield segmentation_pb2.SegmentRequest(config=config)
    for block in blocks:
        for pcm in chunks(wire.from_floats(block), 4):
            yield segmentation_pb2.SegmentRequest(pcm=pcm)


def _embed_requests(
    info: EncoderInfo, regions: Sequence[Samples], spans: NDArray[np.int32]
) -> Iterator[embedding_pb2.EmbedRequest]:
    config = embedding_pb2.EmbedConfig(encoder=info.name, hash=info.hash, frames=True)
    yield embedding_pb2.EmbedRequest(config=config)
    for region, samples in enumerate(regions):
        for pcm in chunks(wire.from_floats(samples), 4):
            yield embedding_pb2.EmbedRequest(audio=embedding_pb2.RegionAudio(region=region, pcm=pcm))
    yield embedding_pb2.EmbedRequest(spans=embedding_pb2.SpanTable(spans=wire.from_spans(spans)))


def _decoded(section: segmentation_pb2.Section) -> Section:
    return Section(
        regions=tuple(Region(region.start_tick, region.end_tick) for region in section.regions),
        spans=wire.to_spans(section.spans, "spans"),
        stop=section.end_tick,
    )


def _assembled(responses: Iterable[Any], info: EncoderInfo, regions: int) -> Embedded:
    vectors: list[NDArray[np.float32]] = [np.zeros((0, info.dimension), np.float32)]
    frames: list[list[NDArray[np.float32]]] = [
        [np.zeros((0, info.frame_dimension), np.float32)] for _ in range(regions)
    ]
    for response in responses:
        part = response.WhichOneof("part")
        if part == "vectors":
            vectors.append(wire.to_rows(response.vectors.data, response.vectors.dimension))
        elif part == "frames":
            frames[response.frames.region].append(
                wire.to_rows(response.frames.data, response.frames.dimension)
            )
    return Embedded(np.concatenate(vectors), tuple(np.concatenate(blocks) for blocks in frames))


def _timeout() -> float:
    """No longer than whoever waits for the call being served."""
    remaining = time_remaining()
    return CALL_SECONDS if remaining is None else min(CALL_SECONDS, remaining)
