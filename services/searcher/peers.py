"""The Segmenter and the Embedders of an archive, over gRPC.

Errors come back as the exceptions they were; a service that cannot be reached is a PeerUnavailable, one
that is busy is called again a few times.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import EncoderInfo, Region, Samples, Section, SectionEmbeddings
from wordspot.services import errors, wire
from wordspot.services.errors import Overloaded, PeerUnavailable
from wordspot.services.limits import HEARTBEAT_SECONDS, MAX_PEER_CALL_SECONDS, MAX_REQUESTS_AHEAD
from wordspot.services.runtime import chunks, time_remaining, with_retries
from wordspot.v1 import embedding_pb2, embedding_pb2_grpc, segmentation_pb2, segmentation_pb2_grpc


class RemoteSegmenter:
    """A Segmenter over gRPC; one stream a recording."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self._stub = segmentation_pb2_grpc.SegmentationServiceStub(channel)
        self._address = address

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Yields sections; reads `blocks` in the caller's thread, while the caller waits for a section.

        What is read ahead stays bounded, however fast the service and however slow the caller.
        """
        silence = segmentation_pb2.SegmentRequest(pcm=b"")
        with closing(_BidirectionalCall(self._stub.Segment, self._address, silence)) as call:
            for response in call.responses(_segment_requests(blocks, regions_only=False)):
                if response.WhichOneof("part") == "section":
                    yield _section(response.section)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        """Returns the speech in a query. Raises PeerUnavailable and what the service raises."""

        def call() -> tuple[Region, ...]:
            requests = _segment_requests([samples], regions_only=True)
            with errors.translated(self._address):
                responses = list(self._stub.Segment(requests, timeout=_timeout()))
            return _section(responses[0].section).regions

        return with_retries(call)


class RemoteEmbedder:
    """An Embedder over gRPC; one call a section, several at once."""

    def __init__(
        self,
        stub: embedding_pb2_grpc.EmbeddingServiceStub,
        info: EncoderInfo,
        address: str,
        threshold: float | None,
        query_padding: int,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self._stub = stub
        self._info = info
        self._threshold = threshold
        self._query_padding = query_padding
        self._calibration = calibration
        self._address = address

    @property
    def info(self) -> EncoderInfo:
        """The encoder."""
        return self._info

    @property
    def threshold(self) -> float | None:
        """The score from which a hit is detected; None where nobody measured it."""
        return self._threshold

    @property
    def query_padding(self) -> int:
        """Ticks of silence on either side of a query that nothing surrounds."""
        return self._query_padding

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """Coefficients of P(correct); None where nobody fitted any."""
        return self._calibration

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        """Returns a section, embedded. Raises what the encoder raises, Overloaded."""
        return with_retries(lambda: self._result(self._start_call(regions, spans), len(regions)))

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        """Returns sections, embedded by concurrent calls, so that the service can batch them."""
        calls = deque(self._start_call(*section) for section in sections)
        embedded = []
        try:
            for regions, spans in sections:
                try:
                    embedded.append(self._result(calls.popleft(), len(regions)))
                except (Overloaded, PeerUnavailable):
                    embedded.append(self.embed(regions, spans))
        finally:
            for call in calls:
                call.cancel()
        return embedded

    def _start_call(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> Any:
        return self._stub.Embed(_embed_requests(self._info, regions, spans), timeout=_timeout())

    def _result(self, call: Any, regions: int) -> SectionEmbeddings:
        with errors.translated(self._address):
            return _embedded(call, self._info, regions)


class RemoteEncoders:
    """Embedders by the encoder's name, asked for anew each time: the artifact of a name may change."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self._stub = embedding_pb2_grpc.EmbeddingServiceStub(channel)
        self._address = address

    def get(self, name: str) -> RemoteEmbedder:
        """Returns the embedder of that encoder. Raises NotFound, PeerUnavailable."""
        request = embedding_pb2.GetEncoderRequest(name=name)
        with errors.translated(self._address):
            encoder = self._stub.GetEncoder(request, timeout=_timeout()).encoder
        return RemoteEmbedder(
            self._stub,
            wire.to_encoder_info(encoder),
            self._address,
            encoder.threshold if encoder.HasField("threshold") else None,
            encoder.query_padding,
            _calibration(encoder.calibration) if encoder.HasField("calibration") else None,
        )


class _BidirectionalCall:
    """A bidirectional call that is fed and read from one thread, the caller's.

    gRPC would pull requests from a thread of its own and run ahead of a slow caller; here a request is
    made only while the caller waits for a response.

    Args:
        method: of a stub.
        address: of the service.
        heartbeat: a request without effect, sent every HEARTBEAT_SECONDS while the caller is slow: a service
            ends calls that are idle.
    """

    def __init__(self, method: Callable[..., Any], address: str, heartbeat: Any) -> None:
        self._address = address
        self._heartbeat = heartbeat
        self._outbox: deque[Any] = deque()
        self._inbox: deque[Any] = deque()
        self._all_sent = False
        self._ended = False
        self._error: grpc.RpcError | None = None
        self._changed = threading.Condition()
        self._call = method(self._outgoing())
        self._reader = threading.Thread(target=self._read, name="exchange", daemon=True)
        self._reader.start()

    def responses(self, requests: Iterator[Any]) -> Iterator[Any]:
        """Yields responses. Raises what `requests` raises and what the call's status stands for."""
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
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
                    self._all_sent = True
                else:
                    self._outbox.append(request)
                self._changed.notify_all()

    def close(self) -> None:
        """Ends the call, whatever its state."""
        self._call.cancel()
        with self._changed:
            self._all_sent = True
            self._changed.notify_all()
        self._reader.join()

    def _has_work(self) -> bool:
        may_send = not self._all_sent and len(self._outbox) < MAX_REQUESTS_AHEAD
        return bool(self._inbox) or self._ended or may_send

    def _outgoing(self) -> Iterator[Any]:
        while True:
            with self._changed:
                ready = self._changed.wait_for(
                    lambda: self._outbox or self._all_sent or self._ended, HEARTBEAT_SECONDS
                )
                if ready and not self._outbox:
                    return
                request = self._outbox.popleft() if ready else self._heartbeat
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


def _section(message: segmentation_pb2.Section) -> Section:
    return Section(
        regions=tuple(Region(region.start_tick, region.end_tick) for region in message.regions),
        spans=wire.to_spans(message.spans, "spans"),
        stop=message.end_tick,
    )


def _embedded(responses: Iterable[Any], info: EncoderInfo, regions: int) -> SectionEmbeddings:
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
    return SectionEmbeddings(np.concatenate(vectors), tuple(np.concatenate(blocks) for blocks in frames))


def _calibration(calibration: embedding_pb2.Calibration) -> dict[str, Any]:
    """Returns the coefficients as an encoder's card has them."""
    return {
        "signals": tuple(calibration.signals),
        "means": tuple(calibration.means),
        "scales": tuple(calibration.scales),
        "weights": tuple(calibration.weights),
        "intercept": calibration.intercept,
        "fitted_on": calibration.fitted_on,
    }


def _timeout() -> float:
    """Returns seconds: no more than whoever waits for the call being served does."""
    remaining = time_remaining()
    return MAX_PEER_CALL_SECONDS if remaining is None else min(MAX_PEER_CALL_SECONDS, remaining)
