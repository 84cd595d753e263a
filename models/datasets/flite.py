"""The synthesiser flite: four speakers of American and Scottish English, with the times of every phone.

Packages: flite and libflite1 (BSD-like, © Carnegie Mellon University) and libasound2 (LGPL-2.1+), which the
program is linked with. It runs out of the unpacked packages on 64-bit PCs.
"""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

from wordspot.models.datasets.package import BinaryPackage, DatasetError
from wordspot.models.datasets.speech import load_mono
from wordspot.models.espeak import Spoken
from wordspot.models.temporary import temporary_folder

VOICES = ("kal16", "awb", "rms", "slt")
PACKAGES = (
    BinaryPackage("flite", "2.2-5", "f4ce03470bf9974c2cb9cacd981e6be29339ef4c97cf994dd6fa3f90e6544db9"),
    BinaryPackage("libflite1", "2.2-5", "bfa8c591f1b47730b30b372ec38e02918a1c9795eada67684e1746390ad2f061"),
    BinaryPackage(
        "libasound2", "1.2.8-1+b1", "44c77b076a7b11ae99712439022d822245b1994c435da564ebd320bb676faf4c"
    ),
)
PAUSE = "pau"
_TIMEOUT_S = 60


class Flite:
    """root: folder into which PACKAGES were unpacked."""

    def __init__(self, root: Path) -> None:
        self._program = root / "usr/bin/flite"
        libraries = str(root / "usr/lib/x86_64-linux-gnu")
        self._environment = {**os.environ, "LD_LIBRARY_PATH": libraries}

    def speak(self, text: str, voice: str, stretch: float) -> Spoken:
        """Speaks a text; its words are not timed. stretch: factor on all durations. Raises DatasetError."""
        if voice not in VOICES:
            raise DatasetError(f"flite has no voice {voice!r}, it has {', '.join(VOICES)}")
        with temporary_folder() as folder:
            path = folder / "spoken.wav"
            command = [str(self._program), "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}"]
            command += ["-psdur", "-t", text, "-o", str(path)]
            try:
                done = subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=_TIMEOUT_S,
                    env=self._environment,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise DatasetError(f"flite cannot say {text!r}: {error}") from error
            samples, rate = load_mono(path)
        return Spoken(samples, rate, (), tuple(read_phones(done.stdout)))


def read_phones(content: str) -> list[tuple[str, float, float]]:
    """Returns the phones without the pauses, start and end in seconds, from `pau:0.215 ax:0.268`: each
    with its end."""
    ends = [("", 0.0)]
    for part in content.split():
        name, _, end = part.rpartition(":")
        ends.append((name, float(end)))
    return [(name, start, end) for (_, start), (name, end) in pairwise(ends) if name != PAUSE]
