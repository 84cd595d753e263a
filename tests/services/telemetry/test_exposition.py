"""Figures as Prometheus reads them from a real server."""

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from wordspot import Client
from wordspot.indexer.errors import NotFound
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.errors import ServiceError
from wordspot.services.settings import SearcherSettings, SegmenterSettings, ServerSettings
from wordspot.services.telemetry.exposition import served


def figures(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_calls_stages_and_archives_are_counted(
    tmp_path: Path,
    offering: Callable[..., Any],
    band_encoder: Callable[..., Any],
    recordings: dict[str, Path],
) -> None:
    encoder = band_encoder()
    settings = EmbeddedSettings(
        segmenter=SegmenterSettings(detector="energy"),
        searcher=SearcherSettings(home=tmp_path / "home", isolate=False, default_encoder=encoder.name),
        server=ServerSettings(metrics_port=0),
    )
    with EmbeddedServer(settings, offering(encoder)) as server, Client(server.address) as client:
        client.index(recordings.values())
        for _ in range(3):
            client.search(recordings["tea"], all_hits=True)
        with pytest.raises(NotFound):
            client.archive("nothing")
        found = figures(server.metrics_port or 0)
    assert found["wordspot_calls_total", (("method", "Search"), ("status", "OK"))] == 3
    assert found["wordspot_calls_total", (("method", "GetArchive"), ("status", "NOT_FOUND"))] == 1
    assert found["wordspot_calls_total", (("method", "UploadRecording"), ("status", "OK"))] == len(recordings)
    assert found["wordspot_call_seconds_count", (("method", "Search"),)] == 3
    for stage in ("end-pointing", "embedding", "candidates", "alignment"):
        assert found["wordspot_stage_seconds_count", (("stage", stage),)] >= 3
    of_archive = (("archive", "default"),)
    assert found["wordspot_archive_indexed_recordings", of_archive] == len(recordings)
    assert found["wordspot_archive_quarantined_segments", of_archive] == 0
    assert found["wordspot_search_queue", ()] == 0
    assert found["wordspot_calls_active", ()] == 0


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ServiceError, match=f"metrics at 127.0.0.1:{port}"),
            served(lambda: [], "127.0.0.1", port),
        ):
            pass
