from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.bench import material
from tests.bench.material import (
    Material,
    Query,
    Recording,
    Spoken,
    Word,
    add_noise,
    excluded_for,
    is_absent,
    is_keyword,
    noisy,
    prepare,
    prepare_czech,
    read,
    read_words,
    select,
    select_czech,
    sounding,
    taunts,
    truth_of,
    usable,
    whole,
)
from wordspot.models.datasets.speech import Clip

Samples = NDArray[np.float32]


def recording(name: str, speaker: str | None, *words: str) -> Recording:
    """Words of half a second one after another."""
    said = tuple(Word(text, number / 2, number / 2 + 0.5) for number, text in enumerate(words))
    return Recording(name, Path(f"{name}.flac"), 4.0, speaker, said)


def clip(source: str, name: str, speaker: str | None, group: str = "scene", text: str | None = None) -> Clip:
    return Clip(f"{source}/{name}", source, speaker, "en", group, Path(f"{name}.flac"), 2.0, text)


def spoken(text: str, speaker: str, name: str = "x") -> Spoken:
    source, person = speaker.split("/")
    return Spoken(clip(source, f"{person}{name}", person), speaker, Word(text, 0.5, 1.0))


def archive_of(count: int, text: str, speaker: str | None = "drascula/D") -> list[Recording]:
    return [recording(f"drascula/{text}{number}", speaker, text) for number in range(count)]


def voice(seed: int, seconds: float = 1.0) -> Samples:
    return np.random.default_rng(seed).normal(scale=0.1, size=round(16_000 * seconds)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "fit"), [("leave", True), ("left", False), ("don't", False), ("where", False)]
)
def test_a_keyword_is_a_content_word_of_five_letters(text: str, fit: bool) -> None:
    assert is_keyword(text) is fit


@pytest.mark.parametrize(("seconds", "fit"), [(0.24, False), (0.25, True), (1.5, True), (1.51, False)])
def test_a_query_is_neither_too_short_nor_too_long(seconds: float, fit: bool) -> None:
    assert usable(Word("leave", 0.0, seconds)) is fit


@pytest.mark.parametrize(("count", "chosen"), [(4, 0), (5, 1), (45, 1), (46, 0)])
def test_a_keyword_occurs_five_to_forty_five_times(count: int, chosen: int) -> None:
    selection = select(archive_of(count, "leave"), [spoken("leave", "asterisk_en/Allison")])
    assert len(selection.main) == chosen


def test_an_occurrence_is_the_exact_word_and_not_a_part_of_another() -> None:
    archive = [recording("drascula/1", "drascula/D", "leave", "leaves", "cleave")]
    (place,) = truth_of(spoken("leave", "asterisk_en/Allison"), archive)
    assert (place.recording, place.start, place.end) == ("drascula/1", 0.0, 0.5)


def test_a_speaker_of_the_archive_asks_no_main_query() -> None:
    archive = archive_of(5, "leave", "queen/JOE")
    selection = select(archive, [spoken("leave", "queen/JOE"), spoken("leave", "queen/JIM")])
    assert [one.speaker for one in selection.main] == ["queen/JIM"]
    assert [one.speaker for one in selection.same_speaker] == ["queen/JOE"]


def test_three_queries_a_keyword_come_from_different_sources_and_speakers() -> None:
    said = [
        spoken("leave", speaker, str(number))
        for speaker in ("queen/JIM", "queen/TAM", "queen/BUD", "hedgewars/Robot", "asterisk_en/Allison")
        for number in range(3)
    ]
    chosen = select(archive_of(5, "leave"), said).main
    assert len({one.speaker for one in chosen}) == 3
    assert {one.clip.source for one in chosen} == {"queen", "hedgewars", "asterisk_en"}


def test_the_choice_does_not_depend_on_the_order_of_the_clips() -> None:
    said = [spoken("leave", f"queen/{person}", str(number)) for person in "ABCDE" for number in range(4)]
    archive = archive_of(9, "leave")
    assert select(archive, said) == select(archive[::-1], said[::-1])


def test_a_place_whose_speaker_may_be_the_querys_is_not_ranked() -> None:
    archive = [
        recording("queen/C1", None, "leave"),
        recording("queen/C2", None, "other"),
        recording("queen/1", "queen/JOE", "leave"),
    ]
    by_character = spoken("leave", "queen/JIM")
    assert excluded_for(by_character, archive) == {"queen/C1"}
    assert [place.recording for place in truth_of(by_character, archive)] == ["queen/1"]
    by_stranger = spoken("leave", "asterisk_en/Allison")
    assert excluded_for(by_stranger, archive) == frozenset()
    assert len(truth_of(by_stranger, archive)) == 2


