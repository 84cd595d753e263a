"""The peaks of recordings, kept beside the archive so that a long recording is drawn at once.

They are taken while a recording is indexed. Whatever is missing or damaged is taken again.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np

from wordspot.indexer.archive import files, permissions
from wordspot.indexer.sound.peaks import Peaks

_DIGEST = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


class PeakStore:
    """Peaks by the SHA-256 of the recording's content.

    Args:
        folder: of the files; made when the first is written.
        read_only: keep nothing.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only

    def load(self, sha256: str) -> Peaks | None:
        """Returns the peaks of a recording; None where there are none that can be read."""
        try:
            peaks: Peaks = np.load(self._path(sha256), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if peaks.dtype != np.int8 or peaks.ndim != 2 or peaks.shape[1:] != (2,):
            return None
        return peaks

    def save(self, sha256: str, peaks: Peaks) -> None:
        """Keeps the peaks of a recording; does nothing where they cannot be written."""
        if self._read_only or not _DIGEST.fullmatch(sha256):
            return
        temporary = self._folder / f"tmp-{uuid.uuid4().hex}"
        try:
            permissions.make_folder(self._folder)
            with permissions.open_private(temporary, "xb") as file:
                np.save(file, peaks, allow_pickle=False)
            temporary.replace(self._path(sha256))
        except OSError as error:
            _log.warning("peaks cannot be kept: %s", error.strerror)
            files.remove(temporary)

    def remove(self, sha256: str) -> None:
        """Forgets the peaks of a recording."""
        with suppress(OSError):
            self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.npy"
