"""Log-mel spectra of many clips in memory, and random crops of them: what convolutional encoders train on.

Ten hours take 290 MB at half precision. Where a teacher has heard the clips, its frames lie beside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
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
# Between clips: a crop that runs over a clip's end hears silence.
SILENCE_DB = -80.0

Teacher = Callable[[list[NDArray[np.float32]]], list[NDArray[np.float32]]]


@dataclass(frozen=True)
class Spectra:
    """spectra: float16 (T, 40) in dB, clips one after another. bounds: int64 (clips + 1,), ticks.

    targets: float16 (T / 2, H), the teacher's unit rows every 20 ms, or None.
    names: of the clips; seconds: of audio in all.
    """

    spectra: NDArray[np.float16]
    bounds: NDArray[np.int64]
    names: tuple[str, ...]
    targets: NDArray[np.float16] | None = None

    @property
    def seconds(self) -> float:
        return len(self.spectra) / audio.TICKS_PER_SECOND

    @property
    def sha256(self) -> str:
        """Of the clips' names and lengths."""
        digest = hashlib.sha256()
        for name, ticks in zip(self.names, np.diff(self.bounds), strict=True):
            digest.update(f"{name} {ticks}\n".encode())
        return digest.hexdigest()

    def crops(
        self, clips: NDArray[np.int64], ticks: int, rng: np.random.Generator
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """A stretch of each clip: spectra (B, ticks, 40), silence where a clip is shorter, and the even tick
        (B,) in `spectra` at which it begins."""
        first, last = self.bounds[clips], self.bounds[clips + 1]
        room = np.maximum(last - first - ticks, 0)
        start = first + (rng.random(len(clips)) * (room + 1)).astype(np.int64) // 2 * 2
        return self.at(clips, start, ticks), start

    def at(self, clips: NDArray[np.int64], start: NDArray[np.int64], ticks: int) -> Tensor:
        """Spectra (B, ticks, 40) from tick `start` (B,) of the corpus on, silence beyond each clip."""
        rows = start[:, None] + np.arange(ticks)
        here = (rows >= self.bounds[clips][:, None]) & (rows < self.bounds[clips + 1][:, None])
        cut = self.spectra[np.minimum(rows, len(self.spectra) - 1)].astype(np.float32)
        cut[~here] = SILENCE_DB
        return torch.from_numpy(cut)

    def targets_of(
        self, start: NDArray[np.int64], clips: NDArray[np.int64], count: int
    ) -> tuple[Tensor, Tensor]:
        """Targets (B, count, H) from the crops' starts on, and where there are any, bool (B, count)."""
        assert self.targets is not None
        rows = start[:, None] // TICKS_PER_TARGET + np.arange(count)
        here = rows < self.bounds[clips + 1][:, None] // TICKS_PER_TARGET
        cut = self.targets[np.minimum(rows, len(self.targets) - 1)].astype(np.float32)
        return torch.from_numpy(cut), torch.from_numpy(here)

    def save(self, path: Path) -> None:
        arrays = {"spectra": self.spectra, "bounds": self.bounds, "names": np.array(self.names)}
        if self.targets is not None:
            arrays["targets"] = self.targets
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Spectra:
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(arrays["names"].tolist())
            return cls(arrays["spectra"], arrays["bounds"], names, arrays.get("targets"))


def of_files(files: Iterable[tuple[str, Path]], teacher: Teacher | None = None) -> Spectra:
    """Reads clips (name, path). The teacher gets them a few at a time, in order. Raises BadInput."""
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
        rows.append(audio.log_mel(torch.from_numpy(wave)).numpy().astype(np.float16))
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
