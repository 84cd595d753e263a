"""The services as processes of their own, as `wordspot serve` starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from grpc_requests import Client as ReflectionClient

from wordspot import Client, FileQuery, StoredQuery
from wordspot.indexer.records import Hit
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.examples import Query

Start = Callable[..., list[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs `wordspot serve` with each list of arguments; returns the addresses once all are ready."""
    processes: list[subprocess.Popen[str]] = []
    environment = os.environ | {
        "WORDSPOT_HOME": str(tmp_path / "served"),
        "WORDSPOT_DETECTOR": "energy",
        "WORDSPOT_DEFAULT_ENCODER": "naive",
        "OMP_NUM_THREADS": "1",
    }

    def run(*commands: Sequence[str]) -> list[str]:
        started = []
        for arguments in commands:
            command = [sys.executable, "-m", "wordspot.services.cli", "serve", *arguments, "--port", "0"]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
            )
            started.append(process)
        processes.extend(started)
        return [process.stdout.readline().split()[-1] for process in started if process.stdout]

    yield run
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        with process:
            assert process.wait(30) == 0


def comparable(hits: list[Hit]) -> list[tuple[str, float, float, float]]:
    """Without the recordings' ids, which are drawn."""
    return [(hit.path, hit.start, hit.end, hit.score) for hit in hits]


def answers(client: Client, paths: dict[str, Path], queries: list[Query]) -> list[Any]:
    client.index(paths.values())
    of = {recording.path: recording.id for recording in client.recordings()}
    stored = StoredQuery(of[str(paths["both"])], 2.7, 3.3)
    found = client.search_batch([*queries, stored], top=20, all_hits=True)
    return [(comparable(list(answer.hits)), answer.compared) for answer in found]


def test_three_processes_answer_like_one(
    start: Start, recordings: dict[str, Path], say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    query = tmp_path / "tea.wav"
    query.write_bytes(write_wav(say("tea", voice=9)))
    queries: list[Query] = [query, FileQuery(recordings["milk"], 0.5, 1.1)]
    segmenter, modelhost = start(["segmenter"], ["modelhost"])
    (searcher,) = start(["searcher", "--segmenter", segmenter, "--modelhost", modelhost])
    with Client(searcher) as client:
        apart = answers(client, recordings, queries)
    with Client(home=tmp_path / "home") as client:
        together = answers(client, recordings, queries)
    assert apart == together
    assert all(hits for hits, _ in apart)


def test_one_process_serves_all_and_a_reflection_client_can_search(
    start: Start, recordings: dict[str, Path]
) -> None:
    (address,) = start(["all", "--reflection"])
    with Client(address) as client:
        client.index(recordings.values())
        tea = next(r.id for r in client.recordings() if r.path == str(recordings["tea"]))
    reflection = ReflectionClient.get_by_endpoint(address)
    try:
        names = ("SegmentationService", "EmbeddingService", "ArchiveService", "SearchService")
        assert {f"wordspot.v1.{name}" for name in names} <= set(reflection.service_names)
        interval = {"start_seconds": 1.6, "end_seconds": 2.2}
        answer = reflection.request(
            "wordspot.v1.SearchService",
            "SearchStored",
            {
                "options": {"archive": "default", "include_undetected": True},
                "queries": [{"label": "tea", "recording": tea, "interval": interval}],
            },
        )
    finally:
        reflection.channel.close()
    assert answer["results"][0]["hits"][0]["recording"] == tea
