from __future__ import annotations

from pathlib import Path

from wordspot.indexer.archive.attempts import Attempts


def test_what_was_begun_and_not_ended_is_counted_by_the_next_process(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    for _ in range(11):
        attempts.begin("died")
    attempts.begin("done")
    attempts.end(["done", "never begun"])
    assert Attempts(tmp_path).counts() == {"died": 11}


def test_a_disk_that_takes_no_note_stops_nothing(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path / "absent")
    attempts.begin("one")
    attempts.end(["one"])
    assert attempts.counts() == {}
    (tmp_path / "damaged").write_text("nonsense")
    assert Attempts(tmp_path).counts() == {"damaged": 0}
