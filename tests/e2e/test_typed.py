"""Typed words, found in real speech by what a synthesiser says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Forks, Sample, Wordspot

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def heard(forks: Forks, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Wordspot:
    """A dozen recordings with the default encoder: to the naive one a synthesiser is too unlike people."""
    from tests.e2e.conftest import Wordspot

    heard = Wordspot(forks, tmp_path_factory.mktemp("typed") / "home")
    heard.ask("index", *sample.dozen, "--encoder", "phonetic")
    return heard


def test_the_best_hits_of_a_typed_word_hold_it_and_say_that_nobody_spoke(
    heard: Wordspot, sample: Sample
) -> None:
    answer = heard.ask("search", "--say", "conference", "--all-hits", "--top", 3)
    assert {"query", "hits", "synthesis"} <= answer.keys()
    assert answer["query"] == "conference"
    assert answer["synthesis"]["synthesiser"].startswith("espeak-ng ")
    assert (answer["synthesis"]["language"], len(answer["synthesis"]["speakers"])) == ("en", 4)
    assert all("conference" in sample.heard(hit) for hit in answer["hits"])


def test_people_read_by_whom_it_was_said(heard: Wordspot) -> None:
    for speakers, voices in ((1, "1 voice"), (2, "2 voices")):
        ended = heard.run("search", "--say", "tea", "--language", "en_US", "--speakers", speakers)
        assert (ended.code, ended.errors) == (0, "")
        first = ended.output.splitlines()[0]
        assert first.startswith("spoken by espeak-ng 1.")
        assert first.endswith(f" in {voices} (en-us); not a recording")


def test_a_confirmed_hit_is_a_further_example(heard: Wordspot) -> None:
    best = heard.ask("search", "--say", "conference", "--all-hits", "--top", 1)["hits"][0]
    stretch = ("--recording", best["recording"], "--start", best["start"], "--end", best["end"])
    answer = heard.ask("search", "--say", "conference", *stretch, "--all-hits", "--top", 1)
    assert answer["hits"][0]["path"] == best["path"]
    assert answer["hits"][0]["score"] > best["score"]
    assert "synthesis" in answer


def test_a_batch_holds_typed_lines_beside_paths(heard: Wordspot, sample: Sample, tmp_path: Path) -> None:
    batch = tmp_path / "queries.tsv"
    batch.write_text(f"say\tconference\n{sample.query('message')}\nsay\t!\n")
    ended = heard.run("search", "--batch", batch, "--speakers", 2, "--json")
    assert (ended.code, ended.errors) == (2, "wordspot: 1 of 3 queries could not be answered\n")
    typed, spoken, refused = ended.answers
    assert (len(typed["synthesis"]["speakers"]), "synthesis" in spoken) == (2, False)
    assert typed["query"] == "say\tconference"
    assert "must have a letter or digit" in refused["problem"]


@pytest.mark.parametrize(
    "arguments", ["--say tea QUERY", "--say tea --batch QUERY", "QUERY --language de", "QUERY --speakers 2"]
)
def test_what_does_not_go_together_is_refused(heard: Wordspot, sample: Sample, arguments: str) -> None:
    query = str(sample.query("message"))
    ended = heard.run("search", *(query if part == "QUERY" else part for part in arguments.split()))
    assert (ended.code, ended.output) == (2, "")
    assert "--say" in ended.errors
