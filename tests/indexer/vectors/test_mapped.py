from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wordspot.indexer.vectors.mapped import map_array

SPARE_DESCRIPTORS = 8


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + SPARE_DESCRIPTORS, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def stored(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("rows", [0, 1, 5_000])
def test_an_array_is_what_was_stored_and_cannot_be_written_to(tmp_path: Path, rows: int) -> None:
    table = np.zeros(rows, np.dtype([("start", "<u2"), ("length", "<u2")]))
    table["start"] = np.arange(rows)
    mapped = map_array(stored(tmp_path / "spans.npy", table))
    np.testing.assert_array_equal(mapped.array, table)
    assert bytes(mapped.file.data) == (tmp_path / "spans.npy").read_bytes()
    with pytest.raises(ValueError, match="WRITEABLE"):
        mapped.array.flags.writeable = True


def test_maps_hold_no_descriptors(tmp_path: Path, few_descriptors: None) -> None:
    path = stored(tmp_path / "rows.npy", np.arange(24).reshape(6, 4))
    maps = [map_array(path) for _ in range(10 * SPARE_DESCRIPTORS)]
    assert all(mapped.array.sum() == 276 for mapped in maps)


def test_a_map_stays_valid_without_its_file_and_with_nothing_but_a_slice_left(tmp_path: Path) -> None:
    path = stored(tmp_path / "rows.npy", np.arange(100_000))
    mapped = map_array(path)
    mapped.file.release_pages()
    rest = mapped.array[99_990:]
    path.unlink()
    del mapped
    gc.collect()
    assert rest.tolist() == list(range(99_990, 100_000))


def test_a_map_ends_with_its_last_array(tmp_path: Path) -> None:
    path = stored(tmp_path / "mapped-once.npy", np.arange(10))
    mapped = map_array(path)
    assert path.name in Path("/proc/self/maps").read_text()
    del mapped
    gc.collect()
    assert path.name not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16,
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '<i8', 'fortran_order': False, 'shape': (1000000,), }       \n",
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }             \n",
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(content)
    with pytest.raises((ValueError, KeyError)):
        map_array(path)
