"""Embedding of speech: the capability, and sections of sound in EmbeddingService's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLE_RATE, EncoderInfo
from wordspot.models.artifact import ArtifactCard
from wordspot.models.runtime.sections import EmbeddedSection, Section
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_SECTION_REGIONS, MAX_SECTION_SECONDS, MAX_SECTION_SPANS
from wordspot.services.modelhost.batcher import QueueLimits
from wordspot.services.modelhost.capability import Capability, Kinds, Signature, Tensors
from wordspot.services.modelhost.tasks import Task
from wordspot.services.modelhost.tensors import ANY, TensorKind
from wordspot.services.pricing import ByteBudget
from wordspot.services.runtime import checked_chunk, chunks, later_part
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import embedding_pb2 as pb

if TYPE_CHECKING:
    from wordspot.models.encoders import Encoder

EMBED = "embed"


def _embedding_kinds(card: ArtifactCard) -> tuple[Kinds, Kinds]:
    """Returns the tensors of one region at 16 kHz; spans are start and stop in ticks of 10 ms."""
    return (
        (
            TensorKind("audio", "FP32", (ANY,), max_rows=MAX_SECTION_SECONDS * SAMPLE_RATE),
            TensorKind("spans", "INT32", (ANY, 2), max_rows=MAX_SECTION_SPANS),
        ),
        (TensorKind("vectors", "FP32", (ANY, ANY)), TensorKind("frames", "FP32", (ANY, ANY))),
    )


def _embed(encoder: Encoder, tasks: Sequence[Task]) -> Sequence[Any]:
    return encoder.embed_sections([task.section for task in tasks if task.section is not None])


def _spans_of(task: Task) -> int:
    return 0 if task.section is None else len(task.section[1])


def _seconds_of(task: Task) -> float:
    """Returns the seconds of a section's audio, or those in which a section of so many spans or regions
    usually lies where these are more."""
    if task.section is None:
        return 0.0
    regions, spans = task.section
    shares = (
        sum(map(len, regions)) / (MAX_SECTION_SECONDS * SAMPLE_RATE),
        len(spans) / MAX_SECTION_SPANS,
        len(regions) / MAX_SECTION_REGIONS,
    )
    return MAX_SECTION_SECONDS * max(shares)


def _section_limits(settings: ModelHostSettings) -> QueueLimits:
    return QueueLimits(
        settings.batch_sections,
        settings.batch_seconds,
        settings.batch_delay_ms / 1000,
        settings.queue_sections,
    )


def _section_task(signature: Signature, tensors: Tensors, options: Mapping[str, Any]) -> Task:
    audio, spans = tensors["audio"], tensors["spans"]
    table = np.concatenate([np.zeros((len(spans), 1), np.int32), spans], axis=1)
    return Task(EMBED, section=([audio], table))


EMBEDDING = Capability(
    EMBED,
    media=("speech",),
    kinds=_embedding_kinds,
    call=_embed,
    size=_spans_of,
    weight=_seconds_of,
    limits=_section_limits,
    from_tensors=_section_task,
    to_tensors=lambda answer, signature: {"vectors": answer[0], "frames": answer[1][0]},
)


def encoder_info(name: str, card: ArtifactCard) -> EncoderInfo:
    """Returns what an archive stores of an encoder. card: with its embedding."""
    assert card.embedding is not None
    values = {**vars(card.embedding), "name": name, "hash": card.hash}
    return EncoderInfo(**{field.name: values[field.name] for field in fields(EncoderInfo)})


def encoder_message(name: str, card: ArtifactCard) -> pb.Encoder:
    """Returns the message of an encoder. card: with its embedding."""
    assert card.embedding is not None
    return pb.Encoder(
        **wire.from_encoder_info(encoder_info(name, card)),
        description=card.description,
        threshold=card.detection_threshold,
        query_padding=card.embedding.query_padding,
        calibration=None if card.calibration is None else pb.Calibration(**card.calibration),
    )


class _OpenSection:
    """A section whose spans have not come yet."""

    def __init__(self) -> None:
        self.regions: list[list[NDArray[np.float32]]] = []
        self._samples = 0

    def append(self, audio: pb.RegionAudio) -> None:
        """Appends audio to a region, the first so far or one more. Raises MalformedRequest."""
        pcm = wire.to_samples(checked_chunk(audio.pcm, "audio.pcm"), "audio.pcm")
        self._samples += len(pcm)
        if self._samples > MAX_SECTION_SECONDS * SAMPLE_RATE:
            raise MalformedRequest(
                f"a section must have at most {MAX_SECTION_SECONDS} s of audio, got "
                f"{self._samples / SAMPLE_RATE:g} s",
                "audio.pcm",
            )
        count = len(self.regions)
        last = min(count, MAX_SECTION_REGIONS - 1)
        if not 0 <= audio.region <= last:
            raise MalformedRequest(
                f"region must be between 0 and {last} after {count} regions, got {audio.region}",
                "audio.region",
            )
        if audio.region == count:
            self.regions.append([pcm])
        elif len(pcm):
            self.regions[audio.region].append(pcm)

    def closed(self, spans: bytes) -> Section:
        """Returns the section. spans: its table. Raises MalformedRequest."""
        wire.check_spans_count(spans, MAX_SECTION_SPANS, "spans.spans")
        return [np.concatenate(parts) for parts in self.regions], wire.to_spans(spans, "spans.spans")


def read_sections(requests: Iterator[pb.EmbedRequest], budget: ByteBudget) -> Iterator[Section]:
    """Yields each section as soon as its spans have come.

    Args:
        requests: those behind the configuration.
        budget: of the bytes that sections hold until the next one is asked for.

    Raises:
        MalformedRequest, Overloaded.
    """
    section = _OpenSection()
    with budget.account() as account:
        for request in requests:
            account.hold(request.ByteSize())
            if later_part(request, "audio", "spans") == "audio":
                section.append(request.audio)
            else:
                yield section.closed(request.spans.spans)
                section = _OpenSection()
                account.release()
    if section.regions:
        raise MalformedRequest(
            f"spans must follow the last {len(section.regions)} regions, got none", "spans"
        )


def write_section(embedded: EmbeddedSection, *, with_frames: bool) -> Iterator[pb.EmbedResponse]:
    """Yields an embedded section in blocks of bounded size, and its end."""
    vectors, frames = embedded
    dimension = vectors.shape[1]
    for data in chunks(wire.from_floats(vectors), 4 * dimension):
        yield pb.EmbedResponse(vectors=pb.VectorBlock(dimension=dimension, data=data))
    for region, rows in enumerate(frames if with_frames else ()):
        size = rows.shape[1]
        for data in chunks(wire.from_floats(rows), 4 * size):
            yield pb.EmbedResponse(frames=pb.FrameBlock(region=region, dimension=size, data=data))
    yield pb.EmbedResponse(end=pb.SectionEnd(spans=len(vectors)))
