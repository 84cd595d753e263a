from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.models import audio
from wordspot.models.datasets import spectra as spectra_of
from wordspot.models.datasets.spectra import Spectra

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
PROMPTS = ((0.7, 3.86), (5.06, 6.65), (7.65, 10.48))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Spectra:
    """Forty clips of spoken prompts, which overlap; some of them are the same sentence in another tone."""
    import numpy as np
    import soundfile

    root = tmp_path_factory.mktemp("corpus")
    files = []
    for number in range(40):
        start, end = PROMPTS[number % 3]
        wave = audio.load(SPEECH, start + 0.01 * (number % 7), end - start - 0.1)
        toned = wave if number % 2 else np.diff(wave, prepend=0.0) + 0.3 * wave
        path = root / f"{number:02d}.wav"
        soundfile.write(path, toned, audio.SAMPLE_RATE)
        files.append((path.name, path))
    return spectra_of.of_files(files)
