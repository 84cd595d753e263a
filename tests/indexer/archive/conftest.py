"""Recordings of noise, and archives of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from wordspot.indexer import faults
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.tables import OperationState


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture
def noise(audio: Path, fakes: SimpleNamespace) -> Callable[..., Path]:
    """A WAV file below the allowed root, its content by its name."""

    def made(name: str, seconds: float = 1.0, **options: object) -> Path:
        path: Path = fakes.write_noise(
            audio / f"{name}.wav", seed=sum(name.encode()), seconds=seconds, **options
        )
        return path

    return made


@pytest.fixture
def filled(library: Library, noise: Callable[..., Path], fakes: SimpleNamespace) -> Library:
    """Six recordings, indexed: four before, two later."""
    for name in "abcd":
        library.add_path("words", noise(name))
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    for name in "ef":
        library.add_path("words", noise(name, seconds=2.0))
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    return library


def upload(library: Library, path: Path, archive: str = "words", **changes: object) -> tuple[object, bool]:
    data = path.read_bytes()
    header = {"filename": path.name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} | changes
    with library.begin_upload(archive, **header) as receiving:  # type: ignore[arg-type]
        for first in range(0, len(data), 10_000):
            receiving.write(data[first : first + 10_000])
        return receiving.finish()


def identities(library: Library, archive: str = "words") -> list[str]:
    return [recording.id for recording in library.list_recordings(archive).items]


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