def test_a_keyword_that_loses_too_many_places_to_unknown_speakers_is_not_asked() -> None:
    archive = [*archive_of(4, "leave"), recording("queen/C1", None, "leave")]
    said = [spoken("leave", "queen/JIM"), spoken("leave", "asterisk_en/Allison")]
    assert [one.speaker for one in select(archive, said).main] == ["asterisk_en/Allison"]


def test_in_the_same_speaker_set_only_that_speaker_counts() -> None:
    archive = [
        recording("queen/1", "queen/JOE", "leave"),
        recording("queen/2", "queen/BOB", "leave"),
        recording("queen/3", None, "leave"),
        recording("queen/4", "queen/BOB", "other"),
    ]
    query = spoken("leave", "queen/JOE")
    assert [place.recording for place in truth_of(query, archive, same=True)] == ["queen/1"]
    assert excluded_for(query, archive, same=True) == {"queen/2", "queen/3"}


@pytest.mark.parametrize(
    ("text", "absent"),
    [("agent", True), ("leave", False), ("leaves", False), ("eave", False), ("another", True)],
)
def test_an_absent_word_is_no_part_of_the_archives_words(text: str, absent: bool) -> None:
    assert is_absent(text, ["leave", "not", "the"]) is absent


@pytest.mark.parametrize(("count", "asked"), [(3, 0), (4, 1), (45, 1), (46, 0)])
def test_a_czech_keyword_occurs_four_to_forty_five_times(count: int, asked: int) -> None:
    selection = select_czech(
        archive_of(count, "místnost", "fillets_cs/big fish"), [spoken("místnost", "fillets_cs/small fish")]
    )
    assert len(selection.main) == asked


def test_a_czech_keyword_is_asked_three_times_out_of_different_clips() -> None:
    archive = archive_of(5, "místnost", "fillets_cs/big fish")
    said = [spoken("místnost", "fillets_cs/small fish", name) for name in "aabcdd"]
    chosen = select_czech(archive, said).main
    assert len(chosen) == len({one.clip.id for one in chosen}) == 3
    assert chosen == select_czech(archive[::-1], said[::-1]).main


def test_absent_queries_have_no_truth_and_one_query_a_word() -> None:
    said = [spoken("agent", "asterisk_en/Allison", "1"), spoken("agent", "queen/JIM", "2")]
    (query,) = select(archive_of(5, "leave"), said).absent
    assert truth_of(query, archive_of(5, "leave")) == ()


def test_a_label_that_no_transcript_knows_may_be_a_phrase(tmp_path: Path) -> None:
    path = tmp_path / "taunt.flac"
    soundfile.write(path, voice(1), 16_000)
    labels = [
        Clip(f"hedgewars/{text}", "hedgewars", "Robot", "en", "Robot", path, 1.0, text)
        for text in ("traitor", "takecover")
    ]
    assert [one.word.text for one in taunts(labels, {"traitor", "cover"})] == ["traitor"]


def test_short_prompts_ask_as_a_whole_by_their_names(tmp_path: Path) -> None:
    prompts = []
    for name, seconds in (("digits/1", 0.6), ("vm-goodbye", 2.0), ("beep", 0.1)):
        path = tmp_path / f"{name.replace('/', '-')}.wav"
        silence = np.zeros(4_000, dtype=np.float32)
        soundfile.write(path, np.concatenate([silence, voice(1, seconds), silence]), 16_000)
        prompts.append(
            Clip(f"asterisk_es/{name}", "asterisk_es", "Allison", "es", "prompts", path, 1.0, None)
        )
    (one,) = whole(prompts)
    assert (one.speaker, one.word.text) == ("asterisk_es/Allison", "digits-1")
    assert (one.word.start, one.word.end) == pytest.approx((0.25, 0.85), abs=0.02)


def test_the_stretch_that_sounds_leaves_silence_out() -> None:
    samples = np.zeros(16_000, dtype=np.float32)
    samples[4_000:8_000] = voice(1, 0.25)
    assert sounding(samples, 16_000) == pytest.approx((0.25, 0.5))


def test_a_stretch_is_read_at_16_khz_and_ends_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    time = np.arange(11_025) / 11_025
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * time), 11_025)
    samples = read(path, 0.5, 9.0)
    assert samples.dtype == np.dtype(np.float32)
    assert abs(len(samples) - 8_000) <= 2
    expected = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(len(samples)) / 16_000 + 5_512 / 11_025))
    np.testing.assert_allclose(samples[500:-500], expected[500:-500], atol=0.01)


