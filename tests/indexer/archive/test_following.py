"""Readers beside a writer; both in this process, which locks keep apart as they do two processes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.indexer.archive.conftest import identities, upload
from wordspot.indexer.archive.batches import BatchLimits
from wordspot.indexer.archive.following import FollowedGeneration
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.errors import DataLoss, FailedPrecondition, NotFound
from wordspot.indexer.vectors.policy import IndexPolicy

Open = Callable[..., Library]


@pytest.fixture
def read(open_library: Open) -> Iterator[Open]:
    """Opens readers of this test's home, which are closed before the writer."""
    with ExitStack() as leaving:

        def open_one(**options: object) -> Library:
            return leaving.enter_context(closing(open_library(read_only=True, **options)))

        yield open_one


def searchable(library: Library) -> set[str]:
    return {entry.id for entry in library.view("words").recordings if entry.alive}


def test_a_reader_sees_what_the_writer_has_committed(
    filled: Library, read: Open, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    reader = read()
    assert reader.list_archives().items == filled.list_archives().items
    assert reader.list_recordings("words").items == filled.list_recordings("words").items
    assert searchable(reader) == set(identities(filled))
    added, _ = filled.add_path("words", noise("g"))
    assert added.id not in searchable(reader)
    fakes.index(filled, "words")
    assert added.id in searchable(reader)
    assert len(reader.clip("words", added.id, 0.0, 0.5)) == 8_000
    filled.delete_recording("words", added.id)
    assert added.id not in searchable(reader)


def test_a_reader_changes_nothing(
    filled: Library, read: Open, noise: Callable[..., Path], tmp_path: Path
) -> None:
    def state() -> dict[str, int]:
        return {
            str(path): path.stat().st_mtime_ns
            for path in (tmp_path / "home").rglob("*")
            if not path.name.endswith("-shm")
        }

    (tmp_path / "home" / "segments" / "tmp-orphan").mkdir()
    before = state()
    reader = read()
    (recording, *_) = identities(reader)
    reader.view("words")
    for change in (
        lambda: reader.create_archive("other"),
        lambda: reader.add_path("words", noise("z")),
        lambda: upload(reader, noise("z")),
        lambda: reader.delete_recording("words", recording),
        lambda: reader.delete_archive("words"),
        lambda: reader.compact("words"),
        lambda: reader.start_index("words"),
    ):
        with pytest.raises(FailedPrecondition, match="the home was opened for reading only"):
            change()
    assert reader.verify("words") == ()
    assert state() == before


def test_a_reader_outlives_compaction_deletion_and_another_encoder(
    open_library: Open, read: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    writer = open_library(limits=BatchLimits(recordings=1))
    writer.create_archive("words")
    ids = [writer.add_path("words", noise(name))[0].id for name in "abcd"]
    fakes.index(writer, "words")
    reader = read()
    view = reader.view("words")
    vectors = [segment[:] for segment in view.vectors]
    before = set((tmp_path / "home" / "segments").iterdir())
    writer.delete_recording("words", ids[0])
    writer.compact("words")
    assert not before & set((tmp_path / "home" / "segments").iterdir())
    for kept, segment in zip(vectors, view.vectors, strict=True):
        assert (segment[:] == kept).all()
    assert searchable(reader) == set(ids[1:])
    assert fakes.index(writer, "words", "other").state is OperationState.SUCCEEDED
    assert reader.view("words").encoder.name == "other"
    writer.delete_archive("words")
    with pytest.raises(NotFound):
        reader.view("words")


def test_a_segment_that_is_removed_before_it_is_opened_makes_a_reader_look_again(
    open_library: Open,
    read: Open,
    noise: Callable[..., Path],
    fakes: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = open_library(limits=BatchLimits(recordings=1))
    writer.create_archive("words")
    ids = [writer.add_path("words", noise(name))[0].id for name in "abc"]
    fakes.index(writer, "words")
    reader = read()
    compacted: list[object] = []
    opened = FollowedGeneration._opened

    def compact_first(self: FollowedGeneration, *arguments: object) -> object:
        if not compacted:
            compacted.append(writer.compact("words"))
        return opened(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FollowedGeneration, "_opened", compact_first)
    assert searchable(reader) == set(ids)
    assert compacted


def test_a_generation_that_is_replaced_while_it_is_opened_does_not_look_empty(
    filled: Library, read: Open, fakes: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = read()
    done: list[object] = []
    committed = FollowedGeneration._committed

    def replace_behind(self: FollowedGeneration) -> object:
        found = committed(self)
        if not done:
            done.append(fakes.index(filled, "words", "other"))
        return found

    monkeypatch.setattr(FollowedGeneration, "_committed", replace_behind)
    view = reader.view("words")
    assert view.encoder.name == "other"
    assert len(view.recordings) == 6


def test_damage_that_a_reader_meets_is_said_and_left_out_and_is_not_entered(
    open_library: Open, read: Open, noise: Callable[..., Path], fakes: SimpleNamespace, tmp_path: Path
) -> None:
    writer = open_library(limits=BatchLimits(recordings=1))
    writer.create_archive("words")
    for name in "abc":
        writer.add_path("words", noise(name))
    fakes.index(writer, "words")
    damaged = min((tmp_path / "home" / "segments").iterdir())
    (damaged / "spans.npy").write_bytes(b"nonsense")
    reader = read()
    with pytest.raises(DataLoss, match=damaged.name):
        reader.view("words")
    view = reader.view("words")
    assert len(view.recordings) == 2
    assert [(each.name, each.recordings) for each in view.quarantined] == [(damaged.name, 1)]
    assert reader.get_archive("words").quarantined == ()


def test_an_operation_of_the_writer_is_watched_and_one_without_a_writer_is_interrupted(
    open_library: Open,
    read: Open,
    noise: Callable[..., Path],
    embedders: object,
    tmp_path: Path,
    fakes: SimpleNamespace,
    audio: Path,
) -> None:
    writer = open_library()
    writer.create_archive("words")
    writer.add_path("words", noise("a"))
    go_on = threading.Event()
    embedders.known["fake"].before = lambda count: go_on.wait(30)  # type: ignore[attr-defined]
    operation = writer.start_index("words")
    reader = read()
    assert reader.get_operation(operation.id).state is OperationState.RUNNING
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    with closing(fakes.library_at(tmp_path / "copy", [audio], embedders, read_only=True)) as alone:
        assert alone.get_operation(operation.id).state is OperationState.INTERRUPTED
    go_on.set()
    *_, last = reader.watch_operation(operation.id)
    assert last.state is OperationState.SUCCEEDED


def test_the_cached_index_is_read_from_the_files_that_were_checked(
    open_library: Open, read: Open, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    policy = IndexPolicy("ivf-sq8")
    writer = open_library(index=policy)
    writer.create_archive("words")
    ids = [writer.add_path("words", noise(name, seconds=20.0))[0].id for name in "ab"]
    fakes.index(writer, "words")
    assert searchable(read(index=policy)) == set(ids)


def test_a_home_without_a_catalogue_cannot_be_read(read: Open) -> None:
    with pytest.raises(FailedPrecondition, match="the catalogue cannot be used"):
        read()
