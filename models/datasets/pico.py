"""The synthesiser SVOX Pico: one woman each for English of two countries, German, Spanish, French, Italian.

Package: py-nanotts (Apache-2.0, as Pico and its voices), compiled for Linux on 64-bit PCs and loaded out of
the unpacked wheel. Its state outlives an utterance as espeak's does: the same bytes come only out of the same
sequence of utterances in a fresh process.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError, PythonPackage

RATE = 16_000
VOICES = ("en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT")
PACKAGE = PythonPackage(
    "py-nanotts",
    "0.1.1",
    "669dad8790893731ee17d24fa5f291852cefee7a016ec8783f69dc6ab4ccb52f",
    tags="cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.manylinux_2_28_x86_64",
)
# Louder, the samples are clipped.
_VOLUME = 0.5


class Pico:
    """root: folder into which PACKAGE was unpacked. Raises DatasetError on machines of another kind."""

    def __init__(self, root: Path) -> None:
        sys.path.insert(0, str(root))
        try:
            self._synthesiser = importlib.import_module("py_nanotts").NanoTTS()
        except ImportError as error:
            raise DatasetError(f"{PACKAGE.name} needs Linux on a 64-bit PC: {error}") from error
        finally:
            sys.path.remove(str(root))

    def speak(self, text: str, voice: str, pitch: float, speed: float) -> NDArray[np.float32]:
        """Returns samples float32 (n,) at RATE. pitch: factor, 0.5 to 2. speed: factor, 0.2 to 5."""
        if voice not in VOICES:
            raise DatasetError(f"Pico has no voice {voice!r}, it has {', '.join(VOICES)}")
        content = self._synthesiser.speak(text, voice=voice, speed=speed, pitch=pitch, volume=_VOLUME)
        return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(32_768)
