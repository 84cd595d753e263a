"""Audio files by their paths."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from wordspot.indexer.errors import InvalidInput

_SUFFIXES = (
    "wav wave w64 rf64 flac ogg oga opus mp3 aif aiff aifc caf au snd "
    "m4a m4b mp4 m4v mov aac ac3 eac3 dts amr ape wv tta wma webm mkv mka avi 3gp 3g2 mpg mpeg flv "
    "mp2 mpa spx ts m2ts mts vob wmv asf ogv rm rmvb voc mxf nut gsm g722 mlp thd"
)
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


def audio_files(paths: Iterable[str | Path]) -> tuple[list[Path], int]:
    """Returns the files that paths name, and how many files in folders were left out.

    Args:
        paths: files, which are taken whatever they are, and folders, whose audio files are taken by suffix.

    Returns:
        Absolute paths, each once, those of a folder sorted; and the number of other files in folders.

    Raises:
        InvalidInput: a path is neither a file nor a folder.
    """
    files: dict[Path, None] = {}
    ignored = 0
    for path in (Path(path).absolute() for path in paths):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise InvalidInput(
                f"path must be a file or folder, got {path}, which does not exist or cannot be read "
                f"({error.strerror})"
            ) from error
        if stat.S_ISREG(mode):
            files[path] = None
            continue
        if not stat.S_ISDIR(mode):
            raise InvalidInput(f"path must be a file or folder, got {path}, which is not a regular file")
        inside = [entry for entry in sorted(path.rglob("*")) if entry.is_file()]
        audio = [p for p in inside if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith(".")]
        files.update(dict.fromkeys(audio))
        ignored += len(inside) - len(audio)
    return list(files), ignored


def check_path(path: Path) -> None:
    """Raises InvalidInput for a path that no message could carry."""
    if printable(path) != str(path):
        raise InvalidInput(f"path must be UTF-8, got {printable(path)}")


def printable(path: Path) -> str:
    """Returns the path, with escapes for bytes that are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()
