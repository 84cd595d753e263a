"""Search on archives whose words are known; see planted.py."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from tests.indexer.search.planted import WIDTH, Recording, ask, babble, build, recording, say
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.records import (
    Hit,
    SearchOptions,
)
from wordspot.indexer.search import normalisation
from wordspot.indexer.search.calibration import MEASURED, Calibration
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.settings import SearchSettings

MOVED = 0.2  # at most, by a recording added to forty
ALL = SearchOptions(top=1_000, include_undetected=True)


def near(hit: Hit, name: str, start: float, end: float) -> bool:
    return hit.recording == name and abs(hit.start - start) <= 0.1 and abs(hit.end - end) <= 0.1


RECORDINGS = (
    recording("a", babble(1, 1500)),
    recording("b", babble(2, 200), say("lantern", 1), babble(3, 775), say("lantern", 2), babble(4, 475)),
    recording("c", babble(5, 500), say("lantern", 3, pace=0.8), babble(6, 970)),
    recording("d", babble(7, 1500)),
)
LANTERN = [("b", 4.0, 4.5), ("b", 20.0, 20.5), ("c", 10.0, 10.62)]


@pytest.fixture(scope="module")
def archive() -> ArchiveView:
    return build(RECORDINGS, segments=2)


@pytest.mark.parametrize("settings", [SearchSettings(), SearchSettings(similarity_weight=0.5)])
def test_every_planted_occurrence_is_found_within_a_tenth_of_a_second(
    archive: ArchiveView, settings: SearchSettings
) -> None:
    hits = Finder(settings).find(archive, ask(say("lantern")), SearchOptions(top=3)).hits
    assert len(hits) == 3
    for place in LANTERN:
        assert sum(near(hit, *place) for hit in hits) == 1, (place, hits)
    assert all(hit.detected and hit.path == f"/{hit.recording}.wav" for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_without_reranking_the_nearest_spans_are_the_hits(archive: ArchiveView) -> None:
    finder = Finder(SearchSettings(rerank=False))
    hits = finder.find(archive, ask(say("lantern")), SearchOptions(top=3)).hits
    assert {(hit.recording, round(hit.start)) for hit in hits} == {("b", 4), ("b", 20), ("c", 10)}
    assert all(hit.detected for hit in hits)


def test_times_count_from_the_recordings_start_not_the_regions() -> None:
    parts = (
        (500, babble(10, 400)),
        (3000, np.concatenate([babble(11, 300), say("harbour", 1), babble(12, 300)])),
    )
    view = build([Recording("one", parts), recording("two", babble(13, 2000))])
    best = Finder().find(view, ask(say("harbour"))).hits[0]
    assert near(best, "one", 36.0, 36.5)


def test_a_deleted_recording_is_never_ranked(archive: ArchiveView) -> None:
    entries = tuple(replace(entry, alive=entry.id != "b") for entry in archive.recordings)
    hits = Finder().find(replace(archive, recordings=entries), ask(say("lantern")), ALL).hits
    assert hits
    assert "b" not in {hit.recording for hit in hits}
    assert near(hits[0], "c", 10.0, 10.62)


@pytest.mark.parametrize("rerank", [True, False])
def test_only_the_recordings_asked_for_are_ranked(archive: ArchiveView, rerank: bool) -> None:
    finder, query = Finder(SearchSettings(rerank=rerank)), ask(say("lantern"))
    only = finder.find(archive, query, replace(ALL, recordings=frozenset({"c", "d"})))
    assert {hit.recording for hit in only.hits} == {"c", "d"}
    without = finder.find(archive, query, replace(ALL, excluded=frozenset({"b", "not here"})))
    assert {hit.recording for hit in without.hits} == {"a", "c", "d"}
    both = replace(ALL, recordings=frozenset({"b", "c"}), excluded=frozenset({"b"}))
    assert {hit.recording for hit in finder.find(archive, query, both).hits} == {"c"}


def test_asking_for_a_recording_that_is_not_there_or_deleted_is_an_error(archive: ArchiveView) -> None:
    entries = tuple(replace(entry, alive=entry.id != "b") for entry in archive.recordings)
    for view, name in [(archive, "zebra"), (replace(archive, recordings=entries), "b")]:
        with pytest.raises(NotFound, match=name):
            Finder().find(view, ask(say("lantern")), SearchOptions(recordings=frozenset({"a", name})))


@pytest.mark.parametrize("rerank", [True, False])
def test_no_two_hits_share_more_than_half_of_the_shorter(archive: ArchiveView, rerank: bool) -> None:
    hits = Finder(SearchSettings(rerank=rerank)).find(archive, ask(say("lantern")), ALL).hits
    assert len(hits) > 50
    for n, one in enumerate(hits):
        for other in hits[:n]:
            shared = min(one.end, other.end) - max(one.start, other.start)
            shorter = min(one.end - one.start, other.end - other.start)
            assert one.recording != other.recording or shared <= shorter / 2 + 1e-9


def test_two_occurrences_close_together_are_two_hits() -> None:
    view = build(
        [
            recording(
                "near", babble(20, 300), say("meadow", 1), babble(21, 8), say("meadow", 2), babble(22, 300)
            ),
            recording("other", babble(23, 2000)),
        ]
    )
    hits = Finder().find(view, ask(say("meadow")), SearchOptions(top=2)).hits
    assert sorted(round(hit.start, 1) for hit in hits) == pytest.approx([6.0, 6.7], abs=0.1)
    assert all(hit.detected for hit in hits)


@pytest.mark.parametrize("seconds", [1.6, 2.5, 4.0])
def test_a_phrase_longer_than_any_span_is_found_whole(seconds: float) -> None:
    view = build(
        [
            recording("x", babble(30, 700), say("phrase", 1, seconds=seconds), babble(31, 700)),
            recording("y", babble(32, 1500)),
        ]
    )
    query = ask(say("phrase", seconds=seconds))
    assert len(query.vectors) > 1
    hits = Finder().find(view, query, SearchOptions(top=5)).hits
    assert near(hits[0], "x", 14.0, 14.0 + seconds)
    assert sum(hit.detected for hit in hits) == 1


def test_a_phrase_of_which_only_the_end_is_alike_is_placed_as_a_whole() -> None:
    spoken = say("phrase", 1, seconds=4.0)
    spoken[:130] = babble(33, 130)
    view = build([recording("x", babble(34, 400), spoken, babble(35, 400))])
    finder = Finder(SearchSettings(candidates=1, rerank=False))
    hit = finder.find(view, ask(say("phrase", seconds=4.0)), SearchOptions(top=1)).hits[0]
    assert near(hit, "x", 8.0, 12.0)


@pytest.mark.parametrize("word", ["pelican", "quarry", "saffron", "turbine", "willow"])
def test_a_word_never_said_is_not_detected(archive: ArchiveView, word: str) -> None:
    finder = Finder(SearchSettings(threshold=5.0))
    assert finder.find(archive, ask(say(word))).hits == ()
    shown = finder.find(archive, ask(say(word)), ALL).hits
    assert len(shown) > 50
    assert not any(hit.detected for hit in shown)


def test_the_encoder_says_from_which_score_on_a_hit_is_detected(archive: ArchiveView) -> None:
    asked = ask(say("lantern"))
    scores = [hit.score for hit in Finder().find(archive, asked, ALL).hits]
    told = Finder().find(archive, replace(asked, threshold=scores[0]), ALL)
    assert [hit.detected for hit in told.hits] == [score >= scores[0] for score in scores]
    assert told.threshold == scores[0]
    overruled = Finder(SearchSettings(threshold=scores[1])).find(archive, replace(asked, threshold=9.0))
    assert overruled.threshold == scores[1]


def test_a_calibrated_encoder_decides_by_probability(archive: ArchiveView) -> None:
    by_score = {"signals": ["score"], "means": [4.0], "scales": [1.0], "weights": [4.0], "intercept": 0.0}
    calibration = Calibration.from_card(by_score)
    asked = replace(ask(say("lantern")), calibration=calibration)
    outcome = Finder().find(archive, asked, ALL)
    assert calibration is not None
    assert outcome.p_threshold is not None
    assert outcome.measured is not None
    assert outcome.seconds == 240
    assert [hit.detected for hit in outcome.hits] == [
        hit.p_correct >= outcome.p_threshold for hit in outcome.hits
    ]
    for hit in outcome.hits:
        odds = 4 * (hit.score - 4)
        assert hit.p_correct == pytest.approx(1 / (1 + np.exp(-odds)), abs=3e-3)
    assert [hit.detected for hit in outcome.hits] == [True] * 3 + [False] * (len(outcome.hits) - 3)
    overruled = Finder(SearchSettings(threshold=99.0)).find(archive, asked, ALL)
    assert overruled.p_threshold is None
    assert not any(hit.detected for hit in overruled.hits)


def test_every_signal_of_a_hit_is_finite(archive: ArchiveView) -> None:
    steady = np.repeat(say("lantern")[:1], 20, axis=0)
    for frames in (say("lantern"), say("lantern", seconds=3.0), steady):
        measured = Finder().find(archive, ask(frames), ALL).measured
        assert measured is not None
        assert measured.shape[1] == len(MEASURED)
        assert np.isfinite(measured).all()


def test_hits_below_the_minimum_score_are_left_out(archive: ArchiveView) -> None:
    every = Finder().find(archive, ask(say("lantern")), ALL).hits
    some = Finder().find(archive, ask(say("lantern")), replace(ALL, min_score=every[9].score)).hits
    assert some == tuple(hit for hit in every if hit.score >= every[9].score)
    detected = Finder().find(archive, ask(say("lantern")), SearchOptions(top=1_000, min_score=-100.0)).hits
    assert detected == tuple(hit for hit in every if hit.detected)


def test_a_score_does_not_depend_on_what_else_is_asked(archive: ArchiveView) -> None:
    query = ask(say("lantern"))
    best = Finder().find(archive, query, SearchOptions(top=1)).hits[0]
    others = [
        SearchOptions(top=50, include_undetected=True),
        SearchOptions(recordings=frozenset({best.recording})),
        SearchOptions(excluded=frozenset({"a"})),
    ]
    for options in others:
        assert Finder().find(archive, query, options).hits[0] == best


def test_impostors_of_a_word_are_brought_to_one_score_where_there_are_enough(
    archive: ArchiveView, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, rank = ask(say("lantern")), 30
    one = replace(ALL, recordings=frozenset({"b"}))
    monkeypatch.setattr(normalisation, "SHIFT_PER_LOG_SPEECH", 0.0)
    plain = Finder().find(archive, query, ALL).hits  # two minutes of speech are too little
    alone = Finder().find(archive, query, one).hits
    monkeypatch.setattr(normalisation, "IMPOSTORS_PER_HOUR", 1 + rank * 30)
    hits = Finder().find(archive, query, ALL).hits
    impostor = float(np.clip(plain[rank - 1].score, *normalisation.IMPOSTOR_SCORE_RANGE))
    shift = normalisation.IMPOSTOR_SCORE - impostor
    assert shift
    assert [hit.score for hit in hits] == pytest.approx([hit.score + shift for hit in plain], abs=2e-3)
    assert [hit.start for hit in hits] == [hit.start for hit in plain]
    assert Finder().find(archive, query, one).hits == alone


def test_scores_in_an_archive_of_minutes_are_raised_the_more_the_shorter_it_is() -> None:
    query = ask(say("lantern"))
    minutes = [recording(f"e{n}", babble(8 + n, 6_000)) for n in range(24)]
    shifts = [
        Finder().find(build([*RECORDINGS, *minutes[:more]]), query, ALL).score_shift for more in (0, 1, 24)
    ]
    assert normalisation.MAX_SHORT_ARCHIVE_SHIFT > shifts[0] > shifts[1] > 0
    per_log_speech = normalisation.SHIFT_PER_LOG_SPEECH
    assert shifts[0] - shifts[1] == pytest.approx(per_log_speech * np.log(2), abs=0.01)
    assert shifts[2] <= normalisation.IMPOSTOR_SCORE - normalisation.IMPOSTOR_SCORE_RANGE[0]


def test_the_same_question_gets_the_same_answer_whatever_the_threads_and_the_segments(
    archive: ArchiveView,
) -> None:
    query = ask(say("lantern"))
    first = Finder().find(archive, query, ALL)
    finder = Finder(SearchSettings(threads=1))
    assert finder.find(archive, query, ALL) == finder.find(archive, query, ALL) == first
    for segments in (1, 4):
        assert finder.find(build(RECORDINGS, segments), query, ALL) == first


def test_the_same_recordings_indexed_in_another_order_give_the_same_hits(archive: ArchiveView) -> None:
    query = ask(say("lantern"))
    shuffled = build([RECORDINGS[n] for n in (2, 0, 3, 1)], segments=3)
    assert Finder().find(shuffled, query, ALL) == Finder().find(archive, query, ALL)


def test_adding_a_recording_takes_no_hit_out_of_sight_and_hardly_moves_scores() -> None:
    known = [recording(f"k{n}", babble(100 + n, 1_000), say("lantern", n + 1)) for n in range(40)]
    before = Finder().find(build(known), ask(say("lantern")), replace(ALL, top=10_000))
    after = Finder().find(
        build([recording("added", babble(99, 1_000)), *known]), ask(say("lantern")), replace(ALL, top=10_000)
    )
    later = {(hit.recording, hit.start): hit.score for hit in after.hits}
    assert later.keys() >= {(hit.recording, hit.start) for hit in before.hits[:100]}
    assert all(abs(later[hit.recording, hit.start] - hit.score) < MOVED for hit in before.hits[:40])
    assert {hit.recording for hit in after.hits[:40]} == {hit.recording for hit in before.hits[:40]}


def test_equal_hits_come_in_order_of_recording_and_start() -> None:
    said = np.concatenate([babble(40, 200), say("echo", 1), babble(41, 200)])
    copies = [recording(name, said) for name in ("z", "m", "k", "q")]
    hits = Finder().find(build([*copies, recording("b", babble(42, 2000))]), ask(say("echo"))).hits
    assert [hit.recording for hit in hits[:4]] == ["k", "m", "q", "z"]
    assert len({hit.score for hit in hits[:4]}) == 1


def test_ten_thousand_hits_are_given_where_ten_thousand_are_asked_for() -> None:
    view = build([recording(f"r{n}", babble(50 + n, 7_500)) for n in range(30)], lengths=[30])
    query = ask(say("anything", seconds=0.3))
    hits = Finder().find(view, query, SearchOptions(top=10_000, include_undetected=True)).hits
    assert len(hits) == 10_000
    assert len({(hit.recording, hit.start) for hit in hits}) == 10_000


@pytest.mark.parametrize("top", [0, -1, 10_001])
def test_a_number_of_hits_out_of_range_is_an_error(archive: ArchiveView, top: int) -> None:
    with pytest.raises(InvalidInput, match=f"top must be between 1 and 10,000, got {top}$"):
        Finder().find(archive, ask(say("lantern")), SearchOptions(top=top))


def test_a_minimum_score_that_is_no_number_is_an_error(archive: ArchiveView) -> None:
    with pytest.raises(InvalidInput, match="min_score must be a number"):
        Finder().find(archive, ask(say("lantern")), SearchOptions(min_score=float("nan")))


def test_a_query_from_another_encoder_is_refused(archive: ArchiveView) -> None:
    with pytest.raises(FailedPrecondition, match="deadbeef"):
        Finder().find(archive, replace(ask(say("lantern")), encoder="deadbeef" * 8))


@pytest.mark.parametrize("rerank", [True, False])
def test_an_archive_without_speech_or_with_everything_deleted_has_no_hits(rerank: bool) -> None:
    finder = Finder(SearchSettings(rerank=rerank))
    for view in (build([]), build([recording("gone", babble(60, 500), alive=False)])):
        outcome = finder.find(view, ask(say("lantern")), ALL)
        assert outcome.hits == ()
        assert outcome.compared == (0.0, 0.5)


def test_a_word_is_detected_in_an_archive_of_one_short_recording() -> None:
    view = build([recording("only", babble(70, 40), say("kettle", 1), babble(71, 35))])
    hit = Finder().find(view, ask(say("kettle"))).hits[0]
    assert near(hit, "only", 0.8, 1.3)
    assert not Finder(SearchSettings(threshold=4.5)).find(view, ask(say("sandal"))).hits


def test_a_word_is_detected_in_an_archive_of_nothing_but_that_word() -> None:
    view = build([recording(str(n), say("kettle", n)) for n in range(1, 6)])
    hits = Finder().find(view, ask(say("kettle"))).hits
    assert {hit.recording for hit in hits} == {"1", "2", "3", "4", "5"}


def test_a_query_shorter_than_any_span_is_compared_with_the_shortest() -> None:
    view = build([recording("a", babble(80, 500), say("tick", 1, seconds=0.14), babble(81, 500))])
    hits = Finder().find(view, ask(say("tick", seconds=0.14, noise=0.1)), replace(ALL, top=3)).hits
    assert near(hits[0], "a", 10.0, 10.14)


def test_a_finder_keeps_no_view_alive() -> None:
    finder, view = Finder(), build([recording("a", babble(90, 300))])
    finder.find(view, ask(say("lantern")), ALL)
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"candidates": 0}, "candidates must be .* got 0"),
        ({"similarity_weight": 1.5}, "got 1.5"),
        ({"background_windows": 0}, "background_windows must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        SearchSettings(**settings)  # type: ignore[arg-type]


def test_pseudo_relevance_feedback_finds_other_sayings_by_the_same_speaker() -> None:
    """Sayings by a voice of its own: far from the query, near to one another."""
    accent = 1.6 * np.random.default_rng(5).standard_normal(WIDTH).astype(np.float32)
    sayings = [say("walnut", take) + accent for take in range(1, 9)]
    told = [
        recording(f"r{n}", babble(80 + n, 150), saying, babble(90 + n, 150))
        for n, saying in enumerate(sayings)
    ]
    noise = [recording(f"n{n}", babble(200 + n, 600)) for n in range(12)]
    view, query = build([*told, *noise]), ask(say("walnut", noise=1.6))

    def right(weight: float) -> int:
        hits = Finder(SearchSettings(feedback_weight=weight)).find(view, query, replace(ALL, top=8)).hits
        return sum(hit.recording.startswith("r") for hit in hits)

    alone, helped = right(0.0), right(0.5)
    assert alone < helped


def test_feedback_without_weight_in_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="got 1"):
        SearchSettings(feedback_weight=1.0)
