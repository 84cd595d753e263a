"""Real disks: one that is full, one that is read-only, one that another process is writing to, damaged
files."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wordspot.indexer.archive.home_lock import HomeLock

if TYPE_CHECKING:
    from tests.e2e.conftest import Sample, Wordspot

Mount = Callable[..., None]
DISK_BYTES = 16 << 20


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts until the end of the test; skips it where that is not permitted."""
    with ExitStack() as leaving:

        def at(folder: Path, *options: str) -> None:
            done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"may not mount: {done.stderr.strip()}")
            if "remount" not in ",".join(options):
                leaving.callback(subprocess.run, ["umount", "--lazy", folder], check=True)

        yield at


def fill(folder: Path) -> Path:
    """Leaves no free byte on the folder's disk; returns the file that takes them."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def test_on_a_full_disk_searches_answer_and_deleting_makes_room(
    wordspot: Wordspot, sample: Sample, mount: Mount
) -> None:
    disk = wordspot.home
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none")
    full = type(wordspot)(wordspot.forks, disk / "home")
    first, second = sample.dozen[:3], sample.dozen[3:]
    assert full.run("index", *first, "--encoder", "naive").code == 0
    query = sample.query("password")
    before = full.ask("search", query)
    filler = fill(disk)
    for _ in range(3):
        assert "no space left on the disk: " in full.refuse("index", *second)
    assert full.ask("search", query)["hits"] == before["hits"]
    recording = full.ask("archive", "show")["recording_list"][0]["id"]
    full.ask("archive", "delete", "default", "--yes", "--recording", recording)
    filler.unlink()
    assert full.run("index", *second).code == 0
    assert full.ask("archive", "show")["indexed_recordings"] == len(sample.dozen) - 1
    assert full.run("archive", "verify").code == 0


def test_a_home_on_a_read_only_disk_is_searched(
    few: Wordspot, sample: Sample, mount: Mount, tmp_path: Path
) -> None:
    query = sample.query("password")
    before = few.ask("search", query)
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount(folder, "--bind", str(few.home))
    mount(folder, "-o", "remount,ro,bind")
    at_rest = type(few)(few.forks, folder)
    assert at_rest.ask("search", query) == before
    assert at_rest.ask("archive", "list")["name"] == "default"
    verified = at_rest.run("archive", "verify")
    assert (verified.code, verified.errors) == (
        0,
        f"wordspot: {folder} cannot be written: damage is named, but stays in the way of searches\n",
    )
    assert "0 damaged" in verified.output
    for command in (("index", query), ("archive", "delete", "default", "--yes"), ("archive", "compact")):
        assert f"must be a folder that can be written, got {folder}" in at_rest.refuse(*command)


def test_a_home_on_a_read_only_disk_that_is_changed_elsewhere_is_said_so(
    few: Wordspot, sample: Sample, mount: Mount, tmp_path: Path
) -> None:
    from wordspot import Client

    folder = tmp_path / "mounted"
    folder.mkdir()
    mount(folder, "--bind", str(few.home))
    mount(folder, "-o", "remount,ro,bind")
    with Client(home=folder, read_only=True) as reader:
        assert reader.search(sample.query("password"))
        assert few.run("archive", "delete", "default", "--yes").code == 0
        with pytest.raises(Exception, match="another process has changed it meanwhile"):
            reader.search(sample.query("password"))


def test_beside_another_process_verify_names_damage(few: Wordspot) -> None:
    with ExitStack() as leaving:
        leaving.callback(HomeLock(few.home).release)
        sound = few.run("archive", "verify")
        assert (sound.code, sound.errors.count("\n")) == (0, 1)
        assert f"{few.home} is in use by process {os.getpid()}" in sound.errors
        assert "--address" in sound.errors
        segments = damage(few)
        damaged = few.run("archive", "verify")
        assert damaged.code == 2
        assert all(segment in damaged.output for segment in segments)
    assert few.ask("archive", "show")["quarantined"] == []
    assert few.run("archive", "verify").code == 2
    assert [entry["name"] for entry in few.ask("archive", "show")["quarantined"]] == segments


def test_each_message_of_damage_says_what_can_be_done(few: Wordspot, sample: Sample) -> None:
    advice = "`wordspot archive repair --archive default`"
    query = sample.query("password")
    before = few.ask("search", query)
    segments = damage(few)
    first = few.refuse("search", query)
    assert all(f"segment {segment}: vectors.npy differs" in first for segment in segments)
    assert advice in first
    assert advice in few.run("archive", "verify").errors
    for command in (("search", query), ("search", query, "--json")):
        line = few.refuse(*command)
        assert "nothing of archive 'default' can be searched" in line
        assert advice in line
    assert few.run("archive", "repair").code == 0
    assert few.ask("search", query)["hits"] == before["hits"]


def damage(wordspot: Wordspot) -> list[str]:
    """Puts zeros into the vectors of each segment; returns their names."""
    with closing(sqlite3.connect(wordspot.home / "catalogue.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM segments ORDER BY id")]
    segments = [wordspot.home / "segments" / name for name in names]
    for segment in segments:
        vectors = segment / "vectors.npy"
        vectors.write_bytes(bytes(vectors.stat().st_size))
    return names
