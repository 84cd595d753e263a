"""The OpenAPI document: what FastAPI derives from the operations, with every error that they can answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from wordspot.services.gateway.problems import MEDIA_TYPE, ProblemBody
from wordspot.services.gateway.search_schemas import SearchBody, SearchForm

_COMPONENTS = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    ProblemBody,
    SearchBody,
    SearchForm,
)  # that operations read themselves
_PROBLEMS = {
    400: "The request is not valid.",
    401: "The request needs a token: `Authorization: Bearer TOKEN`.",
    403: "Not allowed.",
    404: "There is no such thing.",
    405: "Not with this method.",
    409: "It is there already, or in the way.",
    411: "The length of the body must be given.",
    412: "Not in this state.",
    413: "The body is too large.",
    415: "The body is of another type.",
    416: "Nothing lies in the range.",
    421: "The name in Host is not this server's.",
    422: "The request does not have the form that it should have.",
    431: "There are too many headers.",
    429: "Too much work is waiting; Retry-After says when to ask again.",
    500: "The server failed, or a stored file is damaged.",
    501: "The service behind this one cannot do it.",
    503: "A service cannot be used; Retry-After says when to ask again.",
    504: "A service did not answer in time.",
    507: "The disk is full.",
}


def install(app: FastAPI) -> None:
    """Has an application give its document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI has it done


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description,
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, extra = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_COMPONENTS)
    for name, schema in extra["$defs"].items():
        schemas.setdefault(name, schema)
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            for status, description in _PROBLEMS.items():
                responses.setdefault(str(status), _problem(description))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": _COMPONENTS.format(model="ProblemBody")}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
