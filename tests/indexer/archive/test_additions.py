from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.indexer.archive.conftest import files_below, identities, upload
from wordspot.indexer import faults
from wordspot.indexer.archive import additions
from wordspot.indexer.archive.additions import Addition
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.summaries import RecordingState
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.errors import (
    Exhausted,
    InvalidInput,
    NotAllowed,
    NotFound,
)

# Adding by path


def lots_of(library: Library, wanted: Sequence[Addition]) -> Iterator[list[Any]]:
    """The recording of each file, and whether its content was there before; or what was wrong."""
    for lot in library.add_paths("words", wanted):
        yield [each if isinstance(each, Exception) else (each.recording, each.present) for each in lot]


def test_a_recording_is_added_where_it_lies(library: Library, noise: Callable[..., Path]) -> None:
    path = noise("a", seconds=1.5)
    recording, present = library.add_path("words", path)
    assert not present
    assert recording.path == str(path)
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (recording.seconds, recording.sample_rate, recording.channels) == (1.5, 16_000, 1)
    assert recording.state is RecordingState.ADDED
    assert library.get_recording("words", recording.id) == recording


def test_a_recording_added_twice_is_recognised_by_content(
    library: Library, noise: Callable[..., Path], audio: Path
) -> None:
    path = noise("a")
    first, _ = library.add_path("words", path)
    copy = audio / "copy.wav"
    shutil.copy(path, copy)
    assert library.add_path("words", copy) == (first, True)
    assert len(identities(library)) == 1
    library.create_archive("other")
    assert library.add_path("other", copy)[1] is False


def test_content_whose_file_has_vanished_is_read_from_where_it_is_added_again(
    library: Library, noise: Callable[..., Path], audio: Path
) -> None:
    path = noise("a")
    first, _ = library.add_path("words", path)
    moved = path.rename(audio / "moved.wav")
    again, present = library.add_path("words", moved)
    assert present
    assert (again.id, again.path) == (first.id, str(moved))
    assert len(library.clip("words", first.id, 0.0, 0.5)) == 8_000


def test_deleted_content_can_be_added_again(library: Library, noise: Callable[..., Path]) -> None:
    path = noise("a")
    first, _ = library.add_path("words", path, "request")
    library.delete_recording("words", first.id)
    second, present = library.add_path("words", path, "request")
    assert not present
    assert second.id != first.id


def test_paths_outside_the_roots_are_refused_whether_they_exist_or_not(
    library: Library, audio: Path, tmp_path: Path, fakes: SimpleNamespace
) -> None:
    outside = fakes.write_noise(tmp_path / "outside.wav", seed=1)
    (audio / "link.wav").symlink_to(outside)
    (audio / "folder").symlink_to(tmp_path)
    refused = (
        outside,
        tmp_path / "absent.wav",
        audio / ".." / "outside.wav",
        audio / "link.wav",
        audio / "folder" / "outside.wav",
        audio.with_name("recordings2") / "a.wav",
        Path("/etc/passwd"),
    )
    for path in refused:
        with pytest.raises(NotAllowed, match="does not lie below a folder that this server may read"):
            library.add_path("words", path)
    assert identities(library) == []


def test_what_cannot_be_added_says_why(library: Library, audio: Path, noise: Callable[..., Path]) -> None:
    with pytest.raises(NotFound, match=r"no file absent\.wav"):
        library.add_path("words", Path("absent.wav"))
    with pytest.raises(NotFound, match="no file"):
        library.add_path("words", audio / "absent.wav")
    with pytest.raises(NotFound, match="no file"):
        library.add_path("words", audio)
    os.mkfifo(audio / "pipe.wav")
    with pytest.raises(NotFound, match="no file"):
        library.add_path("words", audio / "pipe.wav")
    for data in (b"", b"not audio", noise("whole").read_bytes()[:44]):
        (audio / "bad.wav").write_bytes(data)
        with pytest.raises(InvalidInput, match=r"bad\.wav"):
            library.add_path("words", audio / "bad.wav")
    for name in ("nul\0.wav", "\ud800.wav"):
        with pytest.raises(InvalidInput, match="path"):
            library.add_path("words", audio / name)
    assert identities(library) == []


