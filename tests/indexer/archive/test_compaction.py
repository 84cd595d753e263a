from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.indexer.archive.conftest import identities
from wordspot.indexer import faults
from wordspot.indexer.archive import compaction
from wordspot.indexer.archive.compaction import MERGED_SEGMENTS, SegmentContent, newest_of_a_tier
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.tables import OperationState, Segment
from wordspot.indexer.vectors.buckets import BucketedIndex
from wordspot.indexer.vectors.policy import IndexPolicy

KIB, MIB = 2**10, 2**20
Add = Callable[[int], None]


@pytest.fixture
def add(library: Library, noise: Callable[..., Path], fakes: SimpleNamespace) -> Add:
    """Adds so many recordings to "words", each by an operation of its own."""
    numbers = iter(range(10_000))

    def adding(count: int) -> None:
        for _ in range(count):
            number = next(numbers)
            library.add_path("words", noise(f"n{number}", seconds=1.0 + number / 100))
            assert fakes.index(library, "words").state is OperationState.SUCCEEDED

    return adding


@pytest.fixture
def unmerged(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keeps segments from being merged; undone by `merge_again`."""
    monkeypatch.setattr(compaction, "MERGED_SEGMENTS", 10_000)
    return monkeypatch


def merge_again(unmerged: pytest.MonkeyPatch) -> None:
    unmerged.setattr(compaction, "MERGED_SEGMENTS", MERGED_SEGMENTS)


def segment_names(home: Path) -> set[str]:
    return {path.name for path in (home / "segments").iterdir()}


def chosen(*sizes: int, recordings: int = 1) -> int:
    contents = [SegmentContent(Segment(size=size), recordings, ()) for size in sizes]
    picked = newest_of_a_tier(contents)
    assert list(picked) == contents[len(contents) - len(picked) :]
    return len(picked)


def test_the_newest_segments_are_merged_once_there_are_enough_of_a_tier() -> None:
    assert chosen() == 0
    assert chosen(*[KIB] * 7) == 0
    assert chosen(*[KIB] * 8) == 8
    assert chosen(*[KIB] * 300) == 300
    assert chosen(100 * MIB, *[KIB] * 8) == 8
    assert chosen(*[KIB] * 8, 100 * MIB, *[KIB] * 7) == 0
    assert chosen(*[2 * MIB] * 3, *[KIB] * 8) == 11
    assert chosen(*[9 * MIB] * 2, *[2 * MIB] * 3, *[KIB] * 2) == 0


def test_segments_that_are_large_by_bytes_or_recordings_stay() -> None:
    assert chosen(*[64 * MIB] * 20) == 0
    assert chosen(*[KIB] * 20, recordings=1_250) == 0
    assert chosen(*[KIB] * 20, recordings=1_249) == 20


def test_an_archive_of_any_number_of_additions_has_few_segments_and_finds_everything(
    add: Add, library: Library, tmp_path: Path
) -> None:
    add(70)
    view = library.view("words")
    assert len(view.vectors) < 2 * MERGED_SEGMENTS
    assert len(segment_names(tmp_path / "home")) == len(view.vectors)
    assert [entry.id for entry in view.recordings] == identities(library)
    assert library.verify("words") == ()


def test_merging_keeps_every_row_and_the_index(
    add: Add, library: Library, unmerged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add(9)
    library.delete_recording("words", identities(library)[3])
    before, names = library.view("words"), segment_names(tmp_path / "home")
    rows = np.concatenate(before.vectors)

    def refuse(*_: object) -> None:
        raise AssertionError("built anew")

    unmerged.setattr(BucketedIndex, "build", refuse)
    merge_again(unmerged)
    add(1)
    after = library.view("words")
    assert len(after.vectors) == 1
    assert not segment_names(tmp_path / "home") & names
    assert [entry.id for entry in after.recordings if entry.alive] == identities(library)
    assert after.recordings[:9] == before.recordings
    np.testing.assert_array_equal(np.concatenate(after.vectors)[: before.spans], rows)
    queries = np.eye(12, dtype=np.float32)[:2]
    for view in (before, after):
        numbers, _ = view.index.search(queries, 5, 20, view.alive_spans)
        assert numbers.min() >= 0
    np.testing.assert_array_equal(rows, np.concatenate(before.vectors))  # of files that are removed


def test_a_cached_index_is_that_of_the_merged_segments(
    add: Add,
    open_library: Callable[..., Library],
    noise: Callable[..., Path],
    fakes: SimpleNamespace,
    unmerged: pytest.MonkeyPatch,
    library: Library,
) -> None:
    library.close()
    with open_library(index=IndexPolicy("ivf-sq8")) as library:
        for number in range(MERGED_SEGMENTS):
            if number == MERGED_SEGMENTS - 1:
                merge_again(unmerged)
            library.add_path("words", noise(f"long{number}", seconds=8.0))
            fakes.index(library, "words")
        view = library.view("words")
        assert len(view.vectors) == 1
        assert not view.index._index.exact  # type: ignore[attr-defined]

    def refuse(*_: object) -> None:
        raise AssertionError("built anew")

    unmerged.setattr(BucketedIndex, "build", refuse)
    with open_library(index=IndexPolicy("ivf-sq8")) as library:
        assert library.view("words").spans == view.spans


def test_a_damaged_segment_is_not_merged_but_named(
    add: Add, library: Library, unmerged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add(8)
    damaged = min((tmp_path / "home" / "segments").iterdir())
    data = bytearray((damaged / "vectors.npy").read_bytes())
    data[-1] ^= 1
    (damaged / "vectors.npy").write_bytes(data)
    merge_again(unmerged)
    served = library._served.of("words")
    compaction.merge_newest(library._catalogue, library._home, served, threading.Event())
    assert [segment.name for segment in library.view("words").quarantined] == [damaged.name]
    assert len(segment_names(tmp_path / "home")) == 8
    add(1)
    assert not damaged.exists()
    assert len(segment_names(tmp_path / "home")) < MERGED_SEGMENTS
    assert library.verify("words") == ()


def test_a_full_disk_leaves_the_segments_as_they_are(
    add: Add, library: Library, unmerged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add(8)
    merge = compaction.merge_newest

    def merge_on_a_full_disk(*arguments: object) -> None:
        faults.arm("segment-synced", "enospc")
        merge(*arguments)  # type: ignore[arg-type]
        faults.disarm()

    merge_again(unmerged)
    unmerged.setattr(compaction, "merge_newest", merge_on_a_full_disk)
    add(1)
    assert len(segment_names(tmp_path / "home")) == 9
    assert [entry.id for entry in library.view("words").recordings] == identities(library)


def test_merging_ends_when_it_is_cancelled(
    add: Add, library: Library, unmerged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add(8)
    names = segment_names(tmp_path / "home")
    merge_again(unmerged)
    cancelled = threading.Event()
    cancelled.set()
    served = library._served.of("words")
    compaction.merge_newest(library._catalogue, library._home, served, cancelled)
    assert segment_names(tmp_path / "home") == names


def test_segments_hold_no_descriptors(add: Add, library: Library, unmerged: pytest.MonkeyPatch) -> None:
    add(1)
    library.view("words")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 24, hard))
    try:
        add(40)
        assert len(library.view("words").vectors) == 41
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
