"""A catalogue made anew from segments, and the seal of a closed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.indexer.archive.conftest import identities, upload
from tests.indexer.archive.test_library import QUERY, Open, found
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.rebuild import rebuild
from wordspot.indexer.errors import DataLoss


def test_a_lost_catalogue_is_rebuilt_from_the_segments(
    filled: Library, open_library: Open, tmp_path: Path, noise: Callable[..., Path]
) -> None:
    everything = found(filled.view("words"), QUERY)
    upload(filled, noise("never-indexed"))
    filled.close()
    (tmp_path / "home" / "catalogue.db").write_bytes(b"nothing")
    with pytest.raises(DataLoss, match="restore --segments"):
        open_library()
    result = rebuild(tmp_path / "home")
    assert (result.catalogue.archives, result.catalogue.recordings, result.unusable) == (1, 6, ())
    assert len(result.uploads) == 1
    assert result.unlisted is not None
    library = open_library()
    assert found(library.view("words"), QUERY) == everything == set(identities(library))
    assert library.verify("words") == ()


def test_what_a_damaged_catalogue_still_says_to_be_deleted_stays_deleted(
    filled: Library, open_library: Open, tmp_path: Path
) -> None:
    victim = identities(filled)[0]
    filled.delete_recording("words", victim)
    filled.close()
    with (tmp_path / "home" / "catalogue.db").open("ab") as file:
        file.write(b"more")
    assert rebuild(tmp_path / "home").deleted == 1
    library = open_library()
    assert victim not in identities(library)
    assert victim not in found(library.view("words"), QUERY)


def test_a_flipped_bit_of_a_closed_catalogue_is_refused(
    filled: Library, open_library: Open, tmp_path: Path
) -> None:
    filled.close()
    catalogue = tmp_path / "home" / "catalogue.db"
    data = bytearray(catalogue.read_bytes())
    for place in range(0, len(data), len(data) // 7):
        data[place] ^= 1
        catalogue.write_bytes(data)
        with pytest.raises(DataLoss, match="differs from its checksum"):
            open_library()
        data[place] ^= 1
    catalogue.write_bytes(data)
    assert open_library().verify("words") == ()
