from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wordspot import Client
from wordspot.indexer.records import SPEED_VARIANTS, Mode
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.gateway.search_schemas import SearchBody

SEARCH = "/archives/default/search"


@pytest.fixture
def tea(say: Any) -> bytes:
    return write_wav(say("tea", voice=9))


def audio(data: bytes, **others: Any) -> dict[str, Any]:
    return {"audio": base64.b64encode(data).decode(), **others}


def test_http_and_grpc_give_the_same_hits(served: Any, recordings: dict[str, Path], tea: bytes) -> None:
    served.index(*recordings.values())
    with Client(served.address) as client:
        told = client.search(tea, top=20, all_hits=True)
    body = {"queries": [{"examples": [audio(tea)]}], "top": 20}
    (result,) = served.ask("POST", SEARCH, body)["results"]
    assert result["hits"] == [vars(hit) | {"verdict": None} for hit in told]
    form = {"query": ("tea.wav", tea), "options": (None, json.dumps({"top": 20}))}
    (same,) = served.ask("POST", SEARCH, files=form)["results"]
    assert (same["hits"], same["label"]) == (result["hits"], "tea.wav")


def test_the_command_line_gives_the_same_hits(
    served: Any, recordings: dict[str, Path], tea: bytes, tmp_path: Path
) -> None:
    served.index(*recordings.values())
    query = tmp_path / "tea.wav"
    query.write_bytes(tea)
    command = [sys.executable, "-m", "wordspot.services.cli", "search", str(query), "--json", "--top", "20"]
    ended = subprocess.run(
        [*command, "--address", served.address], capture_output=True, text=True, check=True
    )
    body = {"queries": [{"examples": [audio(tea)]}], "top": 20}
    (result,) = served.ask("POST", SEARCH, body)["results"]
    told = json.loads(ended.stdout)["hits"]
    assert len(told) == len(result["hits"]) > 0
    for hit, same in zip(result["hits"], told, strict=True):
        assert {name: value for name, value in hit.items() if name in same} == same


def test_a_stretch_of_a_recording_and_a_file_are_examples_of_one_query(
    served: Any, recordings: dict[str, Path], tea: bytes
) -> None:
    ids = served.index(*recordings.values())
    stored = {"recording": ids["tea"], "start": 1.6, "end": 2.2}
    body = {"queries": [{"label": "both", "examples": [stored, audio(tea)]}, {"examples": [stored]}]}
    both, alone = served.ask("POST", SEARCH, body)["results"]
    assert (both["label"], alone["label"]) == ("both", "")
    assert both["hits"][0]["recording"] in (ids["tea"], ids["both"])
    assert alone["hits"][0]["recording"] == ids["tea"]


def test_of_several_queries_a_bad_one_has_a_problem(
    served: Any, recordings: dict[str, Path], tea: bytes, events: Callable[..., Any]
) -> None:
    served.index(*recordings.values())
    missing = {"label": "missing", "examples": [{"recording": "none", "start": 0, "end": 1}]}
    noise = {"label": "noise", "examples": [audio(b"no sound")]}
    body = {"queries": [missing, {"label": "tea", "examples": [audio(tea)]}, noise, missing]}
    results = served.ask("POST", SEARCH, body)["results"]
    assert [result["label"] for result in results] == ["missing", "tea", "noise", "missing"]
    assert [(result["problem"] or {}).get("status") for result in results] == [404, None, 400, 404]
    sent = events(served.api("POST", f"{SEARCH}/stream", body))
    assert [name for name, _ in sent] == ["result"] * 4 + ["end"]
    assert [data | {"seconds": 0} for _, data in sent[:4]] == [item | {"seconds": 0} for item in results]


def test_one_bad_query_alone_is_the_answers_problem(served: Any, recordings: dict[str, Path]) -> None:
    served.index(recordings["tea"])
    body = {"queries": [{"examples": [{"recording": "none", "start": 0, "end": 1}]}]}
    assert "no recording 'none'" in served.refuse(404, "POST", SEARCH, body)["detail"]
    assert "no recording 'none'" in served.refuse(404, "POST", f"{SEARCH}/stream", body)["detail"]


def test_nothing_certain_comes_with_advice(served: Any, recordings: dict[str, Path], say: Any) -> None:
    served.index(recordings["none"])
    body = {"queries": [{"examples": [audio(write_wav(say("zebra", voice=3)))]}]}
    (result,) = served.ask("POST", SEARCH, body)["results"]
    assert not any(hit["detected"] for hit in result["hits"])
    assert "more examples of the same words find more: one by each of several speakers" in result["advice"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "queries"),
        ({"queries": []}, 422, "queries"),
        ({"queries": [{}]}, 422, "queries[0]"),
        ({"queries": [{"text": "tea"}], "top": 0}, 422, "top"),
        ({"queries": [{"text": "tea"}], "tpo": 3}, 422, "tpo"),
        ({"queries": [{"text": "tea"}], "mode": "smell"}, 422, "mode"),
        ({"queries": [{"text": "tea"}], "speed_variants": 2}, 422, "speed_variants"),
        ({"queries": [{"examples": [{"audio": "!"}]}]}, 422, "queries[0].examples[0].audio"),
        ({"queries": [{"text": "tea"}] * 3, "top": 10_000}, 422, "queries"),
    ],
)
def test_a_request_that_is_wrong_names_the_field(served: Any, body: Any, status: int, field: str) -> None:
    assert served.refuse(status, "POST", SEARCH, body)["field"] == field


def test_a_body_that_is_no_json_and_another_type_are_refused(served: Any) -> None:
    headers = {"Content-Type": "application/json"}
    assert "must be JSON" in served.refuse(400, "POST", SEARCH, data=b"{", headers=headers)["detail"]
    assert served.refuse(415, "POST", SEARCH, data=b"a=b")["field"] == "Content-Type"
    form = {"other": ("tea.wav", b"")}
    assert "got 'other'" in served.refuse(422, "POST", SEARCH, files=form)["detail"]


def test_choices_are_those_of_the_archive() -> None:
    schema = SearchBody.model_json_schema()["properties"]
    assert schema["speed_variants"]["enum"] == list(SPEED_VARIANTS)
    assert schema["mode"]["enum"] == list(Mode)
