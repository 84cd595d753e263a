"""EmbeddingService: audio and spans in, vectors and frame features out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from wordspot.indexer.errors import FailedPrecondition
from wordspot.services.modelhost.embedding import encoder_message, read_sections, write_section
from wordspot.services.modelhost.repository import HostedModel, ModelRepository
from wordspot.services.modelhost.tasks import Task
from wordspot.services.runtime import first_part
from wordspot.v1 import embedding_pb2 as pb
from wordspot.v1 import embedding_pb2_grpc


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServiceServicer):
    """EmbeddingService on a model repository."""

    def __init__(self, models: ModelRepository) -> None:
        self._models = models

    def ListEncoders(
        self, request: pb.ListEncodersRequest, context: grpc.ServicerContext
    ) -> pb.ListEncodersResponse:
        cards = self._models.encoder_cards()
        return pb.ListEncodersResponse(
            encoders=[encoder_message(name, card) for name, card in sorted(cards.items())]
        )

    def GetEncoder(
        self, request: pb.GetEncoderRequest, context: grpc.ServicerContext
    ) -> pb.GetEncoderResponse:
        encoder = self._models.encoder(request.name)
        return pb.GetEncoderResponse(encoder=encoder_message(encoder.name, encoder.card))

    def Embed(
        self, request_iterator: Iterator[pb.EmbedRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.EmbedResponse]:
        config: pb.EmbedConfig = first_part(request_iterator, "config")
        encoder = self._models.encoder(config.encoder)
        _check_hash(config, encoder)
        for section in read_sections(request_iterator, self._models.budget):
            yield from write_section(encoder.call(Task("embed", section=section)), with_frames=config.frames)


def _check_hash(config: pb.EmbedConfig, encoder: HostedModel) -> None:
    if config.hash and config.hash != encoder.card.hash:
        raise FailedPrecondition(
            f"encoder {config.encoder!r} has the hash {encoder.card.hash}, not {config.hash}"
        )
