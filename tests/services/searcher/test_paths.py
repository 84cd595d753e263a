"""No answer and no error of a server says where its files lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from wordspot.services.client.archives import Client
from wordspot.v1 import archive_pb2, audio_pb2, search_pb2

Running = Callable[..., SimpleNamespace]


class Listening:
    """Calls a service and keeps all that it says, answers and errors."""

    def __init__(self, up: SimpleNamespace) -> None:
        self._up = up
        self.said: list[str] = []

    def archives(self, method: str, request: Any) -> list[Any]:
        return self._ask(self._up.archives, method, request)

    def searches(self, method: str, request: Any) -> list[Any]:
        return self._ask(self._up.searches, method, request)

    def _ask(self, stub: Any, method: str, request: Any) -> list[Any]:
        try:
            answer = getattr(stub, method)(request)
            answers = list(answer) if isinstance(answer, grpc.Call) else [answer]
        except grpc.RpcError as error:
            self.said += [
                f"{error.code()}: {error.details()}",
                *(str(value) for _, value in error.trailing_metadata()),
            ]
            return []
        self.said += [str(each) for each in answers]
        return answers


@pytest.fixture
def served(running: Running, recordings: dict[str, Path], tmp_path: Path) -> SimpleNamespace:
    """A server with a root, the names of the files below it, and one file of each kind that is refused."""
    root = recordings["tea"].parent
    (root / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    (root / "empty.wav").touch()
    (root / "folder").mkdir()
    (root / "outside.wav").symlink_to(tmp_path / "secret.wav")
    (root / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "secret.wav").write_bytes(recordings["tea"].read_bytes())
    names = sorted(path.name for path in root.iterdir())
    return SimpleNamespace(
        up=running(roots=(root,)), root=root, names=[*names, "absent.wav", "../secret.wav"]
    )


def requests_for_all(recording: str, operation: str) -> Iterator[tuple[str, Any]]:
    stretch = audio_pb2.Interval(start_seconds=0.5, end_seconds=1.1)
    for archive in ("a", "absent"):
        yield "GetArchive", archive_pb2.GetArchiveRequest(name=archive)
        yield "VerifyArchive", archive_pb2.VerifyArchiveRequest(name=archive)
        yield "ListRecordings", archive_pb2.ListRecordingsRequest(archive=archive)
        yield "ListOperations", archive_pb2.ListOperationsRequest(archive=archive)
        yield "CompactArchive", archive_pb2.CompactArchiveRequest(name=archive)
        yield "RepairArchive", archive_pb2.RepairArchiveRequest(name=archive)
        for identity in (recording, "absent"):
            yield "GetRecording", archive_pb2.GetRecordingRequest(archive=archive, recording=identity)
            yield "GetClip", archive_pb2.GetClipRequest(archive=archive, recording=identity, interval=stretch)
    for identity in (operation, "absent"):
        yield "GetOperation", archive_pb2.GetOperationRequest(id=identity)
        yield "WatchOperation", archive_pb2.WatchOperationRequest(id=identity)
        yield "CancelOperation", archive_pb2.CancelOperationRequest(id=identity)
        yield "ResumeOperation", archive_pb2.ResumeOperationRequest(id=identity)
    yield "ListArchives", archive_pb2.ListArchivesRequest()
    yield "IndexArchive", archive_pb2.IndexArchiveRequest(archive="a", encoder="absent")


def searching(recording: str) -> search_pb2.SearchStoredRequest:
    stretch = audio_pb2.Interval(start_seconds=0.5, end_seconds=1.1)
    query = search_pb2.StoredQuery(recording=recording, interval=stretch)
    options = search_pb2.SearchOptions(archive="a", include_undetected=True)
    return search_pb2.SearchStoredRequest(options=options, queries=[query])


def damage(home: Path) -> None:
    for path in (*(home / "segments").glob("*/frames.npy"), *(home / "audio").iterdir()):
        path.write_bytes(path.read_bytes()[:-50] + bytes(50))


def test_no_answer_says_where_the_home_or_a_root_lies(
    served: SimpleNamespace, tmp_path: Path, recordings: dict[str, Path]
) -> None:
    caller = Listening(served.up)
    caller.archives("CreateArchive", archive_pb2.CreateArchiveRequest(name="a"))
    files = [
        archive_pb2.FileToAdd(path=name)
        for name in served.names
        if name not in ("outside.wav", "../secret.wav")
    ]
    (added,) = caller.archives("AddRecordings", archive_pb2.AddRecordingsRequest(archive="a", files=files))
    for name in served.names:
        caller.archives("AddRecording", archive_pb2.AddRecordingRequest(archive="a", path=name))
    with Client(served.up.address) as client:
        data = recordings["both"].read_bytes() + bytes(1)
        (tmp_path / "sent.wav").write_bytes(data)
        upload_request = archive_pb2.UploadHeader(
            archive="a", filename="sent.wav", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)
        )
        header = archive_pb2.UploadRecordingRequest(header=upload_request)
        chunk = archive_pb2.UploadRecordingRequest(chunk=data)
        caller.archives("UploadRecording", iter([header, chunk]))
        (started,) = caller.archives("IndexArchive", archive_pb2.IndexArchiveRequest(archive="a"))
        client.follow(started.operation)
    names = {file.recording.path: file.recording.id for file in added.files if not file.problem}
    assert set(names) == {path.name for path in recordings.values()}
    tea, operation = names["tea.wav"], started.operation.id

    def ask_everything() -> None:
        caller.searches("SearchStored", searching(tea))
        for method, request in requests_for_all(tea, operation):
            caller.archives(method, request)

    ask_everything()
    (served.root / "tea.wav").write_bytes(recordings["milk"].read_bytes())
    (served.root / "milk.wav").unlink()
    (served.root / "both.wav").unlink()
    (served.root / "both.wav").symlink_to(tmp_path / "secret.wav")
    damage(tmp_path / "home")
    ask_everything()
    caller.archives("DeleteRecording", archive_pb2.DeleteRecordingRequest(archive="a", recording="absent"))
    caller.archives("DeleteArchive", archive_pb2.DeleteArchiveRequest(name="absent"))
    said = "\n".join(caller.said)
    for text in (
        "frames.npy has SHA-256",
        "has another content",
        "can be decoded",
        "no file absent.wav",
    ):
        assert text in said
    assert "INTERNAL" not in said
    assert str(tmp_path) not in said
    assert str(tmp_path.resolve()) not in said
