from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import find, sources
from wordspot.models.datasets.speech import Clip, SpeechSource, Take, clips, source, split, training_clips

Build = Callable[..., Package]
Tones = Callable[..., None]
RATE = 8_000


def tones(root: Path) -> Iterator[Take]:
    """A take a line of the package's list: name and scene."""
    for line in (root / "usr/share/list.txt").read_text().splitlines():
        name, scene = line.split()
        samples = np.linspace(-0.5, 0.5, RATE // 2, dtype=np.float32)
        yield Take(name, "she", "en", scene, samples, RATE, f"this is {name}")


@pytest.fixture
def only_tones(only: Callable[..., None]) -> Tones:
    """Makes a source of tones the only one there is."""

    def register(package: Package, held_out: float = 0.0) -> None:
        only(SpeechSource("tones", (package,), "public domain", "trains", held_out, tones))

    return register


def clip_in(group: str, source_name: str = "queen") -> Clip:
    return Clip(f"{source_name}/x", source_name, "she", "en", group, Path("x.flac"), 1.0, None)


def test_a_source_becomes_flac_at_its_own_rate(
    build: Build, packages: Path, tmp_path: Path, only_tones: Tones
) -> None:
    only_tones(build("tones", {"usr/share/list.txt": b"b/two park\na street\n"}))
    first, second = clips("tones", tmp_path, packages)
    assert (first.id, first.group, first.text) == ("tones/a", "street", "this is a")
    assert second.path == tmp_path / "datasets/tones/audio/b/two.flac"
    samples, rate = soundfile.read(second.path, dtype="float32")
    assert (rate, second.seconds) == (RATE, 0.5)
    np.testing.assert_allclose(samples, np.linspace(-0.5, 0.5, RATE // 2), atol=2**-15)


def test_a_source_is_converted_once(build: Build, packages: Path, tmp_path: Path, only_tones: Tones) -> None:
    only_tones(build("tones", {"usr/share/list.txt": b"a street\n"}))
    before = clips("tones", tmp_path, packages)
    (packages / "tones_1.0-1_all.deb").unlink()
    assert clips("tones", tmp_path, packages) == before


def test_another_version_of_the_package_is_converted_anew(
    build: Build, packages: Path, tmp_path: Path, only_tones: Tones
) -> None:
    only_tones(build("tones", {"usr/share/list.txt": b"a street\n"}))
    clips("tones", tmp_path, packages)
    only_tones(build("tones", {"usr/share/list.txt": b"b street\n"}, version="2.0-1"))
    assert [clip.id for clip in clips("tones", tmp_path, packages)] == ["tones/b"]
    assert not (tmp_path / "datasets/tones/audio/a.flac").exists()


def test_a_conversion_that_fails_leaves_nothing(
    build: Build, packages: Path, tmp_path: Path, only_tones: Tones
) -> None:
    only_tones(build("tones", {"usr/share/list.txt": b"a street\nbroken\n"}))
    with pytest.raises(ValueError, match="not enough values"):
        clips("tones", tmp_path, packages)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_package_without_speech_is_an_error(
    build: Build, packages: Path, tmp_path: Path, only_tones: Tones
) -> None:
    only_tones(build("tones", {"usr/share/list.txt": b""}))
    with pytest.raises(DatasetError, match="'tones' yielded no clips"):
        clips("tones", tmp_path, packages)


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no speech 'nothing'; there are asterisk_en, .*queen"):
        clips("nothing", tmp_path)


def test_training_clips_are_those_of_the_training_groups(
    build: Build, packages: Path, tmp_path: Path, only_tones: Tones
) -> None:
    lines = "".join(f"{name}{scene} scene{scene}\n" for name in "ab" for scene in range(40))
    only_tones(build("tones", {"usr/share/list.txt": lines.encode()}), held_out=0.25)
    everything = clips("tones", tmp_path, packages)
    training = training_clips(tmp_path, packages)
    held_out = {clip.group for clip in everything} - {clip.group for clip in training}
    assert 0 < len(held_out) < 40
    assert len(training) == 80 - 2 * len(held_out)


def test_a_source_held_out_entirely_is_not_even_fetched_for_training(
    tmp_path: Path, only_tones: Tones
) -> None:
    only_tones(Package("tones", "1", "0" * 64), held_out=1)
    assert training_clips(tmp_path) == []


def test_a_quarter_of_the_scenes_is_held_out() -> None:
    dev = sum(split(clip_in(f"scene {number}")) == "dev" for number in range(4_000))
    assert 900 < dev < 1_100


def test_the_split_is_frozen() -> None:
    groups = ["dialogue 6", "dialogue 53", "cutscene C18", "cutscene C63", "remarks 00", "remarks 06"]
    assert [split(clip_in(group)) for group in groups] == ["train", "dev", "train", "dev", "train", "dev"]


@pytest.mark.parametrize("name", ["asterisk_en", "asterisk_es", "drascula", "hedgewars"])
def test_voices_of_the_development_set_never_train(name: str) -> None:
    assert find(name, SpeechSource).held_out == 1
    assert split(clip_in("anything", name)) == "dev"


def test_every_source_states_licence_packages_and_hashes() -> None:
    for one in sources(SpeechSource).values():
        assert one.licence
        assert one.packages
        for package in one.packages:
            assert len(bytes.fromhex(package.sha256)) == 32


def test_a_name_is_registered_once() -> None:
    name = next(iter(sources(SpeechSource)))
    with pytest.raises(ValueError, match=f"source '{name}' is registered already"):
        source(name, packages=(), licence="", held_out=0)(tones)


def test_records_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        clip_in("a").seconds = 2.0  # type: ignore[misc]
