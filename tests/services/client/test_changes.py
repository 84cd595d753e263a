"""What becomes of files is told alike through a server, which sees them or not, and without one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordspot import Client
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.client.records import FileChanges
from wordspot.v1 import archive_pb2

Say = Callable[..., np.ndarray]


@pytest.fixture(params=["server", "alone"])
def client(
    request: pytest.FixtureRequest,
    running: Callable[..., SimpleNamespace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Client]:
    """Of a server that sees the files, or of this process."""
    monkeypatch.setenv("WORDSPOT_DETECTOR", "energy")
    monkeypatch.setenv("WORDSPOT_DEFAULT_ENCODER", "naive")
    address = running().address if request.param == "server" else None
    with Client(address, home=tmp_path / "alone") as client:
        yield client


def listed(client: Client) -> dict[str, archive_pb2.RecordingState]:
    return {each.path: each.state for each in client.recordings()}


def test_every_kind_of_change_is_told_with_names(
    client: Client, recordings: dict[str, Path], say: Say, tmp_path: Path
) -> None:
    folder = recordings["tea"].parent
    first = client.index([folder])
    assert first.files == FileChanges(added=tuple(sorted(map(str, recordings.values()))))
    recordings["tea"].write_bytes(write_wav(say("a", "new", "sentence")))
    recordings["milk"].rename(folder / "cream.wav")
    recordings["both"].unlink()
    (folder / "more.wav").write_bytes(write_wav(say("more", "words")))
    report = client.index([folder])
    assert report.files == FileChanges(
        added=(str(folder / "more.wav"),),
        changed=(str(recordings["tea"]),),
        renamed={str(recordings["milk"]): str(folder / "cream.wav")},
        present=(str(recordings["none"]),),
        missing=(str(recordings["both"]),),
    )
    assert (report.operation.recordings_done, report.problems) == (2, {})
    assert listed(client)[str(recordings["both"])] == archive_pb2.RECORDING_STATE_MISSING
    assert set(listed(client)) == {
        str(folder / name) for name in ("tea.wav", "cream.wav", "none.wav", "both.wav", "more.wav")
    }
    query = tmp_path / "query.wav"
    query.write_bytes(write_wav(say("honey", voice=9)))
    hits = client.search(query, all_hits=True, top=10_000)
    by_path = {hit.path: hit for hit in hits}
    assert str(recordings["milk"]) not in by_path
    gone = by_path[str(recordings["both"])]
    assert gone.missing
    assert not by_path[str(folder / "cream.wav")].missing
    with pytest.raises(FailedPrecondition, match=r"both\.wav"):
        client.clip(gone.recording, gone.start, gone.end)
    pruned = client.index([folder], prune=True).files
    assert (pruned.pruned, pruned.missing) == ((str(recordings["both"]),), ())
    assert str(recordings["both"]) not in listed(client)
    assert client.index([folder]).files == FileChanges(present=tuple(sorted(listed(client))))


def test_a_folder_that_may_not_be_mounted_is_not_pruned(
    client: Client, recordings: dict[str, Path], tmp_path: Path
) -> None:
    folder = recordings["tea"].parent
    client.index([folder])
    shutil.move(folder, tmp_path / "unmounted")
    folder.mkdir()
    with pytest.raises(InvalidInput, match="is it mounted"):
        client.index([folder], prune=True)
    assert len(client.index([folder]).files.missing) == 4
    assert client.archive().recordings == 4
    folder.rmdir()
    shutil.move(tmp_path / "unmounted", folder)
    assert len(client.index([folder]).files.found) == 4
    assert client.index([folder]).files.missing == ()


def test_names_of_any_bytes_are_followed(client: Client, recordings: dict[str, Path]) -> None:
    odd = recordings["tea"].with_name("caf\udce9.wav")
    client.index([recordings["tea"].parent])
    recordings["tea"].rename(odd)
    report = client.index([odd.parent])
    assert report.files.renamed == {str(recordings["tea"]): str(odd)}
    odd.unlink()
    assert client.index([odd.parent]).files.missing == (str(odd),)


def test_a_server_that_sees_the_files_copies_none(
    running: Callable[..., SimpleNamespace], recordings: dict[str, Path], tmp_path: Path
) -> None:
    with Client(running().address) as client:
        client.index([recordings["tea"].parent])
        assert list((tmp_path / "home" / "audio").iterdir()) == []


def test_a_server_that_does_not_see_the_files_gets_them_sent(
    running: Callable[..., SimpleNamespace], recordings: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "seen").mkdir()
    shutil.copy(recordings["tea"], tmp_path / "seen" / "tea.wav")
    with Client(running(roots=(tmp_path / "seen",)).address) as client:
        report = client.index([recordings["tea"].parent])
        assert (report.added, report.problems) == (4, {})
        assert len(list((tmp_path / "home" / "audio").iterdir())) == 4
        assert client.index([tmp_path / "seen"]).files.present == (str(tmp_path / "seen" / "tea.wav"),)


def test_a_refresh_of_all_files_needs_no_folder(client: Client, recordings: dict[str, Path]) -> None:
    client.index([recordings["tea"].parent])
    recordings["tea"].unlink()
    (change,) = client.refresh()
    assert change.status == archive_pb2.FILE_STATUS_MISSING
    assert [each.path for each in client.prune()] == [str(recordings["tea"])]
    assert list(client.refresh()) == []
