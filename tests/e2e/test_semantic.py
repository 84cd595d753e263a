"""Meanings learned from the sample archive, and searched by: as a user would from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Forks, Sample, Wordspot


@pytest.fixture(scope="module")
def heard(forks: Forks, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Wordspot:
    """The sample archive, indexed with the default encoder and with meanings that were learned from it."""
    from tests.e2e.conftest import Wordspot

    heard = Wordspot(forks, tmp_path_factory.mktemp("semantic") / "home")
    heard.ask("index", *sample.recordings, "--encoder", "phonetic")
    ended = heard.run("train", "semantic", "--json")
    assert ended.code == 0, ended.errors
    assert ended.answers[0]["metrics"]["context_accuracy"] > 0.5
    heard.ask("index", *sample.recordings, "--archive", "meant", "--encoder", "semantic")
    return heard


def test_every_mode_answers_and_sound_finds_what_the_parent_finds(heard: Wordspot, sample: Sample) -> None:
    asked = ("search", sample.query("message"), "--all-hits", "--top", 3)
    widely = ("search", sample.query("message"), "--all-hits", "--top", 30)
    modes = {mode: heard.ask(*asked, "-a", "meant", "--mode", mode)["hits"] for mode in ("sound", "both")}
    # The parent runs as a graph in bytes, its copy within `semantic` in torch: scores differ by some percent,
    # so places of the first rank are looked for in a longer ranking.
    best: dict[str, float] = {}
    for hit in heard.ask(*widely)["hits"]:
        best.setdefault(hit["path"], hit["score"])
    assert {hit["path"] for hit in modes["sound"]} <= best.keys()
    assert all(abs(best[hit["path"]] - hit["score"]) < 0.1 * best[hit["path"]] for hit in modes["sound"])
    assert all("message" in sample.heard(hit) for hit in modes["sound"])
    assert len(modes["both"]) == 3
    meant = heard.ask(*asked, "-a", "meant", "--mode", "meaning")["hits"]
    assert [hit["score"] for hit in meant] == sorted((hit["score"] for hit in meant), reverse=True)
    assert meant != modes["sound"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("search QUERY --mode meaning", "'phonetic' represents how words sound, not what they mean"),
        ("search QUERY --mode smell", "'smell' is not one of"),
        ("train semantic --data .", "semantic learns from an indexed archive in one go"),
        ("train semantic --archive nowhere", "no archive 'nowhere'"),
        ("train semantic --archive meant", "an encoder of how spans sound is allowed"),
        ("train contrastive --data . --archive default", "--archive default goes with semantic"),
    ],
)
def test_mistakes_are_told_in_a_line(heard: Wordspot, sample: Sample, arguments: str, told: str) -> None:
    query = str(sample.query("message"))
    ended = heard.run(*(query if part == "QUERY" else part for part in arguments.split()))
    assert (ended.code, ended.output) == (2, "")
    assert told in " ".join(ended.errors.replace("│", " ").split())