def test_a_retry_with_the_same_request_id_gets_the_first_answer(
    library: Library, noise: Callable[..., Path]
) -> None:
    path, other = noise("a"), noise("b")
    first = library.add_path("words", path, "r1")
    assert library.add_path("words", path, "r1") == first
    assert first[1] is False
    assert library.add_path("words", path, "r2") == (first[0], True)
    path.unlink()
    assert library.add_path("words", path, "r1") == first
    with pytest.raises(InvalidInput, match="request id 'r1' was used for"):
        library.add_path("words", other, "r1")
    with pytest.raises(InvalidInput, match="at most 128 characters, got 129"):
        library.add_path("words", other, "r" * 129)
    assert len(identities(library)) == 1


@pytest.fixture
def lots_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "MAX_TRANSACTION_FILES", 2)


@pytest.mark.usefixtures("lots_of_two")
def test_many_are_added_lot_by_lot_and_answered_in_order(
    library: Library, noise: Callable[..., Path], audio: Path
) -> None:
    (audio / "bad.wav").write_bytes(b"not audio")
    paths = [noise("a"), audio / "bad.wav", noise("b"), noise("c"), noise("d")]
    lots = lots_of(library, [Addition(path) for path in paths])
    ((a, present), problem) = next(lots)
    assert not present
    assert isinstance(problem, InvalidInput)
    assert "bad.wav" in str(problem)
    assert identities(library) == [a.id]
    assert [len(lot) for lot in lots] == [2, 1]
    added = library.list_recordings("words").items
    assert [recording.path for recording in added] == [str(path) for path in paths if path.stem != "bad"]
    assert library.list_recordings("words").items[0] == a


def test_content_that_comes_twice_in_a_lot_is_recognised(
    library: Library, noise: Callable[..., Path], audio: Path
) -> None:
    path = noise("a")
    copy = Path(shutil.copy(path, audio / "copy.wav"))
    (((first, fresh), (second, known)),) = lots_of(library, [Addition(path), Addition(copy)])
    assert (first, fresh, known) == (second, False, True)
    assert identities(library) == [first.id]


def test_request_ids_hold_within_a_lot_and_after_it(library: Library, noise: Callable[..., Path]) -> None:
    a, b = noise("a"), noise("b")
    wanted = [
        Addition(a, "r1"),
        Addition(a, "r1"),
        Addition(b, "r1"),
        Addition(b, "r2"),
        Addition(b, "r" * 129),
    ]
    ((first, again, other, second, long),) = lots_of(library, wanted)
    assert first == again
    assert first[1] is False
    assert "request id 'r1' was used for" in str(other)
    assert "at most 128 characters, got 129" in str(long)
    assert second[1] is False
    a.unlink()
    ((later, *_),) = lots_of(library, wanted[:1])
    assert later == first == library.add_path("words", a, "r1")
    assert len(identities(library)) == 2


def test_an_id_of_an_operation_cannot_serve_for_an_addition(
    library: Library, noise: Callable[..., Path]
) -> None:
    *_, last = library.watch_operation(library.start_index("words", request_id="r").id)
    assert last.state is OperationState.SUCCEEDED
    ((problem, added),) = lots_of(library, [Addition(noise("a"), "r"), Addition(noise("b"))])
    assert "request id 'r' was used for \"index with" in str(problem)
    assert identities(library) == [added[0].id]


def test_a_file_that_is_not_there_any_more_is_its_own_failure(
    library: Library, noise: Callable[..., Path], audio: Path
) -> None:
    wanted = [Addition(noise("a")), Addition(audio / "absent.wav"), Addition(noise("b"))]
    ((first, absent, last),) = lots_of(library, wanted)
    assert isinstance(absent, NotFound)
    assert "absent.wav" in str(absent)
    assert identities(library) == [first[0].id, last[0].id]


def test_what_came_before_a_refusal_is_kept_and_answered(
    library: Library, noise: Callable[..., Path]
) -> None:
    wanted = [Addition(noise("a")), Addition(Path("/etc/passwd")), Addition(noise("b"))]
    lots = lots_of(library, wanted)
    (((a, _),)) = next(lots)
    with pytest.raises(NotAllowed):
        next(lots)
    assert identities(library) == [a.id]


# Uploads


