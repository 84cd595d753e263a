"""Models: their cards, and all that they can do. Bytes are base64: PNG pictures, WAV sounds, samples."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from google.protobuf.message import Message
from pydantic import BaseModel

from wordspot.services.gateway.messages import message_of, model_of, plain
from wordspot.services.gateway.peers import ThePeers
from wordspot.services.gateway.schemas import ModelBody, ModelCardBody, ModelsBody
from wordspot.services.gateway.sse import Event, event_response
from wordspot.services.limits import MAX_MODEL_CALL_SECONDS
from wordspot.v1 import models_pb2

api = APIRouter(prefix="/models", tags=["models"])

# Capability, method of ModelService.
CAPABILITIES = {
    "encode": "Encode",
    "decode": "Decode",
    "reconstruct": "Reconstruct",
    "sample": "Sample",
    "classify": "Classify",
    "complete": "Complete",
    "translate": "Translate",
    "neighbours": "ListNeighbours",
    "analogy": "SolveAnalogy",
    "log_likelihood": "GetLogLikelihood",
}
STREAMED = {"generate": "Generate", "describe": "Describe"}


@api.get("", response_model=ModelsBody, operation_id="list_models")
async def list_models(peers: ThePeers) -> Any:
    """Lists the models."""
    return plain(await peers.models.ListModels(models_pb2.ListModelsRequest()))


@api.get("/{model}", response_model=ModelCardBody, operation_id="get_model")
async def get_model(model: str, peers: ThePeers) -> Any:
    """Returns a model with its card: what it learned from, its licence, its figures."""
    answer = await peers.models.GetModel(models_pb2.GetModelRequest(name=model))
    return {"model": plain(answer.model), "card": json.loads(answer.card or "{}")}


@api.post("/{model}/load", response_model=ModelBody, operation_id="load_model")
async def load_model(model: str, peers: ThePeers) -> Any:
    """Loads a model, afresh if its artifact has changed."""
    answer = await peers.models.LoadModel(models_pb2.LoadModelRequest(name=model))
    return plain(answer.model)


@api.post("/{model}/unload", response_model=ModelBody, operation_id="unload_model")
async def unload_model(model: str, peers: ThePeers) -> Any:
    """Frees a model's memory; the next call that needs it loads it again."""
    answer = await peers.models.UnloadModel(models_pb2.UnloadModelRequest(name=model))
    return plain(answer.model)


def _called(method: str, kind: type[Message], body_type: type[BaseModel]) -> Callable[..., Any]:
    """Returns the operation that makes a call with one answer."""

    async def call(model: str, body: BaseModel, peers: ThePeers) -> Any:
        request = message_of(kind, body, model=model)
        return plain(await getattr(peers.models, method)(request, timeout=MAX_MODEL_CALL_SECONDS))

    call.__annotations__["body"] = body_type
    call.__doc__ = f"Makes the call {method} of ModelService."
    return call


def _streamed(method: str, kind: type[Message], body_type: type[BaseModel]) -> Callable[..., Any]:
    """Returns the operation that sends the parts of an answer as they are made."""

    async def call(model: str, body: BaseModel, peers: ThePeers, request: Request) -> StreamingResponse:
        message = message_of(kind, body, model=model)

        async def events() -> AsyncIterator[Event]:
            async for part in getattr(peers.models, method)(message, timeout=MAX_MODEL_CALL_SECONDS):
                yield "part", plain(part)

        return await event_response(request, events())

    call.__annotations__["body"] = body_type
    call.__doc__ = f"Makes the call {method} of ModelService: events `part`, then `end`."
    return call


def _add_operations() -> None:
    for capability, method in {**CAPABILITIES, **STREAMED}.items():
        kind = getattr(models_pb2, f"{method}Request")
        body = model_of(kind, without="model")
        if capability in STREAMED:
            api.add_api_route(
                f"/{{model}}/{capability}",
                _streamed(method, kind, body),
                methods=["POST"],
                operation_id=f"model_{capability}",
                response_class=StreamingResponse,
            )
        else:
            api.add_api_route(
                f"/{{model}}/{capability}",
                _called(method, kind, body),
                methods=["POST"],
                operation_id=f"model_{capability}",
                response_model=model_of(getattr(models_pb2, f"{method}Response")),
            )


_add_operations()
