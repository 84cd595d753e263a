"""Audio files by their paths: what a user names is taken, what lies in folders is chosen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wordspot.indexer.errors import InvalidInput

_SUFFIXES = (
    "wav wave bwf amb w64 rf64 aif aiff aifc caf au snd sph nist sf ircam pvf paf fap svx 8svx avr voc "
    "sds sox wve flac alac ape apl wv tta tak shn ogg oga spx opus mp1 mp2 mp3 m1a m2a mpa mpga mpc mpp "
    "aac adts loas latm m4a m4b m4r f4a isma ac3 eac3 ec3 dts dtshd mlp thd wma xwma ra amr awb 3ga gsm "
    "g722 dss oma aa3 omg dsf dff vqf qoa sbc msbc mka weba mmf "
    # Films.
    "mp4 m4v mov qt f4v ismv psp 3gp 3g2 3gpp 3gpp2 webm mkv mk3d avi divx wmv asf wtv dvr-ms flv nsv "
    "ogv ogm rm rmvb ivr mpg mpeg mpe m2p vob dvd ts mts m2ts m2t tp trp tod mxf gxf nut dv dav "
)
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
_TRANSPORT_STREAMS = frozenset({".ts", ".mts"})  # or TypeScript
_SYNC_BYTE, _SYNC_PLACES = 0x47, (0, 4)  # of packets, those of some recorders behind a time code

HIDDEN_FILE, HIDDEN_FOLDER = "a hidden file", "a hidden folder"
LINKED_FOLDER = "a link to a folder; name it to have it read"
READ_FOLDER = "a folder that is read under another name"
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
    ignored: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


def audio_files(paths: Iterable[str | Path], *, follow_links: bool = False) -> FoundFiles:
    """Returns the files that paths name.

    Args:
        paths: files, which are taken whatever they are, and folders, whose audio files are taken by suffix.
            Links to files are followed everywhere, links to folders where they are named.
        follow_links: whether links to folders are followed everywhere; each folder is read once.

    Raises:
        InvalidInput: a path is neither a file nor a folder, or cannot be read.
    """
    found = FoundFiles()
    for path in map(absolute, paths):
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
            _Folder(path, follow_links).read(found)
        else:
            raise InvalidInput(f"path must be a file or folder, got {path}, which is not a regular file")
    found.files = list(dict.fromkeys(found.files))
    return found


def absolute(path: str | Path) -> Path:
    """Returns the absolute path. Raises InvalidInput."""
    if not str(path):
        raise InvalidInput("path must be a file or folder, got an empty one")
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise InvalidInput(f"the current folder was removed: path must be absolute, got {path}") from error


class _Folder:
    """A folder that is read with all that it holds."""

    def __init__(self, path: Path, follow_links: bool) -> None:
        self._path, self._follow_links = path, follow_links
        self._found = FoundFiles()
        self._linked: list[Path] = []

    def read(self, found: FoundFiles) -> None:
        """Adds what the folder holds, sorted. Raises InvalidInput if it cannot be read."""
        inside = self._found
        read: set[tuple[int, int]] = set()
        waiting = [self._path]
        while waiting or self._linked:
            # Links come last, so that what lies in a folder has the name that it has there.
            current = waiting.pop() if waiting else self._linked.pop()
            try:
                state = current.stat()
                identity = (state.st_dev, state.st_ino)
                if identity in read:
                    inside.skipped[current] = READ_FOLDER
                    continue
                read.add(identity)
                with os.scandir(current) as entries:
                    waiting += [Path(entry.path) for entry in entries if self._take(entry)]
            except OSError as error:
                if current == self._path:
                    raise InvalidInput(f"the folder {self._path} cannot be read: {error.strerror}") from error
                inside.skipped[current] = _unreadable(error)
        found.files += sorted(inside.files)
        found.ignored += sorted(inside.ignored)
        found.skipped |= dict(sorted(inside.skipped.items()))

    def _take(self, entry: os.DirEntry[str]) -> bool:
        """Adds a file, or why it is left out; returns whether the entry is a folder to be read."""
        path = Path(entry.path)
        try:
            if entry.is_dir():
                reason = _reason_of_folder(entry)
                if reason == LINKED_FOLDER and self._follow_links:
                    self._linked.append(path)
                    return False
            elif path.suffix.lower() not in AUDIO_SUFFIXES:
                self._found.ignored.append(path)
                return False
            else:
                reason = _reason_of_file(entry)
                if (
                    not reason
                    and path.suffix.lower() in _TRANSPORT_STREAMS
                    and not _is_transport_stream(path)
                ):
                    self._found.ignored.append(path)
                    return False
        except OSError as error:  # a loop of links, a name that is too long
            reason = _unreadable(error)
        if reason:
            self._found.skipped[path] = reason
        elif not entry.is_dir():
            self._found.files.append(path)
        return not reason and entry.is_dir()


def _is_transport_stream(path: Path) -> bool:
    """Returns whether a file begins as an MPEG transport stream does. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(max(_SYNC_PLACES) + 1)
    return any(start[place : place + 1] == bytes([_SYNC_BYTE]) for place in _SYNC_PLACES)


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
