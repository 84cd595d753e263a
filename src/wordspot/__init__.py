"""Spoken-term retrieval: `Client` and `AsyncClient` for archives and search, `Models` for the model service.

What lies below is imported at first use. The packages are links to the folders of the repository that hold
them, so that tools see in a checkout what an installation has.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# onnxruntime reports to its makers unless this stands before its import; no process of ours sends anything.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from wordspot.services.access.credentials import Credentials as Credentials
    from wordspot.services.client.archives import Client as Client
    from wordspot.services.client.async_archives import AsyncClient as AsyncClient
    from wordspot.services.client.models import Models as Models
    from wordspot.services.client.models import Sound as Sound
    from wordspot.services.client.tag_tables import read_tag_table as read_tag_table
    from wordspot.services.examples import FileQuery as FileQuery
    from wordspot.services.examples import StoredQuery as StoredQuery
    from wordspot.services.examples import TypedQuery as TypedQuery
    from wordspot.services.recording_filters import RecordingFilter as RecordingFilter
    from wordspot.services.verdict_messages import Verdict as Verdict

    __version__: str
else:

    def __getattr__(name: str) -> object:
        import importlib
        from importlib import metadata

        if name == "__version__":
            return metadata.version("wordspot-client")
        if name in _MODULES:
            return getattr(importlib.import_module(_MODULES[name]), name)
        raise AttributeError(f"module 'wordspot' has no attribute {name!r}")


__all__ = [
    "AsyncClient",
    "Client",
    "Credentials",
    "FileQuery",
    "Models",
    "RecordingFilter",
    "Sound",
    "StoredQuery",
    "TypedQuery",
    "Verdict",
    "__version__",
    "read_tag_table",
]

_MODULES = {
    name: f"wordspot.services.{module}"
    for module, names in {
        "access.credentials": ("Credentials",),
        "client.archives": ("Client",),
        "client.async_archives": ("AsyncClient",),
        "client.models": ("Models", "Sound"),
        "client.tag_tables": ("read_tag_table",),
        "examples": ("FileQuery", "StoredQuery", "TypedQuery"),
        "recording_filters": ("RecordingFilter",),
        "verdict_messages": ("Verdict",),
    }.items()
    for name in names
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
