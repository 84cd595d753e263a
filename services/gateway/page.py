"""The page as it was built, `web/dist` of this package: in memory, compressed where browsers take that."""

from __future__ import annotations

import gzip
import mimetypes
import secrets
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request, Response

from wordspot.services.gateway.guard import CONTENT_SECURITY_POLICY

NONCE_PLACEHOLDER = "NONCE"
MAX_AGE_S = 365 * 24 * 3600  # of files that have the hash of their content in their names
_COMPRESSED = ("text/", "image/svg", "application/json")
_HASHED = "-"


@dataclass(frozen=True)
class _File:
    """A built file. compressed: its gzip form; None where that gains nothing."""

    content: bytes
    media_type: str
    compressed: bytes | None
    cache: str


def mount_page(app: FastAPI) -> None:
    """Has the application answer `/` with the page and `/assets/NAME` with what the page is made of."""
    built = resources.files(__package__).joinpath("web", "dist")
    index = built.joinpath("index.html")
    document = index.read_text() if index.is_file() else _NOT_BUILT
    folder = built.joinpath("assets")
    assets = {file.name: _read(file) for file in folder.iterdir()} if folder.is_dir() else {}

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = f"{CONTENT_SECURITY_POLICY}; style-src 'self' 'nonce-{nonce}'"
        return Response(
            document.replace(f'"{NONCE_PLACEHOLDER}"', f'"{nonce}"'),
            media_type="text/html",
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"},
        )

    @app.api_route("/assets/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def asset(name: str, request: Request) -> Response:
        file = assets.get(name)
        if file is None:
            return Response("no such file\n", 404, media_type="text/plain")
        headers = {"Cache-Control": file.cache, "Vary": "Accept-Encoding"}
        if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                file.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type
            )
        return Response(file.content, headers=headers, media_type=file.media_type)


def _read(file: Traversable) -> _File:
    content = file.read_bytes()
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    compressible = media_type.startswith(_COMPRESSED) or media_type.endswith("javascript")
    compressed = gzip.compress(content, mtime=0) if compressible else None
    gains = compressed is not None and len(compressed) < len(content)
    cache = f"public, max-age={MAX_AGE_S}, immutable" if _HASHED in file.name else "no-cache"
    return _File(content, media_type, compressed if gains else None, cache)


_NOT_BUILT = "<!doctype html><title>wordspot</title><p>The page was not built: run make page.</p>"
