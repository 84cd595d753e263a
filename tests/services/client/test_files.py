from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bench.sound_files import KINDS, Kind
from wordspot.indexer.errors import InvalidInput
from wordspot.services.client import files
from wordspot.services.client.files import FoundFiles, audio_files

NOBODY = 65_534


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path, found: FoundFiles) -> list[str]:
    return [str(path.relative_to(folder)) for path in found.files]


def skipped(folder: Path, found: FoundFiles) -> dict[str, str]:
    return {str(path.relative_to(folder)): reason for path, reason in found.skipped.items()}


def without_rights(action: Callable[[], None]) -> None:
    """Runs the action in a child process that is nobody's; permissions do not hold for root."""

    def run() -> None:
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        action()

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join()
    assert child.exitcode == 0


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that other users can enter, as those of pytest they cannot."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_folders_are_read_recursively_by_suffix_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    make(tmp_path, "b/two.FLAC", "a.wav", "b/c/three.opus", "b/notes.txt", "odd.xyz")
    found = audio_files([tmp_path, tmp_path / "odd.xyz", tmp_path / "a.wav"])
    assert names(tmp_path, found) == ["a.wav", "b/c/three.opus", "b/two.FLAC", "odd.xyz"]
    assert found.ignored == [tmp_path / "b/notes.txt", tmp_path / "odd.xyz"]
    assert found.skipped == {}


def test_what_was_deleted_copied_or_hidden_is_left_out_with_the_reason(tmp_path: Path) -> None:
    folders = {
        ".Trash": "deleted files",
        ".Trash-1000": "deleted files",
        ".Trashes": "deleted files",
        "$RECYCLE.BIN": "deleted files",
        "#recycle": "deleted files",
        ".snapshot": "snapshots of other folders",
        ".snapshots": "snapshots of other folders",
        "@eaDir": "files of the system",
        "lost+found": "files of the system",
        "System Volume Information": "files of the system",
        ".cache": files.HIDDEN_FOLDER,
    }
    make(tmp_path, "a.wav", "b/._a.wav", *(f"b/{name}/inside/x.wav" for name in folders))
    found = audio_files([tmp_path])
    assert names(tmp_path, found) == ["a.wav"]
    assert skipped(tmp_path, found) == {
        "b/._a.wav": files.HIDDEN_FILE,
        **{f"b/{name}": reason for name, reason in folders.items()},
    }


@pytest.mark.parametrize("name", [".Trash-1000", ".snapshots", "@eaDir", ".cache"])
def test_what_is_named_is_taken(tmp_path: Path, name: str) -> None:
    make(tmp_path, f"{name}/x.wav", f"{name}/.hidden.wav", f"{name}/{name}/y.wav")
    found = audio_files([tmp_path / name, tmp_path / name / ".hidden.wav"])
    assert names(tmp_path / name, found) == ["x.wav", ".hidden.wav"]
    assert skipped(tmp_path / name, found).keys() == {".hidden.wav", name}


def test_links_to_files_are_followed_and_links_to_folders_are_told(tmp_path: Path) -> None:
    make(tmp_path, "real/a.wav", "elsewhere/b.wav")
    top = tmp_path / "real"
    (top / "linked.wav").symlink_to(tmp_path / "elsewhere" / "b.wav")
    (top / "folder").symlink_to(tmp_path / "elsewhere")
    (top / "up").symlink_to(top)
    (top / "broken.wav").symlink_to("nowhere")
    (top / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "named").symlink_to(top)
    for folder in (top, tmp_path / "named"):
        found = audio_files([folder])
        assert names(folder, found) == ["a.wav", "linked.wav"]
        assert skipped(folder, found) == {
            "broken.wav": files.BROKEN_LINK,
            "folder": files.LINKED_FOLDER,
            "loop.wav": "cannot be read: Too many levels of symbolic links",
            "up": files.LINKED_FOLDER,
        }
    with pytest.raises(InvalidInput, match="Too many levels"):
        audio_files([top / "loop.wav"])


