from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.models.datasets import synthetic, tuxpaint
from wordspot.models.datasets.espeak import Espeak, Voice, words_of
from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.synthetic import speakable, synthesise

Build = Callable[..., Package]
SECONDS = 20.0
CAPTIONS = (
    ("A green frog.\nfr.utf8=Une grenouille verte.\nru.utf8=Зелёная лягушка.\ncs.utf8=Zelená žába.\n"),
    ("The man of the house.\nfr.utf8=L'homme de la maison.\nru.utf8=Хозяин дома.\nsk.utf8=Gazda.\n"),
    ("A boat, with a sail.\nfr.utf8=Un bateau, avec une voile.\nru.utf8=Лодка с парусом.\n"),
)


@pytest.fixture
def captions(build: Build, packages: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package of three stamps."""
    pytest.importorskip("espeakng_loader")
    files = {f"{tuxpaint.FOLDER}/{number}.txt": text.encode() for number, text in enumerate(CAPTIONS)}
    monkeypatch.setattr(tuxpaint, "PACKAGE", build("stamps", files))
    return packages


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_others(tmp_path: Path, captions: Path) -> None:
    one, again, other = (
        contents(synthesise(tmp_path / name, SECONDS / 3_600, seed, captions))
        for name, seed in (("one", 5), ("again", 5), ("other", 6))
    )
    assert one == again
    assert one["words.jsonl"] != other["words.jsonl"]


def test_words_and_phones_are_in_order_and_inside_the_audio(tmp_path: Path, captions: Path) -> None:
    synthesise(tmp_path, SECONDS / 3_600, 0, captions)
    clips = synthetic.clips(tmp_path)
    assert sum(clip.seconds for clip in clips) >= SECONDS
    for table in (synthetic.words(tmp_path), synthetic.phones(tmp_path)):
        assert set(table) == {clip.id for clip in clips}
        for clip in clips:
            times = [time for _, start, end in table[clip.id] for time in (start, end)]
            assert times == sorted(times)
            assert 0 <= times[0] < times[-1] <= clip.seconds + 1e-4
            assert all(start < end for _, start, end in table[clip.id])


def test_the_voices_of_a_text_say_the_same_words_in_the_same_order(tmp_path: Path, captions: Path) -> None:
    synthesise(tmp_path, SECONDS / 3_600, 0, captions)
    table = synthetic.words(tmp_path)
    groups = defaultdict(list)
    for clip in synthetic.clips(tmp_path):
        groups[clip.group].append(clip)
    for clips in groups.values():
        assert len({clip.speaker for clip in clips}) == synthetic.VOICES_PER_TEXT == len(clips)
        (said,) = {tuple(word for word, _, _ in table[clip.id]) for clip in clips}
        assert words_of(" ".join(said)) == words_of(clips[0].text or "")
        assert len({clip.path.read_bytes() for clip in clips}) == len(clips)


def test_clips_are_16_khz_and_neither_czech_nor_slovak(tmp_path: Path, captions: Path) -> None:
    synthesise(tmp_path, SECONDS / 3_600, 0, captions)
    clips = synthetic.clips(tmp_path)
    assert {clip.language for clip in clips} == {"en", "fr", "ru"}
    assert {soundfile.info(clip.path).samplerate for clip in clips} == {16_000}
    assert not {"cs", "sk"} & set(synthetic.LANGUAGES)


def test_what_was_synthesised_is_read_again_and_made_anew_for_another_seed(
    tmp_path: Path, captions: Path
) -> None:
    folder = synthesise(tmp_path, SECONDS / 3_600, 0, captions)
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


def test_a_word_ends_where_the_pause_behind_it_begins() -> None:
    pytest.importorskip("espeakng_loader")
    spoken = Espeak().speak("A frog, sitting.", "en-us", Voice("m1", 50, 150))
    (_, _, _), (frog, _, end), (sitting, start, _) = spoken.words
    assert (frog, sitting) == ("frog", "sitting")
    assert start - end > 0.1
    pause = spoken.samples[int((end + 0.03) * spoken.rate) : int((start - 0.03) * spoken.rate)]
    assert np.abs(pause).max() < 0.1 * np.abs(spoken.samples).max()


def test_words_that_are_spoken_as_one_are_one() -> None:
    pytest.importorskip("espeakng_loader")
    spoken = Espeak().speak("The man of the house.", "en-us", Voice("f3", 50, 150))
    assert [word for word, _, _ in spoken.words] == ["the", "man", "of the", "house"]


def test_a_text_without_words_yields_none() -> None:
    pytest.importorskip("espeakng_loader")
    assert Espeak().speak(" ", "en-us", Voice("m1", 50, 150)).words == ()


def test_an_unknown_voice_is_named() -> None:
    pytest.importorskip("espeakng_loader")
    with pytest.raises(DatasetError, match=r"no voice 'xx\+m1'"):
        Espeak().speak("a", "xx", Voice("m1", 50, 150))


@pytest.mark.parametrize(
    ("caption", "yes"),
    [("Une grenouille.", True), ("हरा मेंढक", True), ("25 cents", False), ("($.25)", False), ("a" * 91, False)],
)
def test_captions_that_are_read_as_they_are_written_are_speakable(caption: str, yes: bool) -> None:
    assert speakable(caption) is yes
