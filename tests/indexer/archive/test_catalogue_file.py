"""The catalogue and what ties it to its home: backed up, restored, made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.indexer.archive.conftest import identities, upload
from tests.indexer.archive.test_library import QUERY, Open, found
from tests.indexer.archive.test_quarantine import rows
from tests.indexer.archive.test_segments import DAMAGES, damaged
from wordspot.indexer.archive import catalogue_file
from wordspot.indexer.archive.home import RESERVE_BYTES, Home
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.tables import OperationState
from wordspot.indexer.errors import (
    AlreadyExists,
    ArchiveError,
    DataLoss,
    Exhausted,
    FailedPrecondition,
    InvalidInput,
    NotFound,
)


def refusal_of(open_library: Open, use: Callable[[Library], object] = lambda library: True) -> str:
    """Opens the home and uses it; returns the message of the refusal, empty for none."""
    try:
        with open_library() as library:
            assert use(library)
    except ArchiveError as error:
        return str(error)
    return ""


def test_a_backup_of_an_open_home_restores_what_it_was(
    filled: Library, open_library: Open, tmp_path: Path
) -> None:
    everything = found(filled.view("words"), QUERY)
    summary = catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    assert (summary.archives, summary.recordings) == (1, 6)
    with pytest.raises(AlreadyExists, match="copy exists"):
        catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    with pytest.raises(FailedPrecondition, match="is in use by process"):
        catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    filled.close()
    (tmp_path / "home" / "catalogue.db").write_bytes(b"\xff" * 8192)
    with pytest.raises(DataLoss, match="wordspot restore FILE"):
        open_library()
    result = catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    assert (result.catalogue, result.missing_segments, result.unlisted) == (summary, (), None)
    assert result.replaced is not None
    assert result.replaced.read_bytes() == b"\xff" * 8192
    assert found(open_library().view("words"), QUERY) == everything


def test_what_a_backup_does_not_list_is_set_aside_and_what_is_missing_is_repaired(
    filled: Library, open_library: Open, tmp_path: Path, noise: Callable[..., Path], fakes: SimpleNamespace
) -> None:
    everything = found(filled.view("words"), QUERY)
    catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    upload(filled, noise("later"))
    assert fakes.index(filled, "words").state is OperationState.SUCCEEDED
    filled.compact("words")
    filled.close()
    result = catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    assert len(result.missing_segments) == result.catalogue.segments
    assert result.unlisted is not None
    assert len(list((result.unlisted / "segments").iterdir())) == 1
    assert len(list((result.unlisted / "audio").iterdir())) == 1
    library = open_library()
    assert len(library.verify("words")) == result.catalogue.segments
    operation = library.repair("words")
    *_, last = library.watch_operation(operation.id)
    assert last.state is OperationState.SUCCEEDED
    assert found(library.view("words"), QUERY) == everything


def test_a_lost_home_is_restored_into_an_empty_folder(
    filled: Library, open_library: Open, tmp_path: Path, fakes: SimpleNamespace
) -> None:
    everything = found(filled.view("words"), QUERY)
    catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    filled.close()
    shutil.rmtree(tmp_path / "home")
    catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    library = open_library()
    assert fakes.index(library, "words").state is OperationState.SUCCEEDED
    assert found(library.view("words"), QUERY) == everything


def test_a_file_that_is_no_backup_of_this_home_is_refused(
    filled: Library, open_library: Open, tmp_path: Path
) -> None:
    catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    filled.close()
    (tmp_path / "text").write_text("no database")
    with pytest.raises(NotFound, match="has no catalogue"):
        catalogue_file.back_up(tmp_path, tmp_path / "other")
    with pytest.raises(InvalidInput, match="no file"):
        catalogue_file.restore(tmp_path / "home", tmp_path / "absent")
    with pytest.raises(InvalidInput, match="is no backup of a catalogue"):
        catalogue_file.restore(tmp_path / "home", tmp_path / "text")
    (tmp_path / "home" / "identity").write_text("a" * 32)
    with pytest.raises(FailedPrecondition, match="that of another home"):
        catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    assert list((tmp_path / "home").glob("tmp-*")) == []


def test_a_damaged_identity_is_made_anew_or_said(filled: Library, open_library: Open, tmp_path: Path) -> None:
    filled.close()
    path = tmp_path / "home" / "identity"
    identity = path.read_bytes()
    rng = np.random.default_rng(11)
    for _ in range(DAMAGES):
        path.write_bytes(damaged(identity, rng))
        if refusal := refusal_of(open_library):
            # It reads as the identity of another home.
            assert "wordspot restore --identity" in refusal
            assert catalogue_file.restore_identity(tmp_path / "home") == identity.decode()
        assert path.read_bytes() == identity
    path.unlink()
    library = open_library()
    assert path.read_bytes() == identity
    assert len(identities(library)) == 6


def test_a_catalogue_of_zeros_anywhere_opens_or_says_that_it_is_damaged(
    filled: Library, open_library: Open, tmp_path: Path
) -> None:
    catalogue_file.back_up(tmp_path / "home", tmp_path / "copy")
    filled.close()
    path = tmp_path / "home" / "catalogue.db"
    data = path.read_bytes()
    everything = rows(filled_again := open_library())
    filled_again.close()
    refusals = []
    for page in range(0, len(data), 4096):
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(data[:page] + bytes(4096) + data[page + 4096 :])
        refusals.append(
            refusal_of(open_library, lambda library: rows(library) == everything or library.verify("words"))
        )
    assert all("damaged" in refusal or "do not belong" in refusal for refusal in refusals if refusal)
    assert any(refusals)
    catalogue_file.restore(tmp_path / "home", tmp_path / "copy")
    assert rows(open_library()) == everything


def test_quarantine_is_read_from_outside(filled: Library, tmp_path: Path) -> None:
    assert catalogue_file.quarantined_in(tmp_path / "home") == []
    assert catalogue_file.quarantined_in(tmp_path) == []
    segment = min((tmp_path / "home" / "segments").iterdir())
    (segment / "spans.npy").unlink()
    (problem,) = filled.verify("words")
    assert catalogue_file.quarantined_in(tmp_path / "home") == [("words", problem)]


def test_on_a_full_disk_the_reserve_makes_room_to_delete(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    reserve = tmp_path / "home" / "reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    calls = []

    def delete() -> str:
        calls.append(reserve.exists())
        if reserve.exists():
            raise Exhausted("no space left")
        return "deleted"

    assert home.deleting(delete) == "deleted"
    assert calls == [True, False]
    assert reserve.exists()  # there is space again
    home.ensure_room()
    reserve.unlink()

    def fail() -> None:
        raise Exhausted("no space left")

    with pytest.raises(Exhausted):
        home.deleting(fail)
    home.close()