def test_what_is_no_regular_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "null.wav").symlink_to("/dev/null")
    found = audio_files([tmp_path])
    assert found.files == []
    assert skipped(tmp_path, found) == {"null.wav": files.NO_REGULAR_FILE, "pipe.wav": files.NO_REGULAR_FILE}
    with pytest.raises(InvalidInput, match="not a regular file"):
        audio_files([tmp_path / "pipe.wav"])


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_is_taken(everybodys: Path) -> None:
    tmp_path = everybodys
    make(tmp_path, "a.wav", "closed/b.wav", "no_entry/c.wav", "z/d.wav")
    (tmp_path / "closed").chmod(0o000)
    (tmp_path / "no_entry").chmod(0o444)

    def check() -> None:
        found = audio_files([tmp_path])
        # The names in a folder without the right to enter can be read, the files cannot.
        assert names(tmp_path, found) == ["a.wav", "no_entry/c.wav", "z/d.wav"]
        assert skipped(tmp_path, found) == {"closed": "cannot be read: Permission denied"}
        with pytest.raises(InvalidInput, match=r"closed cannot be read: Permission denied"):
            audio_files([tmp_path / "closed"])

    without_rights(check)


@pytest.mark.parametrize(
    "name", ["-x.wav", "new\nline.wav", "esc\x1b[31m.wav", "caf\udce9.wav", "é" * 125 + ".wav"]
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    assert names(tmp_path, audio_files([tmp_path])) == [name]


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(InvalidInput, match="got an empty one"):
        audio_files([""])


def test_a_path_from_a_folder_that_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InvalidInput, match="the current folder was removed"):
        audio_files(["a.wav"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_file_that_decodes_is_taken_from_folders(kind: Kind) -> None:
    assert Path(kind.name).suffix in files.AUDIO_SUFFIXES


def test_unusual_endings_are_taken(tmp_path: Path) -> None:
    endings = "adts f4v m2ts m4r mp2 mpga nist ogv qt sph spx ts vob voc weba"
    expected = [f"x.{ending}" for ending in endings.split()]
    for name in expected:
        (tmp_path / name).write_bytes(b"\x47" + bytes(187))
    assert names(tmp_path, audio_files([tmp_path])) == expected


def test_typescript_is_no_transport_stream(tmp_path: Path) -> None:
    (tmp_path / "code.ts").write_text("export const answer = 42;")
    (tmp_path / "empty.mts").touch()
    (tmp_path / "film.ts").write_bytes(b"\x47" + bytes(187))
    (tmp_path / "recorder.mts").write_bytes(bytes(4) + b"\x47" + bytes(187))
    os.mkfifo(tmp_path / "pipe.ts")
    found = audio_files([tmp_path])
    assert names(tmp_path, found) == ["film.ts", "recorder.mts"]
    assert found.ignored == [tmp_path / "code.ts", tmp_path / "empty.mts"]
    assert found.skipped == {tmp_path / "pipe.ts": files.NO_REGULAR_FILE}


def test_links_to_folders_are_followed_on_request_and_each_folder_is_read_once(tmp_path: Path) -> None:
    make(tmp_path, "top/a.wav", "top/inside/b.wav", "elsewhere/c.wav", "elsewhere/.Trash/d.wav")
    top = tmp_path / "top"
    (top / "0linked").symlink_to(tmp_path / "elsewhere")
    (top / "again").symlink_to(tmp_path / "elsewhere")
    (top / "inside" / "up").symlink_to(top)
    (top / "first").symlink_to(top / "inside")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    found = audio_files([top], follow_links=True)
    assert {path.name for path in found.files} == {"a.wav", "b.wav", "c.wav"}
    assert len(found.files) == 3
    assert top / "inside" / "b.wav" in found.files
    assert found.skipped[top / "inside" / "up"] == files.READ_FOLDER
    assert found.skipped[top / "first"] == files.READ_FOLDER
    assert "deleted files" in found.skipped.values()