@pytest.mark.parametrize("kind", material.NOISE_KINDS)
@pytest.mark.parametrize("snr_db", material.SNRS_DB)
def test_noise_has_the_ratio_asked_for(kind: material.NoiseKind, snr_db: int) -> None:
    clean = voice(1)
    talkers = [voice(seed, 0.3) for seed in range(2, 10)]
    noise = add_noise(clean, kind, snr_db, np.random.default_rng(1), talkers).astype(np.float64) - clean
    found = 10 * np.log10(np.mean(np.square(clean, dtype=np.float64)) / np.mean(np.square(noise)))
    assert found == pytest.approx(snr_db, abs=0.01)


@pytest.mark.parametrize(("kind", "slope"), [("white", 0.0), ("pink", -1.0)])
def test_white_noise_is_flat_and_pink_falls_with_frequency(kind: material.NoiseKind, slope: float) -> None:
    clean = np.full(1 << 17, 1e-3, dtype=np.float32)
    noise = add_noise(clean, kind, 0, np.random.default_rng(1)) - clean
    power = np.abs(np.fft.rfft(noise)) ** 2
    edges = np.geomspace(50, len(power) - 1, 12).astype(int)
    levels = [np.mean(power[low:high]) for low, high in pairwise(edges)]
    middles = np.sqrt(edges[:-1] * edges[1:])
    assert np.polyfit(np.log(middles), np.log(levels), 1)[0] == pytest.approx(slope, abs=0.1)


def test_babble_is_made_of_the_talkers() -> None:
    constant = [np.full(8_000, 0.1, dtype=np.float32) for _ in range(6)]
    clean = voice(1)
    noise = add_noise(clean, "babble", 0, np.random.default_rng(1), constant) - clean
    assert np.ptp(noise) < 1e-6
    with pytest.raises(ValueError, match="babble needs 6 talkers, got 2"):
        add_noise(clean, "babble", 0, np.random.default_rng(1), constant[:2])


def test_an_unknown_noise_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no noise of kind 'brown', there are white, pink, babble"):
        add_noise(voice(1), "brown", 0, np.random.default_rng(1))  # type: ignore[arg-type]


def test_a_query_is_always_made_noisy_in_the_same_way() -> None:
    def query(name: str) -> Query:
        return Query(name, "a", "queen", "queen/A", Path("a"), 0.0, 1.0, Path("b"), (), frozenset())

    once, again = (noisy(query("one"), voice(1), "white", 5) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, noisy(query("two"), voice(1), "white", 5))
    assert not np.array_equal(once, noisy(query("one"), voice(1), "white", 10))


@pytest.mark.parametrize(
    ("source", "rows"),
    [("queen", 5_253), ("drascula", 593), ("asterisk_en", 505), ("fillets_cs", 1_403)],
)
def test_word_times_come_in_order_and_without_overlap(source: str, rows: int) -> None:
    times = read_words(source)
    assert len(times) == rows
    for name, words in times.items():
        assert name.startswith(f"{source}/")
        assert all(word.text == word.text.lower() and 0 <= word.start < word.end for word in words)
        assert all(word.end <= later.start + 1e-6 for word, later in pairwise(words))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Material]:
    """Four sources of noise with made-up words, the Queen's scene 53 held out."""
    audio = tmp_path / "audio"
    audio.mkdir()
    words: dict[str, dict[str, tuple[Word, ...]]] = {"queen": {}, "drascula": {}, "asterisk_en": {}}
    found: dict[str, list[Clip]] = {"queen": [], "drascula": [], "asterisk_en": [], "hedgewars": []}

    def add(source: str, name: str, speaker: str, group: str, *texts: str) -> None:
        path = audio / f"{source}-{name}.flac"
        soundfile.write(path, voice(len(found[source]), 3.0), 16_000)
        found[source].append(Clip(f"{source}/{name}", source, speaker, "en", group, path, 3.0, None))
        if texts:
            words[source][f"{source}/{name}"] = tuple(
                Word(text, 1.0 + number / 2, 1.5 + number / 2) for number, text in enumerate(texts)
            )

    for number in range(3):
        add("queen", f"53{number}", "JOE", "dialogue 53", "leave", "skull")
        add("drascula", str(number), "D", "D", "leave", "me")
    add("queen", "530009", "JOE", "dialogue 53")
    add("queen", "060001", "JIM", "dialogue 6", "leave", "jungle")
    add("queen", "060002", "JOE", "dialogue 6", "leave")
    add("asterisk_en", "vm-leave", "Allison", "prompts", "leave")
    monkeypatch.setattr(material, "clips", lambda name, home, packages: found[name])
    monkeypatch.setattr(material, "read_words", lambda name: words[name])
    return lambda: prepare(tmp_path / "home")


