from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wordspot.services import readiness
from wordspot.services.modelhost.app import embedding_service
from wordspot.services.runtime import create_server
from wordspot.services.searcher.app import NAMES, Searcher
from wordspot.services.segmenter.app import segmenters
from wordspot.services.segmenter.app import service as segmenter_service
from wordspot.services.settings import SearcherSettings, SegmenterSettings, ServerSettings

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ARCHIVES, SEARCHES = NAMES


def states(channel: grpc.Channel, name: str) -> Any:
    request = health_pb2.HealthCheckRequest(service=name)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=120)


def test_search_is_ready_with_its_peers_and_archives_with_their_home(
    tmp_path: Path,
    serving: Callable[..., Any],
    offering: Callable[..., Any],
    band_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.05)
    segmenter = segmenter_service(segmenters(SegmenterSettings(detector="energy")))
    peers = [segmenter, embedding_service(offering(band_encoder()))]
    peer, port = create_server(peers, ServerSettings())
    peer.start()
    home, address = tmp_path / "home", f"127.0.0.1:{port}"
    options = SearcherSettings(home=home, isolate=False, segmenter=address, modelhost=address)
    with closing(Searcher(options)) as searcher:
        channel, _ = serving(*searcher.services)
        archives, searches = states(channel, ARCHIVES), states(channel, SEARCHES)
        assert [next(archives).status, next(searches).status] == [SERVING, SERVING]
        home.rename(tmp_path / "elsewhere")
        assert next(archives).status == NOT_SERVING
        (tmp_path / "elsewhere").rename(home)
        assert next(archives).status == SERVING
        peer.stop(0)
        assert NOT_SERVING in (answer.status for answer in searches)
        again, _ = create_server(peers, ServerSettings(port=port))
        again.start()
        assert SERVING in (answer.status for answer in searches)
        again.stop(0)
