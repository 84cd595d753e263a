from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def vowels() -> np.ndarray:
    """Two seconds at 16 kHz of something with formants that move, and a pause."""
    rng = np.random.default_rng(5)
    time = np.arange(32_000) / 16_000
    pitch = np.cumsum(2 * np.pi * (120 + 20 * np.sin(3 * time)) / 16_000)
    voice = sum(np.sin(k * pitch) / k for k in range(1, 20)) * (0.55 + 0.45 * np.sin(9 * time))
    voice[12_000:15_000] = 0.0
    return (0.2 * voice + 0.002 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, vowels: np.ndarray) -> Path:
    """Thirty-two short recordings below one folder, each another tune."""
    root = tmp_path_factory.mktemp("audio")
    for index in range(32):
        stretched = np.interp(
            np.arange(0, len(vowels) - 1, 0.7 + 0.03 * index), np.arange(len(vowels)), vowels
        )
        (root / f"part{index % 3}").mkdir(exist_ok=True)
        soundfile.write(root / f"part{index % 3}" / f"{index}.flac", stretched, 16_000)
    return root
