"""The command killed with the real encoder at work: what it had said is there, a next one does the rest."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample, Wordspot

Check = Callable[["Wordspot"], None]


@pytest.mark.parametrize("point", ["add-inspected", "add-committed", "segment-renamed", "batch-committed"])
def test_indexing_that_was_killed_is_completed_by_the_next(
    point: str, wordspot: Wordspot, sample: Sample, check_whole: Check
) -> None:
    index = ("index", *sample.dozen, "--encoder", "naive")
    killed = wordspot.run(*index, WORDSPOT_FAULT=point)
    assert (killed.code, killed.output) == (-signal.SIGKILL, "")
    report = wordspot.ask(*index)
    assert report["added"] + report["already_present"] == report["recordings"] == len(sample.dozen)
    kept = {"add-inspected": range(1), "add-committed": range(1, len(sample.dozen) + 1)}
    assert report["already_present"] in kept.get(point, [len(sample.dozen)])
    check_whole(wordspot)


def test_indexing_killed_at_any_moment_again_and_again_is_completed_by_the_next(
    wordspot: Wordspot, sample: Sample, check_whole: Check
) -> None:
    moments = random.Random(2016)
    for _ in range(2):
        ended = wordspot.run(
            "index", *sample.dozen, "--encoder", "naive", kill_after=moments.uniform(0.1, 1.0)
        )
        assert ended.code in (-signal.SIGKILL, 0)
    wordspot.ask("index", *sample.dozen, "--encoder", "naive")
    check_whole(wordspot)


def test_a_disk_that_fills_while_indexing_is_named_and_indexing_goes_on_once_there_is_room(
    wordspot: Wordspot, sample: Sample, check_whole: Check
) -> None:
    index = ("index", *sample.dozen, "--encoder", "naive")
    told = wordspot.refuse(*index, WORDSPOT_FAULT="segment-written:enospc")
    assert "no space left on the disk while" in told
    assert wordspot.ask("archive", "show")["indexed_recordings"] == 0
    report = wordspot.ask(*index)
    assert (report["already_present"], report["indexed"]) == (len(sample.dozen),) * 2
    check_whole(wordspot)


def test_a_change_of_encoder_that_was_killed_leaves_the_old_one_answering(
    few: Wordspot, sample: Sample, check_whole: Check
) -> None:
    change = ("index", sample.dozen[0], "--encoder", "sa")
    assert few.run(*change, WORDSPOT_FAULT="generation-ready").code == -signal.SIGKILL
    assert few.ask("archive", "show")["encoder"] == "naive"
    check_whole(few)
    report = few.ask(*change)
    assert (report["encoder"], report["indexed"]) == ("sa", 0)
    assert few.ask("archive", "show")["encoder"] == "sa"


def test_a_deletion_that_was_killed_after_its_commit_holds(
    few: Wordspot, sample: Sample, check_whole: Check
) -> None:
    doomed = few.ask("search", sample.query("password"))["hits"][0]
    delete = ("archive", "delete", "default", "--recording", doomed["recording"], "--yes")
    assert few.run(*delete, WORDSPOT_FAULT="recording-deleted").code == -signal.SIGKILL
    assert f"no recording '{doomed['recording']}'" in few.refuse(*delete)
    archive = few.ask("archive", "show")
    assert archive["recordings"] == archive["indexed_recordings"] == len(sample.dozen) - 1
    every = few.ask("search", sample.query("password"), "--all-hits", "--top", 10_000)["hits"]
    assert {hit["path"] for hit in every} == {str(path) for path in sample.dozen} - {doomed["path"]}
    assert few.ask("index", *sample.dozen)["added"] == 1
    check_whole(few)


def test_compaction_that_was_killed_changes_nothing_that_can_be_found(
    few: Wordspot, check_whole: Check
) -> None:
    assert few.ask("archive", "show")["segments"] > 1
    assert few.run("archive", "compact", WORDSPOT_FAULT="compaction-committed").code == -signal.SIGKILL
    assert few.ask("archive", "compact")["segments_after"] == 1
    check_whole(few)


def test_an_archive_whose_deletion_was_killed_leaves_no_files(few: Wordspot, sample: Sample) -> None:
    delete = ("archive", "delete", "default", "--yes")
    assert few.run(*delete, WORDSPOT_FAULT="archive-deleted").code == -signal.SIGKILL
    assert "no archive 'default'" in few.refuse(*delete)
    files, rows = few.contents()
    assert sorted(files) == ["identity", "reserve"]
    assert not any(rows.values())
    assert all(path.is_file() for path in sample.dozen)
