"""Wiring of the model host: `python -m wordspot.services.modelhost`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing

from wordspot.models.errors import UnknownModel
from wordspot.oip import inference_pb2_grpc
from wordspot.services import settings
from wordspot.services.modelhost import metrics
from wordspot.services.modelhost.hosting import Models, load_models
from wordspot.services.modelhost.model_servicer import ModelServicer
from wordspot.services.modelhost.oip import InferenceServicer
from wordspot.services.modelhost.scheduler import Encoders, SectionEncoder
from wordspot.services.modelhost.servicer import EmbeddingServicer
from wordspot.services.runtime import Service, create_server, serve
from wordspot.services.settings import ModelHostSettings, ServerSettings
from wordspot.v1 import embedding_pb2_grpc, models_pb2_grpc

NAME = "wordspot.v1.EmbeddingService"
MODELS_NAME = "wordspot.v1.ModelService"
INFERENCE_NAME = "inference.GRPCInferenceService"


def load_encoders(options: ModelHostSettings) -> Encoders:
    """The encoders that ship and those below home/models; torch is imported at first use."""

    def names() -> Sequence[str]:
        from wordspot.models import registry

        return list(registry.able("embed", options.home))

    def load(name: str) -> SectionEncoder:
        # The library takes a folder's path as well; a caller over the network may only name what is offered.
        if name not in (offered := names()):
            raise UnknownModel(f"no encoder {name!r}; there are {', '.join(sorted(offered)) or 'none'}")
        import torch

        from wordspot.models.encoders import load_encoder

        torch.set_num_threads(options.torch_threads)
        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return load_encoder(name, options.home, device)

    return Encoders(names, load, options)


def service(encoders: Encoders) -> Service:
    servicer = EmbeddingServicer(encoders)
    return Service(
        NAME, lambda server: embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server(servicer, server)
    )


def model_service(models: Models) -> Service:
    servicer = ModelServicer(models)
    return Service(
        MODELS_NAME, lambda server: models_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    )


def inference_service(models: Models, encoders: Encoders, options: ModelHostSettings) -> Service:
    servicer = InferenceServicer(models, encoders, options)
    return Service(
        INFERENCE_NAME,
        lambda server: inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server),
    )


def run(server_settings: ServerSettings, options: ModelHostSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    with closing(load_encoders(options)) as encoders, closing(load_models(options, encoders)) as models:
        services = [
            service(encoders),
            model_service(models),
            inference_service(models, encoders, options),
        ]
        server, _ = create_server(services, server_settings)
        with metrics.served(
            (encoders.statistics, models.statistics), server_settings.host, options.metrics_port
        ):
            serve(server)


if __name__ == "__main__":
    settings.arm_faults(os.environ)
    run(
        ServerSettings.read(os.environ),
        ModelHostSettings.read(os.environ, home=settings.home(os.environ)),
    )
