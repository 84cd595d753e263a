from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wordspot.indexer.sound.audio import write_wav

DEFAULT = "/archives/default"


def audio(samples: Any) -> dict[str, str]:
    return {"audio": base64.b64encode(write_wav(samples)).decode()}


@pytest.fixture
def ids(served: Any, recordings: dict[str, Path]) -> dict[str, str]:
    found: dict[str, str] = served.index(*recordings.values())
    return found


def test_tags_are_set_removed_counted_and_select_recordings(served: Any, ids: dict[str, str]) -> None:
    path = f"{DEFAULT}/recordings/{ids['tea']}"
    tea = served.ask("PATCH", path, {"tags": {"place": "Gent", "date": "2020"}})
    assert tea["tags"] == {"date": "2020", "place": "Gent"}
    tea = served.ask("PATCH", path, {"tags": {"date": None}})
    assert tea["tags"] == {"place": "Gent"}
    updates = [
        {"recording": ids["milk"], "tags": {"place": "Gent"}},
        {"recording": "none", "tags": {"a": "b"}},
    ]
    changed = served.ask("PATCH", f"{DEFAULT}/recordings", {"updates": updates})["updates"]
    assert [bool(update["problem"]) for update in changed] == [False, True]
    (count,) = served.ask("GET", f"{DEFAULT}/tags")["tags"]
    assert count == {"key": "place", "value": "Gent", "recordings": 2}
    listed = served.ask("GET", f"{DEFAULT}/recordings?tag=place=Gent&path=*.wav&state=indexed")
    assert {recording["id"] for recording in listed["recordings"]} == {ids["tea"], ids["milk"]}
    assert listed["total"] == 2
    assert served.refuse(422, "GET", f"{DEFAULT}/recordings?tag=place")["field"] == "tag"
    bad = served.refuse(400, "PATCH", f"{DEFAULT}/recordings/{ids['tea']}", {"tags": {"Not a key": "x"}})
    assert "Not a key" in bad["detail"]
    served.refuse(404, "PATCH", f"{DEFAULT}/recordings/none", {"tags": {}})


def test_a_search_is_confined_by_a_filter(served: Any, ids: dict[str, str], say: Any) -> None:
    served.ask("PATCH", f"{DEFAULT}/recordings/{ids['both']}", {"tags": {"speaker": "Ann"}})
    body = {
        "queries": [{"examples": [audio(say("tea", voice=9))]}],
        "filter": {"tags": {"speaker": "Ann"}},
    }
    (result,) = served.ask("POST", f"{DEFAULT}/search", body)["results"]
    assert {hit["recording"] for hit in result["hits"]} == {ids["both"]}
    body["filter"] = {"tag": {}}
    assert served.refuse(422, "POST", f"{DEFAULT}/search", body)["field"] == "filter.tag"


def test_verdicts_are_stored_shown_with_hits_and_deleted(served: Any, ids: dict[str, str], say: Any) -> None:
    query = {"label": "tea", "examples": [audio(say("tea", voice=9))]}
    (result,) = served.ask("POST", f"{DEFAULT}/search", {"queries": [query]})["results"]
    first = result["hits"][0]
    assert first["verdict"] is None
    verdict = {
        "recording": first["recording"],
        "interval": {"start_seconds": first["start"], "end_seconds": first["end"]},
        "query": "tea",
        "correct": True,
        "author": "ann",
        "score": first["score"],
    }
    (stored,) = served.ask("POST", f"{DEFAULT}/verdicts", {"verdicts": [verdict]})["verdicts"]
    page = served.ask("GET", f"{DEFAULT}/verdicts?query=tea&correct=true")
    assert (page["verdicts"], page["total_size"]) == ([stored], 1)
    (again,) = served.ask("POST", f"{DEFAULT}/search", {"queries": [query]})["results"]
    assert again["hits"][0]["verdict"] == {"id": stored["id"], "correct": True, "author": "ann"}
    assert served.api("DELETE", f"{DEFAULT}/verdicts/{stored['id']}").status_code == 204
    assert served.ask("GET", f"{DEFAULT}/verdicts")["verdicts"] == []
    assert served.refuse(422, "DELETE", f"{DEFAULT}/verdicts")["field"] == "id"


