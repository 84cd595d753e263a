from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from wordspot.indexer.archive.library import Library
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.sound.peaks import peaks_of


@pytest.fixture
def indexed(library: Library, noise: Callable[..., Path], fakes: SimpleNamespace) -> tuple[str, Path]:
    path = noise("long", seconds=30.0)
    recording, _ = library.add_path("words", path)
    fakes.index(library, "words")
    return recording.id, path


def kept(library: Library) -> list[Path]:
    return sorted((library._home.root / "peaks").glob("*"))


def test_the_waveform_of_a_recording_is_taken_while_it_is_indexed(
    library: Library, indexed: tuple[str, Path]
) -> None:
    recording, path = indexed
    path.unlink()
    summary = library.peaks("words", recording, 0.0, 0.0, 300)
    assert (summary.start, summary.end, summary.peaks.shape) == (0.0, 30.0, (300, 2))
    (file,) = kept(library)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FailedPrecondition):
        library.peaks("words", recording, 1.0, 1.1, 1_000)  # finer than what is kept


def test_a_stretch_has_the_extremes_of_its_samples(library: Library, indexed: tuple[str, Path]) -> None:
    recording, path = indexed
    samples, _ = soundfile.read(path, dtype="float32")
    coarse = library.peaks("words", recording, 3.0, 13.0, 500)
    assert np.array_equal(coarse.peaks, peaks_of(samples[48_000:208_000], 500))
    fine = library.peaks("words", recording, 3.0, 4.0, 400)
    assert np.array_equal(fine.peaks, peaks_of(samples[48_000:64_000], 400))
    beyond = library.peaks("words", recording, 29.0, 99.0, 10)
    assert (beyond.start, beyond.end) == (29.0, 30.0)


def test_what_is_missing_or_damaged_is_taken_again(library: Library, indexed: tuple[str, Path]) -> None:
    recording, _ = indexed
    told = library.peaks("words", recording, 0.0, 0.0, 50).peaks
    for spoil in (Path.unlink, lambda path: path.write_bytes(b"no waveform")):
        spoil(kept(library)[0])
        assert np.array_equal(library.peaks("words", recording, 0.0, 0.0, 50).peaks, told)
        assert len(kept(library)) == 1


def test_they_go_with_the_recording(library: Library, indexed: tuple[str, Path]) -> None:
    library.delete_recording("words", indexed[0])
    assert not kept(library)


@pytest.mark.parametrize(
    ("start", "end", "buckets", "message"),
    [
        (0.0, 0.0, 0, "buckets must be between 1 and 100,000, got 0"),
        (2.0, 1.0, 5, "a stretch must have 0 <= start < end, got 2.0 to 1.0 s"),
        (-1.0, 1.0, 5, "a stretch must have 0 <= start"),
        (float("nan"), 1.0, 5, "a stretch must have 0 <= start"),
        (1e307, 1e308, 5, "start must lie before the end"),
        (31.0, 40.0, 5, "start must lie before the end of the recording, 30 s, got 31"),
    ],
)
def test_a_stretch_that_is_none_is_refused(
    library: Library, indexed: tuple[str, Path], start: float, end: float, buckets: int, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        library.peaks("words", indexed[0], start, end, buckets)
    with pytest.raises(NotFound):
        library.peaks("words", "none", 0.0, 0.0, 5)
