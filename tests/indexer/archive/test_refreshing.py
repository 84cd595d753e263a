"""Files that change, move and vanish while an archive knows them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from wordspot.indexer import faults
from wordspot.indexer.archive import refreshing
from wordspot.indexer.archive.additions import Addition, Unseen
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import FileStatus, RecordingState
from wordspot.indexer.archive.tables import OperationState, Recording
from wordspot.indexer.errors import FailedPrecondition

Open = Callable[..., Library]
Noise = Callable[..., Path]


@pytest.fixture
def reader(library: Library, open_library: Open) -> Iterator[Library]:
    """Another process's view of the same home."""
    with closing(open_library(read_only=True)) as opened:
        yield opened


def refreshed(library: Library, *folders: Path) -> list[tuple[FileStatus, str]]:
    """What has become of files, by name."""
    steps = list(library.refresh("words", folders))
    return [(change.status, Path(change.recording.path).name) for step in steps for change in step.changes]


def searched(library: Library) -> dict[str, bool]:
    """Names of the recordings that a search sees, and whether their files are missing."""
    return {Path(each.path).name: each.missing for each in library.view("words").recordings if each.alive}


def states(library: Library) -> dict[str, RecordingState]:
    return {Path(each.path).name: each.state for each in library.list_recordings("words").items}


def add(library: Library, *paths: Path) -> list[FileStatus]:
    lots = library.add_paths("words", [Addition(path) for path in paths])
    return [each.status if not isinstance(each, Exception) else each for lot in lots for each in lot]  # type: ignore[misc]


@pytest.fixture
def three(library: Library, noise: Noise, fakes: SimpleNamespace) -> dict[str, Path]:
    """Three recordings, indexed."""
    paths = {name: noise(name) for name in "abc"}
    assert add(library, *paths.values()) == [FileStatus.ADDED] * 3
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    return paths


def test_an_untouched_archive_has_no_changes(library: Library, three: dict[str, Path]) -> None:
    assert refreshed(library) == []
    assert searched(library) == {"a.wav": False, "b.wav": False, "c.wav": False}


