from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import cast

import pytest

from wordspot import Client
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import Hit
from wordspot.services.commands.clips import MAX_FILE_NAME_BYTES, clip_name, save_clips
from wordspot.services.errors import PeerUnavailable


class Clips:
    """A client that has a clip of every recording but those with an error."""

    def __init__(self, **errors: Exception) -> None:
        self._errors = errors

    def clip(self, recording: str, start: float, end: float, archive: str) -> bytes:
        if error := self._errors.get(recording):
            raise error
        return f"{archive} {recording} {start}-{end}".encode()


def hit(recording: str, path: str) -> Hit:
    return Hit(recording, path, 1.0, 2.5, 2.0, detected=True, p_correct=0.9)


def save(client: Clips, hits: list[Hit], folder: Path) -> int:
    return save_clips(cast(Client, client), "talks", hits, folder)


def test_each_hit_gets_a_file(tmp_path: Path) -> None:
    hits = [hit("a", "/r/one.wav"), hit("b", "/r/one.wav")]
    assert save(Clips(), hits, tmp_path / "new" / "clips") == 0
    assert {path.name: path.read_text() for path in (tmp_path / "new" / "clips").iterdir()} == {
        "001_one_1.00-2.50.wav": "talks a 1.0-2.5",
        "002_one_1.00-2.50.wav": "talks b 1.0-2.5",
    }


def test_a_clip_that_cannot_be_had_is_named_and_the_others_are_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {
        "b": FailedPrecondition("/r/gone\x1b.wav cannot be read any more"),
        "c": InvalidInput("/r/bad.wav cannot be decoded"),
    }
    hits = [hit(name, f"/r/{name}\x1b.wav") for name in "abcd"]
    assert save(Clips(**gone), hits, tmp_path) == 2
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == ["001", "004"]
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        r"wordspot: no clip of hit 2, /r/b\x1b.wav 1.00-2.50: /r/gone\x1b.wav cannot be read any more"
    )
    assert "hit 3" in second


def test_a_service_that_is_gone_ends_the_saving(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable):
        save(Clips(a=PeerUnavailable("gone")), [hit("a", "a.wav")], tmp_path)


@pytest.mark.parametrize(
    "stem",
    ["x" * 246, "x" * 251, "é" * 125, "日" * 83 + "x", "\U0001f600" * 62, "caf\udce9" * 60],
)
def test_a_long_name_is_shortened_between_characters(tmp_path: Path, stem: str) -> None:
    hits = [hit("a", f"/r/{stem}.wav"), hit("b", f"/r/{stem}.wav")]
    assert save(Clips(), hits, tmp_path) == 0
    names = sorted(os.fsencode(path.name) for path in tmp_path.iterdir())
    assert len(names) == 2
    for rank, name in enumerate(names, 1):
        assert MAX_FILE_NAME_BYTES - 4 < len(name) <= MAX_FILE_NAME_BYTES
        assert name == os.fsencode(clip_name(rank, hits[0]))
        assert stem.startswith(os.fsdecode(name)[4 : -len("_1.00-2.50.wav")])


def test_a_name_of_any_characters_is_kept(tmp_path: Path) -> None:
    assert clip_name(1, hit("a", "/r/-x\n.wav")) == "001_-x\n_1.00-2.50.wav"
    assert clip_name(1_000, hit("a", "")) == "1000__1.00-2.50.wav"


def test_a_file_in_the_way_costs_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "001_a_1.00-2.50.wav").mkdir()
    assert save(Clips(), [hit("a", "a.wav"), hit("b", "b.wav")], tmp_path) == 1
    assert "001_a_1.00-2.50.wav cannot be written: Is a directory" in capsys.readouterr().err
    assert (tmp_path / "002_b_1.00-2.50.wav").is_file()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"cannot write clips to .*: Not a directory"):
        save(Clips(), [hit("a", "a.wav")], tmp_path / "file" / "clips")


def test_a_full_disk_ends_the_saving_and_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_a_part(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_a_part)
    with pytest.raises(InvalidInput, match="No space left on device"):
        save(Clips(), [hit("a", "a.wav"), hit("b", "b.wav")], tmp_path)
    assert list(tmp_path.iterdir()) == []