def test_the_material_is_the_held_out_clips_and_queries_cut_from_others(
    small: Callable[[], Material],
) -> None:
    made = small()
    assert len(made.recordings) == 6
    assert made.seconds == 18.0
    assert [path.name for path in made.babble] == ["queen-530009.flac"]
    assert {(query.keyword, query.speaker) for query in made.main} == {
        ("leave", "queen/JIM"),
        ("leave", "asterisk_en/Allison"),
    }
    assert all(len(made.truth(query)) == 6 for query in made.main)
    (same,) = made.same_speaker
    assert (same.speaker, len(same.truth), len(same.excluded)) == ("queen/JOE", 3, 3)
    assert made.searched_seconds(same) == 9.0
    assert sorted(made.truth(same).recordings) == [made.ordinals[f"queen/53{number}"] for number in range(3)]
    assert [query.keyword for query in made.absent] == ["jungle"]


def test_a_part_of_an_archive_keeps_its_queries_and_what_it_lost_is_absent(
    small: Callable[[], Material],
) -> None:
    whole = small()
    holding = {place.recording for place in whole.main[0].truth}
    assert len(holding) > 1
    kept = min(holding)
    part = material.restricted(whole, lambda one: one.id == kept)
    assert [one.id for one in part.recordings] == [kept]
    assert {place.recording for query in part.main for place in query.truth} == {kept}
    assert len(part.main) + len(part.absent) == len(whole.main) + len(whole.absent)
    assert not any(query.truth for query in part.absent)
    assert part.seconds < whole.seconds


def test_a_query_is_cut_with_a_margin(small: Callable[[], Material]) -> None:
    query = next(query for query in small().main if query.source == "asterisk_en")
    cut, rate = soundfile.read(query.cut, dtype="float32")
    whole, _ = soundfile.read(query.path, dtype="float32")
    assert (query.start, query.end, rate) == (1.0, 1.5, 16_000)
    np.testing.assert_allclose(cut, whole[15_200:24_800], atol=1e-4)


def test_preparing_twice_gives_the_same(small: Callable[[], Material]) -> None:
    first = small()
    contents = {query.cut: query.cut.read_bytes() for query in first.main}
    assert small() == first
    assert {path: path.read_bytes() for path in contents} == contents


def test_the_czech_archive_is_all_but_the_fish_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, tuple[Word, ...]] = {}
    found: list[Clip] = []

    def add(name: str, speaker: str, *texts: str, seed: int | None = None) -> None:
        path = tmp_path / f"{len(found)}.flac"
        soundfile.write(path, voice(len(found) if seed is None else seed, 3.0), 16_000)
        found.append(Clip(f"fillets_cs/{name}", "fillets_cs", speaker, "cs", "city", path, 3.0, None))
        if texts:
            words[f"fillets_cs/{name}"] = tuple(
                Word(text, 1.0 + number / 2, 1.5 + number / 2) for number, text in enumerate(texts)
            )

    for number in range(4):
        add(f"city/v-{number}", "big fish", "místnost")
    add("city/socha", "city", "místnost")
    add("city/v-unaligned", "big fish")
    add("cave/v-0", "big fish", "místnost", seed=0)
    add("city/m-0", "small fish", "místnost", "poklad")
    add("city/m-1", "small fish", "místnost")
    monkeypatch.setattr(material, "clips", lambda name, home, packages: found)
    monkeypatch.setattr(material, "read_words", lambda name: words)

    made = prepare_czech(tmp_path / "home")
    assert {recording.speaker for recording in made.recordings} == {"fillets_cs/big fish", "fillets_cs/city"}
    assert len(made.recordings) == 5
    assert [(query.keyword, query.speaker) for query in made.main] == [
        ("místnost", "fillets_cs/small fish")
    ] * 2
    assert len({query.id for query in made.main}) == len({query.cut for query in made.main}) == 2
    assert all(len(made.truth(query)) == 5 for query in made.main)
    assert [query.keyword for query in made.absent] == ["poklad"]


def test_the_summary_counts_everything(small: Callable[[], Material]) -> None:
    lines = material.describe(small()).splitlines()
    assert lines[0].split() == ["archive", "0.01", "h,", "6", "recordings,", "2", "known", "speakers"]
    assert lines[1].startswith("main          1 keywords, 2 queries by 2 speakers, 12 occurrences asked for")
    assert lines[4] == "occurrences   6 places in the archive hold a main keyword"
