from __future__ import annotations

import csv
import errno
import io
import os
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from wordspot import Client
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import Hit
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.commands.clips import (
    MAX_FILE_NAME_BYTES,
    TABLE,
    HitClip,
    check_padding,
    clip_name,
    grouped,
    save_clips,
)
from wordspot.services.errors import PeerUnavailable
from wordspot.services.interchange.names import safe_stem
from wordspot.services.limits import MAX_CLIP_SECONDS

RATE, LENGTH_S = 1_000, 10.0


class Clips:
    """A client that has a clip of every recording but those with an error."""

    def __init__(self, **errors: Exception) -> None:
        self._errors = errors

    def clip(
        self,
        recording: str,
        start: float,
        end: float,
        archive: str,
        *,
        original_rate: bool,
        channel: int = 0,
        track: int = 0,
    ) -> bytes:
        assert (archive, original_rate) == ("talks", True)
        if error := self._errors.get(recording):
            raise error
        return write_wav(np.zeros(round((min(end, LENGTH_S) - start) * RATE), np.float32), RATE)


def hit(recording: str, path: str, start: float = 1.0, end: float = 2.5, score: float = 2.0) -> Hit:
    return Hit(recording, path, start, end, score, detected=True, p_correct=0.9)


def clips_of(folder: Path) -> dict[str, float]:
    """Seconds by name."""
    return {path.name: soundfile.info(path).duration for path in folder.glob("*.wav")}


def table_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / TABLE).read_bytes().decode(), newline="")))


def save(client: Clips, hits: list[Hit], folder: Path) -> int:
    return save_clips(cast(Client, client), "talks", hits, folder)


def test_each_hit_gets_a_file(tmp_path: Path) -> None:
    hits = [hit("a", "/r/one.wav"), hit("b", "/r/one.wav")]
    assert save(Clips(), hits, tmp_path / "new" / "clips") == 0
    assert clips_of(tmp_path / "new" / "clips") == {
        "001_one_1.00-2.50_score2.00.wav": 1.5,
        "002_one_1.00-2.50_score2.00.wav": 1.5,
    }


def test_hits_that_overlap_share_a_clip_named_after_the_best(tmp_path: Path) -> None:
    hits = [
        hit("a", "a.wav", 3.0, 4.0, 5.0),
        hit("b", "b.wav", 3.5, 4.5, 4.0),
        hit("a", "a.wav", 3.9, 5.0, 3.0),
        hit("a", "a.wav", 5.0, 6.0, 2.0),
        hit("a", "a.wav", 2.5, 3.1, 1.0),
    ]
    assert save(Clips(), hits, tmp_path) == 0
    assert clips_of(tmp_path) == {
        "001_a_2.50-5.00_score5.00.wav": 2.5,
        "002_b_3.50-4.50_score4.00.wav": 1.0,
        "004_a_5.00-6.00_score2.00.wav": 1.0,
    }
    files = [row["file"][:3] for row in sorted(table_of(tmp_path), key=lambda row: -float(row["score"]))]
    assert files == ["001", "002", "001", "004", "001"]


def test_no_clip_is_longer_than_a_clip_may_be(tmp_path: Path) -> None:
    chain = [hit("a", "a.wav", float(n), n + 1.5) for n in range(150)]
    clips = grouped(chain, padding=10.0)
    assert all(clip.end - clip.start <= MAX_CLIP_SECONDS for clip in clips)
    assert sum(len(clip.hits) for clip in clips) == 150
    (long,) = grouped([hit("a", "a.wav", 5.0, 55.0)], padding=20.0)
    assert (long.start, long.end) == (0.0, 60.0)


def test_clips_are_padded_as_far_as_the_recording_goes(tmp_path: Path) -> None:
    hits = [hit("a", "a.wav", 0.25, 1.0), hit("a", "a.wav", 8.0, 9.5)]
    assert save_clips(cast(Client, Clips()), "talks", hits, tmp_path, query="=tea", padding=1.0) == 0
    assert clips_of(tmp_path) == {
        "001_a_0.00-2.00_score2.00.wav": 2.0,
        "002_a_7.00-10.50_score2.00.wav": 3.0,
    }
    first, second = table_of(tmp_path)
    assert (first["clip_start"], first["clip_end"], first["start"]) == ("0.0", "2.0", "0.25")
    assert (second["clip_end"], second["query"]) == ("10.0", "'=tea")


@pytest.mark.parametrize("padding", [-1.0, 20.5, float("nan"), float("inf")])
def test_padding_has_its_limits(padding: float) -> None:
    with pytest.raises(InvalidInput, match=f"--padding must be between 0 and 20 s, got {padding:g}"):
        check_padding(padding)


def test_a_clip_that_cannot_be_had_is_named_and_the_others_are_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {
        "b": FailedPrecondition("/r/gone\x1b.wav cannot be read any more"),
        "c": InvalidInput("/r/bad.wav cannot be decoded"),
    }
    hits = [hit(name, f"/r/{name}\x1b.wav") for name in "abcd"]
    assert save(Clips(**gone), hits, tmp_path) == 2
    assert sorted(name[:3] for name in clips_of(tmp_path)) == ["001", "004"]
    assert [row["problem"] != "" for row in table_of(tmp_path)] == [False, True, True, False]
    assert "\x1b" not in (tmp_path / TABLE).read_text()
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
    names = sorted(os.fsencode(path.name) for path in tmp_path.glob("*.wav"))
    assert len(names) == 2
    for rank, name in enumerate(names, 1):
        assert MAX_FILE_NAME_BYTES - 4 < len(name) <= MAX_FILE_NAME_BYTES
        assert name == os.fsencode(clip_name(clip(rank, hits[0])))
        assert safe_stem(f"{stem}.wav").startswith(os.fsdecode(name)[4 : -len("_1.00-2.50_score2.00.wav")])


@pytest.mark.parametrize(
    ("rank", "path", "name"),
    [
        (1, "/r/-x\n\x1b[31m\x9b.wav", "001__-x__[31m__1.00-2.50_score2.00.wav"),
        (2, "/r/caf\udce9.wav", "002_caf%E9_1.00-2.50_score2.00.wav"),
        (1_000, "", "1000_recording_1.00-2.50_score2.00.wav"),
    ],
)
def test_a_name_is_safe_for_terminals_and_file_systems(rank: int, path: str, name: str) -> None:
    assert clip_name(clip(rank, hit("a", path))) == name


def clip(rank: int, of: Hit) -> HitClip:
    return HitClip(rank, of.start, of.end, (of,))


def test_a_file_in_the_way_costs_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "001_a_1.00-2.50_score2.00.wav").mkdir()
    assert save(Clips(), [hit("a", "a.wav"), hit("b", "b.wav")], tmp_path) == 1
    assert "001_a_1.00-2.50_score2.00.wav cannot be written: Is a directory" in capsys.readouterr().err
    assert (tmp_path / "002_b_1.00-2.50_score2.00.wav").is_file()


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
