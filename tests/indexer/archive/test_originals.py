from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.indexer.archive.conftest import upload
from wordspot.indexer.archive import originals as originals_module
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.originals import ChangedFile
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotAllowed, NotFound
from wordspot.indexer.records import Samples
from wordspot.indexer.sound.opened import OpenFile

Noise = Callable[..., Path]
Open = Callable[..., Library]


def exchange(one: Path, other: Path) -> None:
    """Puts each in the place of the other."""
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


# Names


def test_a_relative_path_lies_below_a_root_and_is_told_as_given(
    open_library: Open, noise: Noise, audio: Path
) -> None:
    library = open_library()
    library.create_archive("words")
    (audio / "below").mkdir()
    noise("a").rename(audio / "below" / "a.wav")
    recording, _ = library.add_path("words", Path("below/a.wav"))
    assert recording.path == "below/a.wav"
    assert len(library.clip("words", recording.id, 0.0, 0.5)) == 8_000
    for path in ("../outside.wav", "below/../../outside.wav"):
        with pytest.raises(NotAllowed, match=r"outside\.wav does not lie below a folder that this server"):
            library.add_path("words", Path(path))


def test_links_are_followed_only_to_what_lies_below_a_root(
    library: Library, noise: Noise, audio: Path
) -> None:
    path = noise("a")
    (audio / "folder").mkdir()
    (audio / "relative.wav").symlink_to("a.wav")
    (audio / "absolute.wav").symlink_to(path)
    (audio / "up").symlink_to(audio / "folder")
    (audio / "loop.wav").symlink_to("loop.wav")
    (audio.parent / "into").symlink_to(audio)
    noise("b").rename(audio / "folder" / "b.wav")
    for name in ("relative.wav", "absolute.wav", "up/b.wav", "../into/a.wav"):
        recording, _ = library.add_path("words", audio / name)
        assert len(library.clip("words", recording.id, 0.0, 0.5)) == 8_000
    with pytest.raises(InvalidInput, match=r"cannot read .*loop\.wav"):
        library.add_path("words", audio / "loop.wav")
    (audio.parent / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(NotAllowed):  # says nothing of what is outside
        library.add_path("words", audio.parent / "loop.wav")


# Exchanges


class ExchangingDecoder:
    """A decoder that does something once the file has been checked and before it is read."""

    def __init__(self, decoder: Any, act: Callable[[], None]) -> None:
        self._decoder, self.act = decoder, act

    def probe(self, file: OpenFile) -> Any:
        self.act()
        return self._decoder.probe(file)

    def read_blocks(self, file: OpenFile, **options: Any) -> Iterator[Samples]:
        self.act()
        return self._decoder.read_blocks(file, **options)  # type: ignore[no-any-return]

    def read_stretch(self, file: OpenFile, start: float, stop: float, **options: Any) -> Samples:
        self.act()
        return self._decoder.read_stretch(file, start, stop, **options)  # type: ignore[no-any-return]


@pytest.fixture
def secret(tmp_path: Path, fakes: SimpleNamespace) -> Path:
    """A file outside the root that is as long as each inside."""
    return fakes.write_noise(tmp_path / "secret.wav", seed=4_711)  # type: ignore[no-any-return]


def test_what_is_put_in_a_files_place_after_it_was_checked_is_not_heard(
    open_library: Open, noise: Noise, secret: Path, fakes: SimpleNamespace
) -> None:
    path = noise("a")
    sound = fakes.WaveDecoder().read_stretch(path, 0.0, 0.5, max_seconds=1.0)
    decoder = ExchangingDecoder(fakes.WaveDecoder(), lambda: exchange(path, secret))
    library = open_library(decoder=decoder)
    library.create_archive("words")
    recording, _ = library.add_path("words", path)
    exchange(path, secret)
    np.testing.assert_array_equal(library.clip("words", recording.id, 0.0, 0.5), sound)
    exchange(path, secret)
    assert fakes.index(library, "words").recordings_done == 1


def test_no_clip_is_ever_of_another_file_while_paths_are_exchanged(
    library: Library, noise: Noise, secret: Path, audio: Path, fakes: SimpleNamespace
) -> None:
    (audio / "folder").mkdir()
    path = noise("a").rename(audio / "folder" / "a.wav")
    sound = fakes.WaveDecoder().read_stretch(path, 0.0, 0.5, max_seconds=1.0)
    recording, _ = library.add_path("words", path)
    (audio.parent / "elsewhere").mkdir()
    secret = secret.rename(audio.parent / "elsewhere" / "a.wav")
    done = threading.Event()

    def exchange_for_ever() -> None:
        while not done.is_set():
            exchange(path, secret)
            exchange(path, secret)
            (audio / "folder").rename(audio / "aside")
            (audio / "folder").symlink_to(secret.parent)
            (audio / "folder").unlink()
            (audio / "aside").rename(audio / "folder")

    thread = threading.Thread(target=exchange_for_ever)
    thread.start()
    served = 0
    try:
        for _ in range(400):
            try:
                clip = library.clip("words", recording.id, 0.0, 0.5)
            except FailedPrecondition:
                continue
            served += 1
            np.testing.assert_array_equal(clip, sound)
    finally:
        done.set()
        thread.join()
    assert served > 0


@pytest.mark.parametrize("linked", ["a.wav", "."])
def test_a_link_in_the_place_of_a_file_or_of_the_root_is_not_followed(
    library: Library, noise: Noise, audio: Path, linked: str
) -> None:
    recording, _ = library.add_path("words", noise("a"))
    place = audio / linked
    moved = place.rename(audio.parent / "moved")
    place.symlink_to(moved)
    with pytest.raises(ChangedFile, match=r"a\.wav (has been replaced by a link|cannot be read any more)"):
        library.clip("words", recording.id, 0.0, 0.5)


# Changes


def test_other_content_of_the_same_length_is_said_and_not_served(
    library: Library, noise: Noise, audio: Path, fakes: SimpleNamespace
) -> None:
    path = noise("a")
    recording, _ = library.add_path("words", path)
    before = path.stat()
    fakes.write_noise(path, seed=99)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChangedFile, match=r"a\.wav has another content than when it was added"):
        library.clip("words", recording.id, 0.0, 0.5)
    operation = fakes.index(library, "words")
    assert (operation.recordings_done, operation.recordings_failed) == (0, 1)
    assert "another content" in library.get_recording("words", recording.id).problem


