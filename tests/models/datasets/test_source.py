"""The registry of data sources, and that what lies on disk stays valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from wordspot.models.datasets import catalogue, source, speech, synthetic
from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import Source, find, register, sources, split_of

Build = Callable[..., Package]

STORED = Path(__file__).parent / "stored"


@dataclass(frozen=True)
class Lines(Source):
    """A file of one package, line by line."""

    kind = "lines"

    def convert_into(self, folder: Path, root: Path) -> None:
        (folder / "lines.txt").write_text((root / "usr/share/lines.txt").read_text().upper())


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fetches a package fails."""

    def refuse(package: Package, folder: Path, packages: Path | None = None) -> Path:
        raise AssertionError(f"{package.name} would be downloaded")

    monkeypatch.setattr(source, "fetch", refuse)


@pytest.mark.usefixtures("offline")
def test_what_was_stored_before_is_read_and_not_fetched_again() -> None:
    (clip,) = speech.clips("tuxpaint", STORED)
    assert (clip.id, clip.language, clip.text) == ("tuxpaint/animals/frog", "en", "A frog.")
    assert clip.path == STORED / "datasets/tuxpaint/audio/animals/frog.flac"
    samples, rate = speech.load_mono(clip.path)
    assert (len(samples), rate) == (4_000, 8_000)
    assert synthetic.words(STORED) == {"synthetic/en/0000-m1": (("frog", 0.1, 0.4),)}
    fetched = {entry.name for entry in catalogue.entries(STORED) if entry.fetched}
    assert fetched == {"tuxpaint", "synthetic"}


@pytest.mark.usefixtures("offline")
def test_a_stamp_of_other_contents_is_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "datasets/tuxpaint"
    folder.mkdir(parents=True)
    (folder / "source.json").write_text((STORED / "datasets/tuxpaint/source.json").read_text() + " ")
    with pytest.raises(AssertionError, match="tuxpaint-stamps-default would be downloaded"):
        speech.clips("tuxpaint", tmp_path)


def test_no_stamp_changes_unnoticed() -> None:
    """A changed stamp makes everybody download that source again: only change a digest on purpose."""
    frozen = json.loads((STORED / "stamps.json").read_text())
    fixed = {name: one for name, one in sources(Source).items() if one.kind != "synthetic speech"}
    digests = {name: hashlib.sha256(one.stamp.encode()).hexdigest()[:16] for name, one in fixed.items()}
    assert digests == frozen


def test_a_source_is_one_registration(
    build: Build, packages: Path, tmp_path: Path, only: Callable[..., None]
) -> None:
    only()
    register(Lines("poem", (build("poem", {"usr/share/lines.txt": b"a line"}),), "public domain", "trains"))
    assert [entry.kind for entry in catalogue.entries(tmp_path)] == ["lines"]
    folder = find("poem", Lines).fetch(tmp_path, packages)
    assert (folder / "lines.txt").read_text() == "A LINE"
    assert catalogue.fetch("poem", tmp_path) == folder == tmp_path / "datasets/poem"
    with pytest.raises(DatasetError, match="no speech 'poem'; there are"):
        find("poem", speech.SpeechSource)
    with pytest.raises(ValueError, match="'poem' is registered already"):
        register(Lines("poem", (), "", ""))


def test_four_fifths_of_the_groups_train() -> None:
    splits = [split_of(f"group {number}") for number in range(5_000)]
    shares = [splits.count(split) / 5_000 for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.02)
