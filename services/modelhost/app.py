"""The wiring of the model host."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from wordspot.oip import inference_pb2_grpc
from wordspot.services.modelhost.model_servicer import ModelServicer
from wordspot.services.modelhost.oip import InferenceServicer
from wordspot.services.modelhost.repository import ModelRepository, load_models
from wordspot.services.modelhost.servicer import EmbeddingServicer
from wordspot.services.pricing import priced
from wordspot.services.runtime import Service, create_server, serve
from wordspot.services.settings import ModelHostSettings, ServerSettings
from wordspot.services.telemetry.exposition import served
from wordspot.v1 import embedding_pb2_grpc, models_pb2_grpc

if TYPE_CHECKING:
    from wordspot.services.modelhost.metrics import StatisticsCollector

NAME = "wordspot.v1.EmbeddingService"
MODELS_NAME = "wordspot.v1.ModelService"
INFERENCE_NAME = "inference.GRPCInferenceService"


def embedding_service(models: ModelRepository) -> Service:
    """Returns EmbeddingService."""
    servicer = priced(EmbeddingServicer(models))
    return Service(
        NAME, lambda server: embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server(servicer, server)
    )


def model_service(models: ModelRepository) -> Service:
    """Returns ModelService."""
    servicer = priced(ModelServicer(models))
    return Service(
        MODELS_NAME, lambda server: models_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    )


def inference_service(models: ModelRepository, options: ModelHostSettings) -> Service:
    """Returns the Open Inference Protocol's service."""
    servicer = priced(InferenceServicer(models, options))
    return Service(
        INFERENCE_NAME,
        lambda server: inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server),
    )


def services(models: ModelRepository, options: ModelHostSettings) -> list[Service]:
    """Returns all services of a model host."""
    return [embedding_service(models), model_service(models), inference_service(models, options)]


def figures(models: ModelRepository) -> StatisticsCollector:
    """Returns what Prometheus is told of models."""
    from wordspot.services.modelhost.metrics import StatisticsCollector

    return StatisticsCollector(models.statistics)


def run(server_settings: ServerSettings, options: ModelHostSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    with closing(load_models(options)) as models:
        server, _ = create_server(services(models, options), server_settings)
        with served(
            lambda: [server.figures, figures(models)],
            server_settings.metrics_host,
            server_settings.metrics_port,
        ):
            serve(server)
