"""The states of a large network for many cuts of audio: computed once, cached on disk, held in memory.

An hour of 512 numbers every 20 ms takes 184 MB at half precision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models import audio
from wordspot.models.errors import BadInput

FRAMES_PER_SECOND = 50
CUTS_AT_ONCE = 24

StateEncoder = Callable[[Sequence[NDArray[np.float32]]], list[NDArray[np.float16]]]


@dataclass(frozen=True)
class Cut:
    """A stretch of an audio file.

    Attributes:
        name: Unique among the cuts.
        path: Of the file.
        start: In seconds.
        seconds: How long it is; None for all that follows.
    """

    name: str
    path: Path
    start: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class States:
    """States of cuts.

    Attributes:
        rows: float16 (T, H), a row every 20 ms, cuts one after another.
        bounds: int64 (cuts + 1,), where each cut begins and the last ends, in rows.
        names: Of the cuts.
    """

    rows: NDArray[np.float16]
    bounds: NDArray[np.int64]
    names: tuple[str, ...]

    def length(self, cut: int) -> int:
        """Returns a cut's length in rows."""
        return int(self.bounds[cut + 1] - self.bounds[cut])

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, rows=self.rows, bounds=self.bounds, names=np.array(self.names))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> States:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["rows"], arrays["bounds"], tuple(arrays["names"].tolist()))


def cached(
    folder: Path, name: str, cuts: Sequence[Cut], encode: StateEncoder, *, one_by_one: bool = False
) -> States:
    """Returns the states of cuts, which are cached in `folder`.

    folder: of one network. name: of the file. one_by_one: whether the network gets one cut at a time.
    Raises BadInput, and what `encode` raises.
    """
    path = folder / f"{name}-{fingerprint(cuts)[:12]}.npz"
    if path.is_file():
        return States.load(path)
    states = compute(cuts, encode, at_once=1 if one_by_one else CUTS_AT_ONCE)
    states.save(path)
    return states


def compute(cuts: Sequence[Cut], encode: StateEncoder, *, at_once: int = CUTS_AT_ONCE) -> States:
    """Returns the states of cuts. Raises BadInput, and what `encode` raises."""
    if not cuts:
        raise BadInput("0 cuts to encode; at least one is needed")
    rows: list[NDArray[np.float16]] = []
    for first in range(0, len(cuts), at_once):
        rows += encode(
            [audio.load(cut.path, cut.start, cut.seconds) for cut in cuts[first : first + at_once]]
        )
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return States(np.concatenate(rows), bounds, tuple(cut.name for cut in cuts))


def fingerprint(cuts: Sequence[Cut]) -> str:
    """Returns the SHA-256 of names and stretches."""
    lines = [f"{cut.name} {cut.start:.4f} {cut.seconds}" for cut in cuts]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
