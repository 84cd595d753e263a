"""Log-mel spectra of many clips in memory, from which encoders learn.

Ten hours take 290 MB at half precision. A teacher's frames lie beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio
from wordspot.models.errors import BadInput

SHORTEST_SECONDS = 0.4
TICKS_PER_TARGET = 2
# Beyond a clip's end.
SILENCE_DB = -80.0

Teacher = Callable[[list[NDArray[np.float32]]], list[NDArray[np.float32]]]
FrontEnd = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Spectra:
    """Log-mel spectra of clips, and a teacher's frames.

    Attributes:
        spectra: float16 (T, bands) in dB, clips one after another.
        bounds: int64 (clips + 1,), where each clip begins and the last ends, in ticks.
        names: Of the clips.
        targets: float16 (T / 2, H), the teacher's unit rows every 20 ms; None without a teacher.
    """

    spectra: NDArray[np.float16]
    bounds: NDArray[np.int64]
    names: tuple[str, ...]
    targets: NDArray[np.float16] | None = None

    def length(self, clip: int) -> int:
        """Returns a clip's length in frames of 20 ms."""
        return int(self.bounds[clip + 1] - self.bounds[clip]) // TICKS_PER_TARGET

    @property
    def seconds(self) -> float:
        """Duration of all recordings."""
        return len(self.spectra) / audio.TICKS_PER_SECOND

    @property
    def sha256(self) -> str:
        """SHA-256 of the clips' names and lengths."""
        digest = hashlib.sha256()
        for name, ticks in zip(self.names, np.diff(self.bounds), strict=True):
            digest.update(f"{name} {ticks}\n".encode())
        return digest.hexdigest()

    def at(self, clips: NDArray[np.int64], start: NDArray[np.int64], ticks: int) -> Tensor:
        """Returns spectra (B, ticks, bands) from tick `start` (B,) of the corpus on, silence beyond each
        clip."""
        rows = start[:, None] + np.arange(ticks)
        inside = (rows >= self.bounds[clips][:, None]) & (rows < self.bounds[clips + 1][:, None])
        cut = self.spectra[np.minimum(rows, len(self.spectra) - 1)].astype(np.float32)
        cut[~inside] = SILENCE_DB
        return torch.from_numpy(cut)

    def targets_of(
        self, start: NDArray[np.int64], clips: NDArray[np.int64], count: int
    ) -> tuple[Tensor, Tensor]:
        """Returns targets (B, count, H) from the crops' starts on, and where there are any, bool (B,
        count)."""
        assert self.targets is not None
        rows = start[:, None] // TICKS_PER_TARGET + np.arange(count)
        inside = rows < self.bounds[clips + 1][:, None] // TICKS_PER_TARGET
        cut = self.targets[np.minimum(rows, len(self.targets) - 1)].astype(np.float32)
        return torch.from_numpy(cut), torch.from_numpy(inside)

    def without(self, names: Container[str]) -> Spectra:
        """Returns the clips that have none of these names."""
        clips = [clip for clip, name in enumerate(self.names) if name not in names]
        rows = [slice(int(self.bounds[clip]), int(self.bounds[clip + 1])) for clip in clips]
        lengths = [place.stop - place.start for place in rows]
        targets = self.targets
        if targets is not None:
            halves = [slice(p.start // TICKS_PER_TARGET, p.stop // TICKS_PER_TARGET) for p in rows]
            targets = np.concatenate([targets[place] for place in halves])
        return Spectra(
            np.concatenate([self.spectra[place] for place in rows]),
            np.cumsum([0, *lengths], dtype=np.int64),
            tuple(self.names[clip] for clip in clips),
            targets,
        )

    def save(self, path: Path) -> None:
        """Writes a NumPy archive, which is whole or absent."""
        arrays = {"spectra": self.spectra, "bounds": self.bounds, "names": np.array(self.names)}
        if self.targets is not None:
            arrays["targets"] = self.targets
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Spectra:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(arrays["names"].tolist())
            return cls(arrays["spectra"], arrays["bounds"], names, arrays.get("targets"))


def of_files(
    files: Iterable[tuple[str, Path]],
    teacher: Teacher | None = None,
    log_mel: FrontEnd = audio.log_mel,
) -> Spectra:
    """Reads clips and computes their spectra.

    Args:
        files: Name and path of each.
        teacher: Gets the waveforms a few at a time, in order; None without targets.
        log_mel: From a waveform (samples,) to spectra (ticks, bands) in dB.

    Raises:
        BadInput: A file cannot be read, or no clip is long enough.
    """
    rows: list[NDArray[np.float16]] = []
    targets: list[NDArray[np.float16]] = []
    names: list[str] = []
    bounds = [0]
    waiting: list[NDArray[np.float32]] = []

    def flush() -> None:
        if teacher is not None and waiting:
            targets.extend(t.astype(np.float16) for t in teacher(waiting))
        waiting.clear()

    for name, path in files:
        wave = audio.load(path)
        if len(wave) < SHORTEST_SECONDS * audio.SAMPLE_RATE:
            continue
        step = TICKS_PER_TARGET * audio.HOP_SAMPLES
        wave = wave[: len(wave) // step * step]
        rows.append(log_mel(torch.from_numpy(wave)).numpy().astype(np.float16))
        names.append(name)
        bounds.append(bounds[-1] + len(rows[-1]))
        waiting.append(wave)
        if len(waiting) == 64:
            flush()
    flush()
    if not rows:
        raise BadInput(f"no clip of {SHORTEST_SECONDS} s or more to train on")
    return Spectra(
        np.concatenate(rows),
        np.array(bounds, np.int64),
        tuple(names),
        np.concatenate(targets) if teacher is not None else None,
    )