def test_an_upload_is_kept_by_content(
    library: Library, noise: Callable[..., Path], tmp_path: Path, audio: Path
) -> None:
    path = noise("a")
    recording, present = upload(library, path, filename="My Recording.WAV")
    assert not present
    assert (recording.path, recording.format) == ("My Recording.WAV", "WAV")
    assert files_below(tmp_path / "home" / "audio") == [f"{recording.sha256}.wav"]
    assert files_below(tmp_path / "home" / "uploads") == []
    shutil.rmtree(audio)
    assert len(library.clip("words", recording.id, 0.0, 0.25)) == 4_000


def test_an_upload_of_content_that_is_there_changes_nothing(
    library: Library, noise: Callable[..., Path], tmp_path: Path
) -> None:
    path = noise("a")
    added, _ = library.add_path("words", path)
    assert upload(library, path) == (added, True)
    assert files_below(tmp_path / "home" / "audio") == []
    library.create_archive("other")
    first, present = upload(library, path, "other", request_id="r")
    assert not present
    assert upload(library, path, "other", request_id="r") == (first, False)
    assert upload(library, path, "other") == (first, True)
    assert len(files_below(tmp_path / "home" / "audio")) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "announced SHA-256 0{64}, got"),
        ({"size": 10_000}, "the announced 10000 bytes, got more"),
        ({"size": 50_000}, "the announced 50000 bytes, got 32044"),
        ({"size": 0}, "size must be between 1 and .* got 0$"),
        ({"size": -1}, "got -1$"),
        ({"size": 2**50}, "got 1125899906842624$"),
        ({"sha256": "0" * 63}, "64 hexadecimal digits"),
        ({"filename": "a\0.wav"}, "no NUL character"),
    ],
)
def test_an_upload_that_is_not_what_was_announced_is_refused_and_not_kept(
    library: Library,
    noise: Callable[..., Path],
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(InvalidInput, match=message):
        upload(library, noise("a"), **changes)
    assert identities(library) == []
    for folder in ("audio", "uploads"):
        assert files_below(tmp_path / "home" / folder) == []


def test_an_upload_that_is_not_audio_is_refused_by_its_own_name(
    library: Library, audio: Path, tmp_path: Path
) -> None:
    text = audio / "letter.wav"
    text.write_text("dear reader")
    with pytest.raises(InvalidInput, match=r"^letter\.wav is not audio"):
        upload(library, text)
    for folder in ("audio", "uploads"):
        assert files_below(tmp_path / "home" / folder) == []


def test_an_aborted_upload_leaves_nothing(library: Library, tmp_path: Path) -> None:
    with library.begin_upload("words", "a.wav", "0" * 64, 100) as receiving:
        receiving.write(b"x" * 50)
    assert files_below(tmp_path / "home" / "uploads") == []


def test_an_uploads_file_name_cannot_reach_outside(
    library: Library, noise: Callable[..., Path], tmp_path: Path
) -> None:
    recording, _ = upload(library, noise("a"), filename="../../../x.w/../av")
    assert recording.path == "../../../x.w/../av"
    assert files_below(tmp_path / "home" / "audio") == [recording.sha256]


@pytest.mark.parametrize("point", ["upload-begun", "upload-written", "upload-renamed"])
def test_a_full_disk_during_an_upload_is_said_so_and_nothing_is_kept(
    library: Library, noise: Callable[..., Path], tmp_path: Path, point: str
) -> None:
    faults.arm(point, "enospc")
    with pytest.raises(Exhausted, match="no space left on the disk while"):
        upload(library, noise("a"))
    faults.disarm()
    assert identities(library) == []
    for folder in ("audio", "uploads"):
        assert files_below(tmp_path / "home" / folder) == []
    assert upload(library, noise("a"))[1] is False


def test_an_uploaded_file_goes_with_the_last_recording_that_needs_it(
    library: Library, noise: Callable[..., Path], tmp_path: Path
) -> None:
    library.create_archive("other")
    one, _ = upload(library, noise("a"))
    two, _ = upload(library, noise("a"), "other")
    library.delete_recording("words", one.id)
    assert len(library.clip("other", two.id, 0.0, 0.1)) == 1_600
    library.delete_recording("other", two.id)
    assert files_below(tmp_path / "home" / "audio") == []