def test_keywords_are_counted_by_recording(
    served: Any, ids: dict[str, str], say: Any, events: Callable[..., Any]
) -> None:
    queries = [
        {"label": "tea", "examples": [audio(say("tea", voice=9))]},
        {"label": "bad", "examples": [{"recording": "none", "start": 0, "end": 1}]},
    ]
    table = served.ask("POST", f"{DEFAULT}/matrix", {"queries": queries})
    assert [(row["label"], row["problem"] is None) for row in table["keywords"]] == [
        ("tea", True),
        ("bad", False),
    ]
    columns = [column["id"] for column in table["recordings"]]
    assert table["counts"][0][columns.index(ids["tea"])][0] >= 1
    assert table["counts"][0][columns.index(ids["both"])][0] >= 1
    assert table["counts"][1] == [[0, 0]] * len(columns)
    sent = events(served.api("POST", f"{DEFAULT}/matrix/stream", {"queries": queries}))
    assert [name for name, _ in sent] == ["keyword", "keyword", "end"]
    assert sent[-1][1]["counts"] == table["counts"]
    assert (
        served.refuse(422, "POST", f"{DEFAULT}/matrix", {"queries": queries, "min_p": 2})["field"] == "min_p"
    )


def test_hits_become_files_of_other_programs(served: Any, ids: dict[str, str]) -> None:
    place = {"query": "tea", "start": 1.6, "end": 2.2, "score": 7.5}
    hits = [place | {"recording": ids[name]} for name in ("tea", "both")]
    table = served.api("POST", f"{DEFAULT}/export", {"format": "csv", "hits": hits})
    assert table.headers["Content-Type"].startswith("text/csv")
    assert 'filename="hits.csv"' in table.headers["Content-Disposition"]
    assert len(table.text.splitlines()) == 3
    archive = served.api("POST", f"{DEFAULT}/export", {"format": "textgrid", "hits": hits})
    assert archive.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        assert sorted(file.namelist()) == ["both.TextGrid", "tea.TextGrid"]
        data = file.read("tea.TextGrid")
    read = served.ask("POST", f"{DEFAULT}/import/tiers", files={"file": ("tea.TextGrid", data)})
    assert [tier["name"] for tier in read["tiers"]] == ["tea"]
    assert next(each for each in read["tiers"][0]["annotations"] if each["text"])["start"] == 1.6
    assert read["recording"] == ids["tea"]
    served.refuse(404, "POST", f"{DEFAULT}/export", {"format": "csv", "hits": [place | {"recording": "x"}]})
    assert served.refuse(422, "POST", f"{DEFAULT}/export", {"format": "doc", "hits": []})["field"] == "format"
    told = served.refuse(400, "POST", f"{DEFAULT}/import/tiers", files={"file": ("a.doc", b"x")})
    assert "must end in" in told["detail"]


def test_verdicts_become_a_file(served: Any, ids: dict[str, str]) -> None:
    verdict = {
        "recording": ids["tea"],
        "interval": {"start_seconds": 1.5, "end_seconds": 2.0},
        "query": "tea",
        "correct": True,
    }
    served.ask("POST", f"{DEFAULT}/verdicts", {"verdicts": [verdict]})
    lines = served.api("POST", f"{DEFAULT}/export", {"format": "jsonl", "verdicts": {"correct": True}})
    assert [json.loads(line)["query"] for line in lines.text.splitlines()] == ["tea"]
    none = served.api("POST", f"{DEFAULT}/export", {"format": "jsonl", "verdicts": {"correct": False}})
    assert none.text.strip() == ""
