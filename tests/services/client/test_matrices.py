from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from wordspot import Client, FileQuery, RecordingFilter, StoredQuery, TypedQuery
from wordspot.indexer.records import Hit
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.answers import SearchAnswer
from wordspot.services.client.matrices import MatrixBuilder, keyword_of


def hit(recording: str, *, detected: bool, p: float = 0.5) -> Hit:
    return Hit(recording, f"/{recording}.wav", 1.0, 2.0, 3.0, detected, p)


def test_places_are_counted_by_keyword_and_recording() -> None:
    builder = MatrixBuilder()
    builder.add(
        "tea", SearchAnswer((hit("b", detected=True), hit("a", detected=False), hit("b", detected=True)))
    )
    builder.add("lost", SearchAnswer(problem="no such file"))
    builder.add("milk", SearchAnswer((hit("b", detected=False, p=0.09), hit("c", detected=False, p=0.1))))
    matrix = builder.matrix()
    assert matrix.recordings == (("a", "/a.wav"), ("b", "/b.wav"), ("c", "/c.wav"))
    assert matrix.counts == (((0, 1), (2, 0), (0, 0)), ((0, 0),) * 3, ((0, 0), (0, 0), (0, 1)))
    assert matrix.problems == {"lost": "no such file"}
    assert list(matrix.rows())[:2] == [
        ["recording", "path", "tea", "tea uncertain", "lost", "lost uncertain", "milk", "milk uncertain"],
        ["a", "/a.wav", 0, 1, "", "", 0, 0],
    ]


def test_columns_of_a_matrix_have_names_of_their_own() -> None:
    builder = MatrixBuilder()
    for label in ("path", "tea", "tea", "tea uncertain"):
        builder.add(label, SearchAnswer((hit("a", detected=True),)))
    header, row = builder.matrix().rows()
    assert len(set(header)) == len(header) == len(row)
    assert header[:6] == ["recording", "path", "path (2)", "path (2) uncertain", "tea", "tea uncertain"]


def test_keywords_are_named_by_what_their_queries_have() -> None:
    assert keyword_of("words/tea.wav") == "tea"
    assert keyword_of([FileQuery(Path("a.wav"), label="tea"), "b.wav"]) == "tea"
    assert keyword_of(TypedQuery("tea")) == "tea"
    assert keyword_of(StoredQuery("r", 1.0, 2.5)) == "r 1-2.5"
    assert keyword_of(b"...") == ""


def test_a_matrix_of_a_server_counts_what_searches_find(
    running: Callable[..., SimpleNamespace],
    recordings: dict[str, Path],
    tmp_path: Path,
    say: Callable[..., np.ndarray],
) -> None:
    for word in ("tea", "milk"):
        (tmp_path / f"{word}-query.wav").write_bytes(write_wav(say(word, voice=9)))
    queries = [tmp_path / "tea-query.wav", tmp_path / "missing.wav", tmp_path / "milk-query.wav"]
    with Client(running().address) as client:
        client.index(recordings.values())
        matrix = client.matrix(queries)
        assert matrix.keywords == ("tea-query", "missing", "milk-query")
        assert "cannot read" in matrix.problems["missing"]
        for query, row in ((queries[0], matrix.counts[0]), (queries[2], matrix.counts[2])):
            hits = client.search(query, top=1_000)
            detected = {path: sum(hit.path == path for hit in hits) for _, path in matrix.recordings}
            assert [count for count, _ in row] == list(detected.values())
            assert sum(detected.values()) == 2
        confined = client.matrix(queries[:1], filter=RecordingFilter(paths=("both.wav",)))
        assert [Path(path).stem for _, path in confined.recordings] == ["both"]
