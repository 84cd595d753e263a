"""What the client tells of indexing."""

from __future__ import annotations

from dataclasses import dataclass, field

from wordspot.v1 import archive_pb2


@dataclass(frozen=True)
class IndexProgress:
    """How far indexing has come.

    stage: "adding" counts files, "indexing" recordings.
    done, total: so many of so many.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class FileChanges:
    """What became of files, by their paths.

    added: new to the archive.
    changed: with another content than the one that was added from the same place.
    renamed: with a content that lay elsewhere before, by the former path.
    found: there again, after they had been missing.
    present: whose content was in the archive before.
    missing: not there any more; their recordings are still searched.
    pruned: missing, and deleted from the archive.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexReport:
    """What an indexing did.

    added, present: files new to the archive, and already in it.
    ignored, ignored_files: files in folders that are not audio by their names, so many and these.
    skipped: why other files and folders in folders were left out, by path.
    problems: message by path.
    operation, archive: as they were at the end.
    seconds: spent.
    warnings: what was noticed of the sound of files that were indexed, by path.
    untagged: why recordings that tags were given for by path have not got them, by that path.
    files: what became of each file, and which recordings' files are missing.
    encoder_reason: why `auto` chose the encoder that it chose, where it did so in this process.
    """

    added: int
    present: int
    ignored: int
    problems: dict[str, str]
    operation: archive_pb2.Operation
    archive: archive_pb2.Archive
    seconds: float
    encoder_reason: str = ""
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    ignored_files: tuple[str, ...] = ()
    untagged: dict[str, str] = field(default_factory=dict)
    files: FileChanges = field(default_factory=FileChanges)