def test_a_changed_file_is_searched_as_it_was_until_it_is_indexed_as_it_is(
    library: Library, reader: Library, three: dict[str, Path], noise: Noise, fakes: SimpleNamespace
) -> None:
    (old,) = [each for each in library.list_recordings("words").items if each.path == str(three["a"])]
    shutil.copy(noise("other", seconds=1.5), three["a"])
    assert refreshed(library, three["a"].parent) == [(FileStatus.CHANGED, "a.wav")]
    assert refreshed(library) == []
    for each in (library, reader):
        assert [entry.missing for entry in each.view("words").recordings if entry.id == old.id] == [True]
        assert library.get_recording("words", old.id).state is RecordingState.MISSING
    with pytest.raises(FailedPrecondition, match=r"a\.wav has .* bytes"):
        library.clip("words", old.id, 0.0, 0.5)
    assert library.prune("words") == ()
    seen: list[set[str]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            view = library.view("words")
            seen.append({each.id for each in view.recordings if each.alive and each.path == str(three["a"])})

    looking = threading.Thread(target=look)
    looking.start()
    fakes.index(library, "words")
    stop.set()
    looking.join()
    assert {len(ids) for ids in seen} == {1}
    for each in (library, reader):
        assert searched(each) == {"a.wav": False, "b.wav": False, "c.wav": False}
        assert old.id not in {entry.id for entry in each.view("words").recordings if entry.alive}
    assert set(states(library).values()) == {RecordingState.INDEXED}
    library.compact("words")
    assert len(library.view("words").recordings) == 3


def test_a_change_that_a_crash_interrupts_loses_neither(
    tmp_path: Path, open_library: Open, noise: Noise, fakes: SimpleNamespace
) -> None:
    library = open_library()
    library.create_archive("words")
    path = noise("a")
    add(library, path)
    fakes.index(library, "words")
    shutil.copy(noise("b", seconds=1.5), path)
    assert add(library, path) == [FileStatus.CHANGED]
    library.close()
    again = open_library()
    assert searched(again) == {"a.wav": True}
    faults.arm("segment-renamed", "enospc")
    assert fakes.index(again, "words").state is OperationState.FAILED
    assert searched(again) == {"a.wav": True}
    faults.disarm()
    fakes.index(again, "words")
    assert searched(again) == {"a.wav": False}


def test_a_file_that_is_no_audio_any_more_is_missing_and_its_sound_is_still_searched(
    library: Library, three: dict[str, Path]
) -> None:
    three["b"].write_text("no audio")
    ((change,),) = [step.changes for step in library.refresh("words") if step.changes]
    assert (change.status, "b.wav" in change.problem) == (FileStatus.MISSING, True)
    assert searched(library)["b.wav"] is True
    assert refreshed(library) == []


def test_missing_files_are_greyed_come_back_and_leave_when_pruned(
    library: Library, reader: Library, three: dict[str, Path], tmp_path: Path
) -> None:
    three["a"].rename(tmp_path / "elsewhere.wav")
    three["b"].unlink()
    assert refreshed(library) == [(FileStatus.MISSING, "a.wav"), (FileStatus.MISSING, "b.wav")]
    for each in (library, reader):
        assert searched(each) == {"a.wav": True, "b.wav": True, "c.wav": False}
    assert states(library)["a.wav"] is RecordingState.MISSING
    (tmp_path / "elsewhere.wav").rename(three["a"])
    assert refreshed(library) == [(FileStatus.FOUND, "a.wav")]
    assert searched(reader)["a.wav"] is False
    three["a"].unlink()
    refreshed(library)
    assert library.prune("words", [tmp_path / "another"]) == ()
    assert [Path(each.path).name for each in library.prune("words", [three["a"].parent])] == [
        "a.wav",
        "b.wav",
    ]
    for each in (library, reader):
        assert searched(each) == {"c.wav": False}
    assert list(states(library)) == ["c.wav"]


def test_a_file_that_is_back_is_not_pruned(library: Library, three: dict[str, Path]) -> None:
    data = three["a"].read_bytes()
    three["a"].unlink()
    refreshed(library)
    three["a"].write_bytes(data)
    assert library.prune("words") == ()
    assert refreshed(library) == [(FileStatus.FOUND, "a.wav")]


@pytest.mark.parametrize("target", ["d.wav", "A.wav", "new/a.wav", "caf\udce9.wav"])
def test_a_renamed_file_keeps_its_recording(
    library: Library, reader: Library, three: dict[str, Path], target: str
) -> None:
    (old,) = [each for each in library.list_recordings("words").items if each.path == str(three["a"])]
    moved = three["a"].parent / target
    moved.parent.mkdir(exist_ok=True)
    assert searched(reader)["a.wav"] is False
    three["a"].rename(moved)
    if target.startswith("new/"):  # a folder that no recording came from
        assert refreshed(library) == [(FileStatus.MISSING, "a.wav")]
        assert add(library, moved) == [FileStatus.RENAMED]
    else:
        (step,) = [
            step for step in library.refresh("words") if step.changes and step.changes[0].previous_path
        ]
        assert step.changes[0].previous_path == old.path
    for each in (library, reader):
        assert len(searched(each)) == 3
        assert "a.wav" not in searched(each) or target == "new/a.wav"
        assert set(searched(each).values()) == {False}
    assert len(library.clip("words", old.id, 0.0, 0.5)) == 8_000
    assert refreshed(library) == []


def test_a_renamed_folder_is_followed(library: Library, noise: Noise, fakes: SimpleNamespace) -> None:
    old, new = (noise("x").parent / name for name in ("old", "new"))
    old.mkdir()
    shutil.move(noise("a"), old / "a.wav")
    shutil.move(noise("b"), old / "b.wav")
    add(library, old / "a.wav", old / "b.wav")
    fakes.index(library, "words")
    old.rename(new)
    assert refreshed(library)[-2:] == [(FileStatus.RENAMED, "a.wav"), (FileStatus.RENAMED, "b.wav")]
    assert {each.path for each in library.list_recordings("words").items} == {
        str(new / "a.wav"),
        str(new / "b.wav"),
    }


def test_two_files_that_change_places_keep_both_recordings(
    library: Library, three: dict[str, Path], fakes: SimpleNamespace
) -> None:
    ids = {each.path: each.id for each in library.list_recordings("words").items}
    aside = three["a"].with_name("aside")
    three["a"].rename(aside)
    three["b"].rename(three["a"])
    aside.rename(three["b"])
    add(library, three["a"], three["b"])
    fakes.index(library, "words")
    assert searched(library) == {"a.wav": False, "b.wav": False, "c.wav": False}
    swapped = {each.path: each.id for each in library.list_recordings("words").items}
    assert swapped[str(three["a"])] == ids[str(three["b"])]
    assert swapped[str(three["b"])] == ids[str(three["a"])]


def test_a_file_that_becomes_a_copy_of_another_leaves_one_recording(
    library: Library, three: dict[str, Path], fakes: SimpleNamespace
) -> None:
    shutil.copy(three["b"], three["a"])
    assert add(library, three["a"]) == [FileStatus.CHANGED]
    fakes.index(library, "words")
    assert searched(library) == {"b.wav": False, "c.wav": False}


def test_a_recording_whose_file_another_was_moved_onto_is_kept_as_missing(
    library: Library, three: dict[str, Path], fakes: SimpleNamespace
) -> None:
    three["b"].rename(three["a"])
    assert add(library, three["a"]) == [FileStatus.RENAMED]
    fakes.index(library, "words")
    kept = sorted(
        (Path(each.path).name, each.missing) for each in library.view("words").recordings if each.alive
    )
    assert kept == [("a.wav", False), ("a.wav", True), ("c.wav", False)]


def test_a_change_that_is_undone_before_it_is_indexed_changes_nothing(
    library: Library, three: dict[str, Path], noise: Noise, fakes: SimpleNamespace
) -> None:
    before = three["a"].read_bytes()
    shutil.copy(noise("other", seconds=1.5), three["a"])
    assert add(library, three["a"]) == [FileStatus.CHANGED]
    three["a"].write_bytes(before)
    assert add(library, three["a"]) == [FileStatus.FOUND]
    fakes.index(library, "words")
    assert searched(library) == {"a.wav": False, "b.wav": False, "c.wav": False}


def test_a_file_replaced_while_it_is_indexed_is_found_by_the_next_refresh(
    library: Library, noise: Noise, fakes: SimpleNamespace
) -> None:
    path = noise("a")
    add(library, path)
    shutil.copy(noise("b", seconds=1.5), path)
    assert fakes.index(library, "words").recordings_failed == 1
    assert refreshed(library) == [(FileStatus.CHANGED, "a.wav")]
    assert fakes.index(library, "words").recordings_done == 1
    assert searched(library) == {"a.wav": False}


def test_a_file_that_is_known_by_its_stamp_is_not_read_again(
    library: Library, three: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in three.values():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr("wordspot.indexer.archive.originals.SETTLED_S", -1.0)
    assert add(library, *three.values()) == [FileStatus.PRESENT] * 3
    read: list[int] = []
    real = library._additions._originals.content_of

    def content_of(file: Any) -> tuple[str, int]:
        read.append(file.descriptor)
        return real(file)

    monkeypatch.setattr(library._additions._originals, "content_of", content_of)
    refreshed(library)
    read.clear()
    assert add(library, *three.values()) == [FileStatus.PRESENT] * 3
    assert refreshed(library) == []
    assert read == []


def test_what_is_expected_and_not_seen_is_not_added(
    library: Library, three: dict[str, Path], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.wav"
    shutil.copy(three["a"], outside)
    for path in (three["a"], outside, tmp_path / "absent.wav"):
        ((answer,),) = library.add_paths("words", [Addition(path, sha256="0" * 64)])
        assert isinstance(answer, Unseen)
    assert len(states(library)) == 3


def test_another_encoder_is_refused_while_files_are_missing(
    library: Library, three: dict[str, Path], fakes: SimpleNamespace
) -> None:
    three["a"].unlink()
    with pytest.raises(
        FailedPrecondition, match=r"1 recording .* would be lost, .*a\.wav: bring the files back"
    ):
        library.start_index("words", "other")
    assert len(searched(library)) == 3
    *_, done = library.watch_operation(library.start_index("words", "other", drop_missing=True).id)
    assert done.state is OperationState.SUCCEEDED
    assert set(searched(library)) == {"b.wav", "c.wav"}


def test_another_encoder_never_replaces_one_that_has_more(
    library: Library, three: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.indexer.archive.generations.check_readable", lambda *_: None)
    data = three["a"].read_bytes()
    three["a"].unlink()
    *_, done = library.watch_operation(library.start_index("words", "other").id)
    assert done.state is OperationState.FAILED
    assert "would be lost" in done.problem
    assert library.get_archive("words").encoder == "fake" or len(searched(library)) == 3
    three["a"].write_bytes(data)
    *_, done = library.watch_operation(library.resume_operation(done.id).id)
    assert done.state is OperationState.SUCCEEDED
    assert len(searched(library)) == 3


def test_many_files_are_refreshed_batch_by_batch(
    library: Library, three: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "BATCH_FILES", 2)
    for path in three.values():
        path.unlink()
    steps = list(library.refresh("words"))
    assert [(len(step.changes), step.done, step.total) for step in steps] == [(0, 0, 3), (2, 2, 3), (1, 3, 3)]
    assert len(library.prune("words")) == 3


def test_a_recording_without_a_stamp_gets_one(library: Library, three: dict[str, Path]) -> None:
    """As those of an older home."""
    with library._catalogue.writing() as session:
        session.execute(update(Recording).values(stamp=None))
    for path in three.values():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert refreshed(library) == []