def test_what_is_written_to_while_it_is_read_is_said(
    open_library: Open, noise: Noise, fakes: SimpleNamespace
) -> None:
    path = noise("a")
    decoder = ExchangingDecoder(fakes.WaveDecoder(), lambda: None)
    library = open_library(decoder=decoder)
    library.create_archive("words")
    recording, _ = library.add_path("words", path)
    decoder.act = lambda: fakes.write_noise(path, seed=99) and None
    with pytest.raises(ChangedFile, match="another content"):
        library.clip("words", recording.id, 0.0, 0.5)


def test_a_file_that_nobody_touches_is_hashed_once(
    library: Library, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    hash_of = originals_module._sha256_of
    monkeypatch.setattr(originals_module, "SETTLED_S", -60.0)
    monkeypatch.setattr(originals_module, "_sha256_of", lambda file: hashed.append(file) or hash_of(file))
    path = noise("a")
    recording, _ = library.add_path("words", path)
    for _ in range(3):
        library.clip("words", recording.id, 0.0, 0.5)
    assert len(hashed) == 1
    path.touch()
    library.clip("words", recording.id, 0.0, 0.5)
    assert len(hashed) == 2


def test_an_upload_is_read_from_the_home_and_named_as_the_client_did(
    library: Library, noise: Noise, tmp_path: Path
) -> None:
    recording, _ = upload(library, noise("a"))
    assert len(library.clip("words", recording.id, 0.0, 0.5)) == 8_000  # type: ignore[attr-defined]
    (stored,) = (tmp_path / "home" / "audio").iterdir()
    stored.unlink()
    stored.symlink_to(noise("a"))
    with pytest.raises(ChangedFile, match=r"^a\.wav has been replaced by a link$"):
        library.clip("words", recording.id, 0.0, 0.5)  # type: ignore[attr-defined]


def test_what_was_added_below_a_root_that_is_none_any_more_is_still_read(
    library: Library, open_library: Open, noise: Noise, tmp_path: Path
) -> None:
    recording, _ = library.add_path("words", noise("a"))
    library.close()
    (tmp_path / "other").mkdir()
    again = open_library(roots=[tmp_path / "other"])
    assert len(again.clip("words", recording.id, 0.0, 0.5)) == 8_000
    with pytest.raises(NotAllowed):
        again.add_path("words", Path(recording.path))
    with pytest.raises(NotFound):
        again.add_path("words", tmp_path / "other" / "a.wav")
