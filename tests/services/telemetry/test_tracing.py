"""Traces of real servers: a query is one trace, from the call to the alignment, across processes."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wordspot import Client
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.errors import ServiceError
from wordspot.services.settings import SearcherSettings, SegmenterSettings, ServerSettings
from wordspot.services.telemetry.tracing import Tracer, current_traceparent


def spans_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def traced(
    tmp_path: Path, offering: Callable[..., Any], band_encoder: Callable[..., Any]
) -> Callable[..., SimpleNamespace]:
    """Returns a server around a fake encoder, to be entered, that traces to a file."""

    def make(**settings: Any) -> SimpleNamespace:
        encoder = band_encoder()
        server = EmbeddedServer(
            EmbeddedSettings(
                segmenter=SegmenterSettings(detector="energy"),
                searcher=SearcherSettings(
                    home=tmp_path / "home", isolate=False, default_encoder=encoder.name, scrub_hours=0
                ),
                server=ServerSettings(**settings),
            ),
            offering(encoder),
        )
        return SimpleNamespace(server=server, address=server.address)

    return make


def test_a_query_is_one_trace_whose_spans_are_the_stages(
    traced: Callable[..., SimpleNamespace], recordings: dict[str, Path], tmp_path: Path
) -> None:
    it = traced(traces=str(tmp_path / "traces.jsonl"))
    with it.server, Client(it.address) as client:
        client.index(recordings.values())
        client.search(recordings["tea"], all_hits=True)
    traces = defaultdict(list)
    for span in spans_of(tmp_path / "traces.jsonl"):
        traces[span["context"]["trace_id"]].append(span)
    (query,) = [spans for spans in traces.values() if any("/Search" in span["name"] for span in spans)]
    root = next(span for span in query if span["parent_id"] is None)
    assert root["name"] == "wordspot.v1.SearchService/Search"
    stages = {span["name"] for span in query if span is not root}
    assert {"end-pointing", "embedding", "candidates", "alignment"} <= stages
    assert {span["parent_id"] for span in query if span is not root} >= {root["context"]["span_id"]}


def test_a_trace_goes_on_from_the_callers(traced: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    it = traced(traces=str(tmp_path / "server.jsonl"))
    caller = Tracer(str(tmp_path / "caller.jsonl"), "caller")
    with it.server, Client(it.address) as client, caller.stage("the caller's"):
        parent = current_traceparent().split("-")
        list(client.archives())
    caller.close()
    (span,) = spans_of(tmp_path / "server.jsonl")
    assert span["context"]["trace_id"] == f"0x{parent[1]}"
    assert span["parent_id"] == f"0x{parent[2]}"


def test_a_call_that_fails_is_marked(traced: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    it = traced(traces=str(tmp_path / "traces.jsonl"))
    with it.server, Client(it.address) as client, pytest.raises(Exception, match="no archive"):
        client.archive("nothing")
    (span,) = spans_of(tmp_path / "traces.jsonl")
    assert span["status"]["status_code"] == "ERROR"
    assert span["status"]["description"] == "NotFound"


def test_a_file_that_cannot_be_written_is_named(
    traced: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=f"cannot write traces to {tmp_path}"):
        traced(traces=str(tmp_path))


def test_nothing_of_opentelemetry_is_imported_where_nothing_is_traced() -> None:
    program = (
        "import sys; from wordspot.services.runtime import create_server\n"
        "from wordspot.services.settings import ServerSettings\n"
        "create_server([], ServerSettings())\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
