"""What became of files, gathered while they are added and looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.services.client.files import audio_files
from wordspot.services.client.records import FileChanges
from wordspot.v1 import archive_pb2

MISSING = ("missing",)  # the state of recordings
DEFAULT_STATUS = {  # by whether the content was there before, of uploads
    False: archive_pb2.FILE_STATUS_ADDED,
    True: archive_pb2.FILE_STATUS_PRESENT,
}


@dataclass
class ChangeLog:
    """What became of files: the last word on each counts.

    statuses: by path. renamed: the former path, by the present one. missing, pruned: paths.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)

    def note(self, status: int, path: str, previous_path: str) -> None:
        """Notes what became of a file; previous_path: text of the path of one that was renamed."""
        self.statuses[path] = status
        if status == archive_pb2.FILE_STATUS_RENAMED:
            self.renamed[path] = name_of_text(previous_path)

    def changes(self, failed: Collection[str]) -> FileChanges:
        """Returns what became of all files but those that could not be indexed."""

        def of(status: int) -> tuple[str, ...]:
            return tuple(
                path for path, each in self.statuses.items() if each == status and path not in failed
            )

        return FileChanges(
            added=of(archive_pb2.FILE_STATUS_ADDED),
            changed=of(archive_pb2.FILE_STATUS_CHANGED),
            renamed={self.renamed[path]: path for path in of(archive_pb2.FILE_STATUS_RENAMED)},
            found=of(archive_pb2.FILE_STATUS_FOUND),
            present=of(archive_pb2.FILE_STATUS_PRESENT),
            missing=tuple(self.missing),
            pruned=tuple(self.pruned),
        )


def check_prunable(paths: Sequence[Path], *, follow_links: bool) -> None:
    """Raises InvalidInput unless each path holds audio: one that holds none may not be mounted."""
    if not paths:
        raise InvalidInput("what is to be pruned must lie in folders that are named, got none")
    for path in paths:
        if not audio_files([path], follow_links=follow_links).files:
            raise InvalidInput(f"nothing is pruned: {path} holds no audio file, is it mounted?")


def lies_in(path: str, folders: Iterable[Path]) -> bool:
    """Returns whether a path is one of some folders and files, or lies in one; without any it does."""
    folders = list(folders)
    return not folders or any(Path(path).is_relative_to(folder) for folder in folders)
