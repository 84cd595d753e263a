"""Servers that ask for tokens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wordspot import Client, Credentials
from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import TokenFile
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.settings import (
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def guarded(
    tmp_path: Path, offering: Callable[..., Any], band_encoder: Callable[..., Any]
) -> Iterator[Callable[..., SimpleNamespace]]:
    """Starts all services around a fake encoder, as the settings of the server say."""
    with ExitStack() as closing:

        def start(**settings: Any) -> SimpleNamespace:
            encoder = band_encoder()
            TokenFile(tmp_path / "tokens.json").create("of the fixture", Scope.READ)
            server = EmbeddedServer(
                EmbeddedSettings(
                    segmenter=SegmenterSettings(detector="energy"),
                    searcher=SearcherSettings(
                        home=tmp_path / "home",
                        roots=(tmp_path,),
                        isolate=False,
                        default_encoder=encoder.name,
                    ),
                    server=ServerSettings(**({"tokens": tmp_path / "tokens.json"} | settings)),
                ),
                offering(encoder),
            )
            closing.enter_context(server)

            def client(token: str = "", **files: Any) -> Client:
                it = Client(
                    server.address,
                    retry_timeout=0,
                    credentials=Credentials(token, **files),
                )
                closing.callback(it.close)
                return it

            return SimpleNamespace(address=server.address, client=client)

        yield start
