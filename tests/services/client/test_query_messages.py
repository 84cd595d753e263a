"""Tests of services.client.query_messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot import FileQuery
from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SAMPLE_RATE
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.client.query_messages import check_search_options, query_requests
from wordspot.services.limits import MAX_QUERY_BYTES


@pytest.mark.parametrize(("query", "kind"), [(None, "NoneType"), (3, "int"), ([b"RIFF", 3.5], "float")])
def test_what_is_no_query_is_refused_by_its_type(query: Any, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"a query must be a path, bytes, .* got {kind}"):
        list(query_requests(query))


@pytest.fixture
def two_seconds(tmp_path: Path) -> Path:
    path = tmp_path / "two.wav"
    path.write_bytes(write_wav(np.full(2 * SAMPLE_RATE, 0.1, np.float32)))
    return path


@pytest.mark.parametrize(("start", "end"), [(30.0, 31.0), (8.0, 8.5)])
def test_a_stretch_behind_the_end_of_a_file_is_refused_by_its_own_seconds(
    two_seconds: Path, start: float, end: float
) -> None:
    with pytest.raises(InvalidInput, match=rf"two\.wav ends before {start:g} s"):
        list(query_requests(FileQuery(two_seconds, start, end)))


@pytest.mark.parametrize(("start", "end"), [(6.0, 6.5), (1.5, 2.1)])
def test_a_stretch_across_the_end_of_a_file_is_told_where_it_ends(
    two_seconds: Path, start: float, end: float
) -> None:
    with pytest.raises(InvalidInput, match=rf"ends at 2\.00 s, got {start:g} to {end:g} s"):
        list(query_requests(FileQuery(two_seconds, start, end)))


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the client alone is installed."""
    monkeypatch.setitem(sys.modules, "wordspot.indexer.sound.audio", None)


@pytest.mark.usefixtures("no_decoder")
def test_without_the_decoder_the_server_is_to_cut_a_stretch_of_the_whole_file(two_seconds: Path) -> None:
    header, *rest = query_requests(FileQuery(two_seconds, 0.5, 1.25, label="tea", channel=1))
    assert (header.query.label, header.query.channel) == ("tea", 1)
    assert (header.query.interval.start_seconds, header.query.interval.end_seconds) == (0.5, 1.25)
    assert b"".join(each.chunk for each in rest) == two_seconds.read_bytes()


@pytest.mark.usefixtures("no_decoder")
def test_without_the_decoder_a_stretch_of_too_large_a_file_is_refused_with_what_to_install(
    tmp_path: Path,
) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(MAX_QUERY_BYTES + 1)
    with pytest.raises(
        InvalidInput, match=rf"at most {MAX_QUERY_BYTES:,} bytes, got .*large\.wav .*pip install wordspot$"
    ):
        list(query_requests(FileQuery(large, 0.5, 1.25)))


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("name", ["absent.wav", "."])
def test_without_the_decoder_a_stretch_of_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read .*absent|is not a regular file"):
        list(query_requests(FileQuery(tmp_path / name, 0.5, 1.25)))


@pytest.mark.parametrize("top", [0, -1, 10_001])
def test_a_number_of_hits_outside_its_limits_is_refused(top: int) -> None:
    with pytest.raises(InvalidInput, match=rf"top must be between 1 and 10,000, got {top}"):
        check_search_options(top, None)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_least_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(InvalidInput, match=f"min_score must be a finite number, got {score}"):
        check_search_options(1, score)
