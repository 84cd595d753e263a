from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from tests.models.datasets.conftest import build_package
from wordspot.models.datasets import synthetic, tuxpaint
from wordspot.models.datasets.package import DatasetError
from wordspot.models.datasets.synthetic import speakable, synthesise
from wordspot.models.espeak import words_of

SECONDS = 20.0
CAPTIONS = (
    ("A green frog.\nfr.utf8=Une grenouille verte.\nru.utf8=Зелёная лягушка.\ncs.utf8=Zelená žába.\n"),
    ("The man of the house.\nfr.utf8=L'homme de la maison.\nru.utf8=Хозяин дома.\nsk.utf8=Gazda.\n"),
    ("A boat, with a sail.\nfr.utf8=Un bateau, avec une voile.\nru.utf8=Лодка с парусом.\n"),
)


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a package of three stamps."""
    pytest.importorskip("espeakng_loader")
    packages = tmp_path_factory.mktemp("packages")
    files = {f"{tuxpaint.FOLDER}/{number}.txt": text.encode() for number, text in enumerate(CAPTIONS)}
    stamps = build_package(packages, tmp_path_factory.mktemp("built"), "stamps", files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "SYNTHETIC", replace(synthetic.SYNTHETIC, packages=(stamps,)))
        yield packages


@pytest.fixture(scope="module")
def home(captions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the speech of seed 0, to be read only."""
    home = tmp_path_factory.mktemp("synthesised")
    synthesise(home, SECONDS / 3_600, 0, captions)
    return home


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_others(
    home: Path, tmp_path: Path, captions: Path
) -> None:
    first = contents(synthetic.SYNTHETIC.folder(home))
    again, other = (
        contents(synthesise(tmp_path / name, SECONDS / 3_600, seed, captions))
        for name, seed in (("again", 0), ("other", 1))
    )
    assert first == again
    assert first["words.jsonl"] != other["words.jsonl"]


def test_words_and_phones_are_in_order_and_inside_the_audio(home: Path) -> None:
    clips = synthetic.clips(home)
    assert sum(clip.seconds for clip in clips) >= SECONDS
    for table in (synthetic.words(home), synthetic.phones(home)):
        assert set(table) == {clip.id for clip in clips}
        for clip in clips:
            times = [time for _, start, end in table[clip.id] for time in (start, end)]
            assert times == sorted(times)
            assert 0 <= times[0] < times[-1] <= clip.seconds + 1e-4
            assert all(start < end for _, start, end in table[clip.id])


def test_the_voices_of_a_text_say_the_same_words_in_the_same_order(home: Path) -> None:
    table = synthetic.words(home)
    groups = defaultdict(list)
    for clip in synthetic.clips(home):
        groups[clip.group].append(clip)
    for clips in groups.values():
        assert len({clip.speaker for clip in clips}) == synthetic.VOICES_PER_TEXT == len(clips)
        (said,) = {tuple(word for word, _, _ in table[clip.id]) for clip in clips}
        assert words_of(" ".join(said)) == words_of(clips[0].text or "")
        assert len({clip.path.read_bytes() for clip in clips}) == len(clips)


def test_clips_are_16_khz_and_neither_czech_nor_slovak(home: Path) -> None:
    clips = synthetic.clips(home)
    assert {clip.language for clip in clips} == {"en", "fr", "ru"}
    assert {soundfile.info(clip.path).samplerate for clip in clips} == {16_000}
    assert not {"cs", "sk"} & set(synthetic.LANGUAGES)


def test_what_was_synthesised_is_read_again_and_made_anew_for_another_seed(
    home: Path, tmp_path: Path, captions: Path
) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    folder = synthetic.SYNTHETIC.folder(tmp_path)
    before = (folder / "clips.jsonl").stat().st_mtime_ns
    assert synthesise(tmp_path, SECONDS / 3_600, 0, captions) == folder
    assert (folder / "clips.jsonl").stat().st_mtime_ns == before
    synthesise(tmp_path, SECONDS / 3_600, 1, captions)
    assert (folder / "clips.jsonl").stat().st_mtime_ns != before


def test_more_hours_than_the_texts_last_is_an_error_and_leaves_nothing(
    tmp_path: Path, captions: Path
) -> None:
    with pytest.raises(DatasetError, match="less than 5 hours"):
        synthesise(tmp_path, 5, 0, captions)
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.parametrize(
    ("caption", "yes"),
    [("Une grenouille.", True), ("हरा मेंढक", True), ("25 cents", False), ("($.25)", False), ("a" * 91, False)],
)
def test_captions_that_are_read_as_they_are_written_are_speakable(caption: str, yes: bool) -> None:
    assert speakable(caption) is yes
