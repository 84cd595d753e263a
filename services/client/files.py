"""Audio files by their paths: what a user names is taken, what lies in folders is chosen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wordspot.indexer.errors import InvalidInput

_SUFFIXES = (
    "wav wave w64 rf64 flac ogg oga opus mp3 aif aiff aifc caf au snd "
    "m4a m4b mp4 m4v mov aac ac3 eac3 dts amr ape wv tta wma webm mkv mka avi 3gp 3g2 mpg mpeg flv "
    "mp2 mpa spx ts m2ts mts vob wmv asf ogv rm rmvb voc mxf nut gsm g722 mlp thd"
)
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())

HIDDEN_FILE, HIDDEN_FOLDER = "a hidden file", "a hidden folder"
LINKED_FOLDER = "a link to a folder; name it to have it read"
BROKEN_LINK = "a link that leads nowhere"
NO_REGULAR_FILE = "not a regular file"
_TRASH, _SNAPSHOTS, _SYSTEM = "deleted files", "snapshots of other folders", "files of the system"
_KINDS_OF_FOLDERS = {  # of desktops, file servers and file systems; names in lower case
    _TRASH: (".trash", ".trashes", "$recycle.bin", "recycler", "#recycle", "@recycle"),
    _SNAPSHOTS: (".snapshot", ".snapshots", "~snapshot", "#snapshot", "@recently-snapshot", ".zfs"),
    _SYSTEM: ("@eadir", "lost+found", "system volume information", "__macosx"),
}
_FOLDERS_LEFT_OUT = {name: kind for kind, names in _KINDS_OF_FOLDERS.items() for name in names}
_PREFIX_OF_TRASH = ".trash-"  # followed by the number of a user


@dataclass
class FoundFiles:
    """What paths name.

    files: absolute, each once.
    ignored: files in folders that are not audio by their names.
    skipped: why other files and folders were left out, by path.
    """

    files: list[Path] = field(default_factory=list)
    ignored: int = 0
    skipped: dict[Path, str] = field(default_factory=dict)


def audio_files(paths: Iterable[str | Path]) -> FoundFiles:
    """Returns the files that paths name.

    Args:
        paths: files, which are taken whatever they are, and folders, whose audio files are taken by suffix.
            Links to files are followed everywhere, links to folders only where they are named.

    Raises:
        InvalidInput: a path is neither a file nor a folder, or cannot be read.
    """
    found = FoundFiles()
    for path in map(_absolute, paths):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise InvalidInput(
                f"path must be a file or folder, got {path}, which does not exist or cannot be read "
                f"({error.strerror})"
            ) from error
        if stat.S_ISREG(mode):
            found.files.append(path)
        elif stat.S_ISDIR(mode):
            _read_folder(path, found)
        else:
            raise InvalidInput(f"path must be a file or folder, got {path}, which is not a regular file")
    found.files = list(dict.fromkeys(found.files))
    return found


def _absolute(path: str | Path) -> Path:
    """Raises InvalidInput."""
    if not str(path):
        raise InvalidInput("path must be a file or folder, got an empty one")
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise InvalidInput(f"the current folder was removed: path must be absolute, got {path}") from error


def _read_folder(folder: Path, found: FoundFiles) -> None:
    """Adds what a folder holds, sorted. Raises InvalidInput if it cannot be read."""
    inside = FoundFiles()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                waiting += [Path(entry.path) for entry in entries if _take(entry, inside)]
        except OSError as error:
            if current == folder:
                raise InvalidInput(f"the folder {folder} cannot be read: {error.strerror}") from error
            inside.skipped[current] = _unreadable(error)
    found.files += sorted(inside.files)
    found.ignored += inside.ignored
    found.skipped |= dict(sorted(inside.skipped.items()))


def _take(entry: os.DirEntry[str], found: FoundFiles) -> bool:
    """Adds a file, or why it is left out; returns whether the entry is a folder to be read."""
    path = Path(entry.path)
    try:
        if entry.is_dir():
            reason = _reason_of_folder(entry)
        elif path.suffix.lower() not in AUDIO_SUFFIXES:
            found.ignored += 1
            return False
        else:
            reason = _reason_of_file(entry)
    except OSError as error:  # a loop of links, a name that is too long
        reason = _unreadable(error)
    if reason:
        found.skipped[path] = reason
    elif not entry.is_dir():
        found.files.append(path)
    return not reason and entry.is_dir()


def _reason_of_folder(entry: os.DirEntry[str]) -> str:
    """Returns why a folder in a folder is left out; "" for one that is read."""
    name = entry.name.lower()
    if name.startswith(_PREFIX_OF_TRASH):
        return _TRASH
    if kind := _FOLDERS_LEFT_OUT.get(name):
        return kind
    if name.startswith("."):
        return HIDDEN_FOLDER
    return LINKED_FOLDER if entry.is_symlink() else ""


def _reason_of_file(entry: os.DirEntry[str]) -> str:
    """Returns why an entry with the name of an audio file is left out; "" for one that is taken. Raises
    OSError."""
    if entry.name.startswith("."):
        return HIDDEN_FILE
    if entry.is_file():
        return ""
    if not entry.is_symlink():
        return NO_REGULAR_FILE
    try:
        Path(entry.path).stat()
    except FileNotFoundError:
        return BROKEN_LINK
    return NO_REGULAR_FILE


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"
