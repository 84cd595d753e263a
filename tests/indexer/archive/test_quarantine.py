"""Damage to what an archive has stored: detected, named, excluded, repaired, or said to be lost."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.indexer.archive.conftest import identities, upload
from tests.indexer.archive.test_library import QUERY, Open, found
from tests.indexer.archive.test_segments import DAMAGES, damaged
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.segments import FILES, FORMAT
from wordspot.indexer.archive.summaries import OperationSummary, RecordingState, StoredKind
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import DataLoss, FailedPrecondition

SEGMENT_FILES = [*FILES, "checksums.npy", "manifest.json"]


def repaired(library: Library, archive: str = "words") -> OperationSummary:
    operation = library.repair(archive)
    *_, last = library.watch_operation(operation.id)
    return last


def quarantined(library: Library, archive: str = "words") -> list[str]:
    return [segment.name for segment in library.get_archive(archive).quarantined]


def all_frames(view: ArchiveView) -> list[np.ndarray]:
    return [view.region_frames(region, 0, 10**6) for region in range(len(view.region_start))]


def rows(library: Library) -> dict[str, tuple[list[list[int]], list[list[int]]]]:
    """Vectors and frames by recording."""
    view = library.view("words")
    return {
        entry.id: (
            view.span_vectors(np.arange(*view.span_ranges([number])[0])).tolist(),
            [
                row
                for region in np.flatnonzero(view.region_recording == number)
                for row in view.region_frames(int(region), 0, 10**6).tolist()
            ],
        )
        for number, entry in enumerate(view.recordings)
    }


@pytest.mark.parametrize("name", SEGMENT_FILES)
def test_each_damage_is_detected_named_and_repaired(filled: Library, tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(SEGMENT_FILES.index(name))
    before = rows(filled)
    for _ in range(DAMAGES):
        segment = sorted((tmp_path / "home" / "segments").iterdir())[int(rng.integers(2))]
        path = segment / name
        # A file of its own: what is open stays as it is.
        changed = damaged(path.read_bytes(), rng)
        path.unlink()
        path.write_bytes(changed)
        (problem,) = filled.verify("words")
        assert problem.startswith(f"segment {segment.name}")
        assert str(tmp_path) not in problem
        assert quarantined(filled) == [segment.name]
        excluded = before.keys() - rows(filled).keys()
        assert 0 < len(excluded) < 6
        operation = repaired(filled)
        assert (operation.state, operation.recordings_failed) == (OperationState.SUCCEEDED, 0)
        assert operation.recordings_done == len(excluded)
        assert quarantined(filled) == []
        assert filled.verify("words") == ()
        assert rows(filled) == before
        assert not segment.exists()


@pytest.mark.parametrize("name", FILES)
def test_zeros_never_change_an_answer_silently(
    filled: Library, open_library: Open, tmp_path: Path, name: str
) -> None:
    before = rows(filled)
    filled.close()
    segment = min((tmp_path / "home" / "segments").iterdir())
    data = (segment / name).read_bytes()
    (segment / name).write_bytes(data[:128] + bytes(len(data) - 128))
    library = open_library()
    with pytest.raises(DataLoss, match=rf"segment {segment.name}: {name}"):
        rows(library)
    rest = rows(library)
    assert rest.keys() < before.keys()
    assert {key: before[key] for key in rest} == rest
    (damage,) = library.view("words").quarantined
    assert (damage.name, damage.recordings) == (segment.name, 6 - len(rest))
    library.close()
    assert rows(open_library()) == rest


def test_damage_that_a_search_reads_in_an_open_archive_is_reported_by_it(
    filled: Library, tmp_path: Path
) -> None:
    everything = found(filled.view("words"), QUERY)
    view = filled.view("words")
    segment = min((tmp_path / "home" / "segments").iterdir())
    data = bytearray((segment / "frames.npy").read_bytes())
    data[-1] ^= 1
    with (segment / "frames.npy").open("r+b") as file:  # beneath the open map
        file.write(data)
    with pytest.raises(DataLoss, match=rf"^segment {segment.name}: frames\.npy differs"):
        all_frames(view)
    assert quarantined(filled) == [segment.name]
    assert found(filled.view("words"), QUERY) < everything


def test_a_segment_of_a_newer_version_is_refused_and_not_quarantined(
    filled: Library, open_library: Open, fakes: SimpleNamespace, tmp_path: Path
) -> None:
    filled.close()
    segment = min((tmp_path / "home" / "segments").iterdir())
    manifest = json.loads((segment / "manifest.json").read_bytes())
    newer = json.dumps(manifest | {"format": FORMAT + 1}).encode()
    (segment / "manifest.json").write_bytes(newer)
    catalogue = tmp_path / "home" / "catalogue.db"
    with closing(sqlite3.connect(catalogue)) as database, database:
        sha256 = hashlib.sha256(newer).hexdigest()
        database.execute("UPDATE segments SET manifest_sha256 = ? WHERE name = ?", (sha256, segment.name))
    catalogue.with_name("catalogue.sha256").unlink()
    library = open_library()
    message = (
        f"segment {segment.name} must be of format {FORMAT} or older, got {FORMAT + 1}: a newer wordspot"
    )
    for call in (library.view, library.view, library.compact, library.start_index, library.repair):
        with pytest.raises(FailedPrecondition, match=message):
            call("words")
    (problem,) = library.verify("words")
    assert problem.startswith(message)
    assert quarantined(library) == []


def test_recordings_in_quarantine_are_not_indexed(filled: Library, tmp_path: Path) -> None:
    segment = min((tmp_path / "home" / "segments").iterdir())
    (segment / "spans.npy").unlink()
    (check,) = (check for check in filled.check("words") if check.problem)
    assert (check.kind, check.name) == (StoredKind.SEGMENT, segment.name)
    summary = filled.get_archive("words")
    assert summary.indexed_recordings == summary.recordings - check.recordings
    states = [recording.state for recording in filled.list_recordings("words").items]
    assert states.count(RecordingState.ADDED) == check.recordings


def test_compaction_quarantines_a_damaged_segment_and_leaves_it_aside_then(
    filled: Library, tmp_path: Path
) -> None:
    everything = found(filled.view("words"), QUERY)
    segment = min((tmp_path / "home" / "segments").iterdir())
    (segment / "regions.npy").unlink()
    with pytest.raises(DataLoss, match=rf"segment {segment.name}: regions\.npy is missing"):
        filled.compact("words")
    assert quarantined(filled) == [segment.name]
    filled.compact("words")
    assert quarantined(filled) == [segment.name]
    assert repaired(filled).state is OperationState.SUCCEEDED
    assert found(filled.view("words"), QUERY) == everything


def test_a_repair_indexes_only_what_was_damaged(
    filled: Library, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    added, _ = filled.add_path("words", noise("later"))
    segment = min((tmp_path / "home" / "segments").iterdir())
    (segment / "manifest.json").unlink()
    assert len(filled.verify("words")) == 1
    operation = repaired(filled)
    assert operation.recordings_total == operation.recordings_done < 6
    assert filled.get_recording("words", added.id).state is RecordingState.ADDED
    assert repaired(filled).recordings_total == 0


@pytest.mark.parametrize("change", ["gone", "another content"])
def test_a_repair_says_what_is_lost(filled: Library, tmp_path: Path, audio: Path, change: str) -> None:
    path = audio / "e.wav"
    data = path.read_bytes()
    path.unlink()
    if change == "another content":
        path.write_bytes(data[:-2] + b"\x55\x55")
    for segment in (tmp_path / "home" / "segments").iterdir():
        (segment / "vectors.npy").unlink()
    assert len(filled.verify("words")) == len(list((tmp_path / "home" / "segments").iterdir()))
    operation = repaired(filled)
    assert (operation.state, operation.recordings_failed) == (OperationState.SUCCEEDED, 1)
    (lost,) = (r for r in filled.list_recordings("words").items if r.state is RecordingState.FAILED)
    assert lost.path == str(path)
    assert {"gone": "cannot be read any more", "another content": "another content than"}[
        change
    ] in lost.problem
    assert len(found(filled.view("words"), QUERY)) == 5


def test_a_damaged_upload_is_named_and_never_indexed_in_a_repair(
    library: Library, tmp_path: Path, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    upload(library, noise("sent"))
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    (stored,) = (tmp_path / "home" / "audio").iterdir()
    data = stored.read_bytes()
    (segment,) = (tmp_path / "home" / "segments").iterdir()
    (segment / "vectors.npy").unlink()
    rng = np.random.default_rng(9)
    for _ in range(DAMAGES):
        stored.write_bytes(damaged(data, rng))
        (check,) = (check for check in library.check("words") if check.kind is StoredKind.UPLOAD)
        assert check.problem.startswith(f"upload sent.wav (recording {identities(library)[0]}) has SHA-256")
        assert str(tmp_path) not in check.problem
    stored.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    assert repaired(library).recordings_failed == 1
    assert "sent.wav has another content" in library.list_recordings("words").items[0].problem


def test_a_repair_needs_the_encoder_of_the_archive(library: Library) -> None:
    with pytest.raises(FailedPrecondition, match="is not indexed yet"):
        library.repair("words")
