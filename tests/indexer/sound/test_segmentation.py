import importlib.util
import itertools
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import Region, Section
from wordspot.indexer.sound.audio import decode_bytes
from wordspot.indexer.sound.detectors import EnergyDetector, NoDetector, SileroDetector
from wordspot.indexer.sound.segmentation import PIECE_SAMPLES, Rules, SegmentationFigures, SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.indexer.sound.spectra import acoustic_boundaries, levels, log_mel, onset_strength

PROMPTS = [(70, 386), (506, 665), (765, 1048)]  # ticks, silence at their edges included
VOICED = [(81, 365), (510, 645), (794, 1025)]  # from the first to the last sound


@pytest.fixture(scope="module")
def speech():
    """11 s, three prompts with silence around them."""
    data = (Path(__file__).parents[2] / "data" / "speech.flac").read_bytes()
    return decode_bytes(data, max_seconds=60.0)


@pytest.fixture(scope="module")
def long_speech(speech):
    """Four minutes of prompts over a little noise, silences of every length between them."""
    rng = np.random.default_rng(5)
    parts = []
    while sum(map(len, parts)) < 240 * 16_000:
        start, stop = VOICED[rng.integers(3)]
        parts += [speech[start * 160 : stop * 160], np.zeros(rng.integers(1_000, 40_000), np.float32)]
    whole = np.concatenate(parts)
    return whole + (rng.standard_normal(len(whole)) * 1e-4).astype(np.float32)


@pytest.fixture(scope="module")
def silero():
    return SileroDetector()


def noise(seconds, decibels, seed=0):
    values = np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    return (values * 10 ** (decibels / 20)).astype(np.float32)


def tone(seconds, hertz=440.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16_000)) / 16_000)).astype(np.float32)


def regions_of(sections):
    return [region for section in sections for region in section.regions]


def assert_same(ours, theirs):
    assert [(s.regions, s.stop) for s in ours] == [(s.regions, s.stop) for s in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.spans, other.spans)


@pytest.mark.parametrize("name", ["silero", "energy"])
def test_the_prompts_are_found_and_the_silences_are_not(speech, silero, name):
    segmenter = SpeechSegmenter({"silero": silero, "energy": EnergyDetector()}[name])
    found = segmenter.regions(speech)
    assert len(found) == 3
    for region, voiced, prompt in zip(found, VOICED, PROMPTS, strict=True):
        assert prompt[0] - 10 <= region.start <= voiced[0]
        assert voiced[1] <= region.stop <= prompt[1] + 10


@pytest.mark.parametrize("level", [-90, -40, -20])
def test_silero_in_many_frames_a_call_equals_its_frame_by_frame_model(speech, silero, level):
    spec = importlib.util.find_spec("silero_vad")
    path = Path(spec.origin).parent / "data" / "silero_vad.onnx"
    model = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    speech = np.tile(speech, 2)
    speech = speech + noise(len(speech) / 16_000, level)
    frames = np.concatenate([np.zeros(15 * 512, np.float32), speech])
    frames = np.pad(frames, (64, -len(frames) % 512))
    state = np.zeros((2, 1, 128), np.float32)
    expected = []
    for start in range(0, len(frames) - 64, 512):
        feed = {"input": frames[np.newaxis, start : start + 576], "state": state, "sr": np.array(16_000)}
        probability, state = model.run(None, feed)
        expected.append(probability[0, 0])
    hear = silero.listen()
    heard = np.concatenate([hear(speech[:PIECE_SAMPLES]), hear(speech[PIECE_SAMPLES:])])
    middles = np.arange(len(heard)) * 160 + 80
    np.testing.assert_allclose(heard, np.array(expected)[15 + middles // 512], atol=1e-5)


def test_silero_runs_without_torch():
    program = (
        "import sys, numpy as np\n"
        "from wordspot.indexer.sound.detectors import SileroDetector\n"
        "from wordspot.indexer.sound.segmentation import SpeechSegmenter\n"
        "SpeechSegmenter(SileroDetector()).regions(np.zeros(16000, np.float32))\n"
        "assert not {'torch', 'silero_vad'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_missing_weights_are_named(monkeypatch):
    monkeypatch.setattr(SileroDetector, "MODEL", "absent.onnx")
    with pytest.raises(FailedPrecondition, match=r"absent\.onnx is missing: install wordspot again"):
        SileroDetector()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["silero", "energy", "none"])
def test_the_result_does_not_depend_on_how_the_input_is_cut(long_speech, silero, name, seed):
    detector = {"silero": silero, "energy": EnergyDetector(), "none": NoDetector()}[name]
    segmenter = SpeechSegmenter(detector)
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(long_speech), 500))
    assert_same(list(segmenter.segment(np.split(long_speech, cuts))), list(segmenter.segment([long_speech])))


def test_sections_follow_one_another_and_are_cut_in_silence(long_speech, silero):
    segmenter = SpeechSegmenter(silero)
    sections = list(segmenter.segment([long_speech]))
    assert len(sections) > 2
    assert sections[-1].stop == len(long_speech) // 160
    began = 0
    for section in sections:
        assert 0 < section.stop - began <= 9_000
        assert all(began <= region.start < region.stop <= section.stop for region in section.regions)
        began = section.stop
    assert all(section.stop >= 4_500 for section in sections[:-1])
    assert tuple(regions_of(sections)) == segmenter.regions(long_speech)


def test_sound_without_a_pause_is_cut_at_its_quietest_points():
    loudness = np.ones(40 * 16_000, np.float32)
    loudness[17 * 16_000 : round(17.1 * 16_000)] = 0.1
    found = SpeechSegmenter(NoDetector()).regions(noise(40.0, -20.0) * loudness)
    assert len(found) == 2
    assert 1_695 <= found[0].stop <= 1_715


def test_hours_without_a_pause_are_covered_in_regions_of_at_most_thirty_seconds():
    sections = list(SpeechSegmenter(NoDetector()).segment(noise(10.0, -20.0, seed) for seed in range(40)))
    found = regions_of(sections)
    assert found[0].start == 0
    assert found[-1].stop == sections[-1].stop == 40_000
    assert all(a.stop == b.start for a, b in itertools.pairwise(found))
    assert all(0 < region.ticks <= 3_000 for region in found)


def test_memory_does_not_grow_with_the_recording(speech):
    segmenter = SpeechSegmenter(EnergyDetector())

    def peak(repeats):
        tracemalloc.start()
        for _ in segmenter.segment(speech for _ in range(repeats)):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(100) < 1.2 * peak(20) < 60e6


def test_silence_yields_sections_without_regions(silero):
    sections = list(SpeechSegmenter(silero).segment([np.zeros(200 * 16_000, np.float32)]))
    assert sections[-1].stop == 20_000
    assert regions_of(sections) == []
    assert all(section.spans.shape == (0, 3) and section.spans.dtype == np.int32 for section in sections)


@pytest.mark.parametrize("samples", [0, 100])
def test_less_than_a_tick_of_audio_yields_nothing(silero, samples):
    segmenter = SpeechSegmenter(silero)
    assert list(segmenter.segment([np.zeros(samples, np.float32)])) == []
    assert segmenter.regions(np.zeros(samples, np.float32)) == ()


def test_words_cut_tightly_from_a_sentence_are_kept_whole(speech, silero):
    segmenter = SpeechSegmenter(silero)
    loud = levels(speech)
    checked = 0
    for ticks in (25, 40, 70):
        for start in range(0, len(loud) - ticks, 17):
            if min(loud[start], loud[start + ticks - 1]) > -35.0:
                checked += 1
                found = segmenter.regions(speech[start * 160 : (start + ticks) * 160])
                assert found
                assert found[-1].stop - found[0].start >= 0.8 * ticks
    assert checked > 40


def test_a_sound_the_detector_takes_for_no_speech_is_still_a_query(silero):
    beep = np.concatenate([np.zeros(4_000, np.float32), tone(0.25), np.zeros(4_000, np.float32)])
    (region,) = SpeechSegmenter(silero).regions(beep)
    assert abs(region.start - 25) <= 3
    assert abs(region.stop - 50) <= 3


@pytest.mark.parametrize("offset", [0.0, 0.4], ids=["zero", "a constant"])
def test_silence_is_no_query(silero, offset):
    assert SpeechSegmenter(silero).regions(np.full(16_000, offset, np.float32)) == ()


def test_the_energy_detector_adapts_to_the_noise():
    parts = []
    for floor in (-70.0, -45.0, -30.0):
        stretch = noise(60.0, floor)
        for second in range(5, 60, 10):
            stretch[second * 16_000 : (second + 1) * 16_000] += tone(1.0)
        parts.append(stretch)
    found = regions_of(SpeechSegmenter(EnergyDetector()).segment(parts))
    bursts = [minute * 6_000 + second * 100 for minute in range(3) for second in range(5, 60, 10)]
    settled = [burst for burst in bursts if burst % 6_000 > 3_000]
    for burst in settled:
        (region,) = (r for r in found if r.start < burst + 100 and r.stop > burst)
        assert abs(region.start - burst) < 20
        assert abs(region.stop - burst - 100) < 20


def test_short_pauses_join_and_short_sounds_go():
    class Given:
        def listen(self):
            speech = np.zeros(400, np.float32)
            speech[50:100] = speech[115:150] = 0.9  # a pause of 15
            speech[200:205] = 0.9  # too short
            speech[300:340] = 0.35  # never reaches the onset
            return lambda samples: speech[: len(samples) // 160]

    rules = Rules(onset=0.5, offset=0.3, min_speech=10, min_silence=25, padding=8)
    found = SpeechSegmenter(Given(), rules=rules).regions(np.zeros(64_000, np.float32))
    assert found == (Region(42, 158),)


def test_one_segmenter_serves_several_threads(long_speech, silero):
    segmenter = SpeechSegmenter(silero)
    parts = [long_speech[i * 16_000 * 50 :][: 16_000 * 60] for i in range(4)]
    alone = [list(segmenter.segment([part])) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda part: list(segmenter.segment([part])), parts))
    for ours, theirs in zip(together, alone, strict=True):
        assert_same(ours, theirs)


def test_the_spans_of_a_section_lie_in_its_regions(long_speech, silero):
    plan = SpanPlan()
    for section in SpeechSegmenter(silero, plan).segment([long_speech]):
        assert section.spans.dtype == np.int32
        region, start, stop = section.spans.T
        assert sorted(set(region.tolist())) == list(range(len(section.regions)))
        ticks = np.array([r.ticks for r in section.regions])[region]
        assert np.all((start >= 0) & (start < stop) & (stop <= ticks))
        assert len(np.unique(section.spans, axis=0)) == len(section.spans)


def test_the_default_plan_makes_at_most_33_spans_a_second():
    spans = SpanPlan().spans(3_000, np.zeros(0, np.int64))
    assert 30 * 30 < len(spans) <= 33 * 30


def test_every_word_has_a_span_that_overlaps_it_by_half():
    rng = np.random.default_rng(7)
    plan = SpanPlan()
    for _ in range(300):
        ticks = int(rng.integers(25, 800))
        boundaries = np.flatnonzero(rng.random(ticks) < rng.uniform(0, 0.5))
        spans = plan.spans(ticks, boundaries)
        length = rng.uniform(25, min(150, ticks), 50)
        start = rng.uniform(0, ticks - length)
        stop = start + length
        overlap = np.minimum(stop[:, None], spans[:, 1]) - np.maximum(start[:, None], spans[:, 0])
        union = np.maximum(stop[:, None], spans[:, 1]) - np.minimum(start[:, None], spans[:, 0])
        assert (overlap / union).max(axis=1).min() >= 0.5


def test_longer_spans_start_where_shorter_ones_do():
    boundaries = np.flatnonzero(np.random.default_rng(3).random(1_000) < 0.15)
    spans = SpanPlan().spans(1_000, boundaries)
    starts = [set(spans[spans[:, 1] - spans[:, 0] == length, 0].tolist()) for length in SpanPlan().lengths]
    early = [{start for start in s if start < 800} for s in starts]
    assert all(later <= earlier for earlier, later in itertools.pairwise(early))
    assert len(early[0]) == 78


def test_starts_move_to_the_nearest_boundary_within_half_a_hop():
    plan = SpanPlan(lengths=(20,), hops=(5,))
    starts = plan.spans(60, np.array([2, 8, 13, 14, 27]))[:, 0]
    assert starts.tolist() == [2, 5, 8, 14, 20, 27, 30, 35, 40]
    still = SpanPlan(lengths=(20,), hops=(5,), snap=False).spans(60, np.array([2, 8]))[:, 0]
    assert still.tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40]


def test_spans_that_exceed_the_region_a_little_are_clipped():
    spans = SpanPlan(lengths=(20, 40), hops=(5, 10)).spans(37, np.zeros(0, np.int64))
    assert spans.tolist() == [[0, 20], [0, 37], [5, 25], [10, 30], [15, 35]]


@pytest.mark.parametrize("ticks", [1, 12, 19])
def test_a_region_shorter_than_any_span_is_one_span(ticks):
    assert SpanPlan().spans(ticks, np.array([0])).tolist() == [[0, ticks]]


def test_a_region_as_short_as_the_shortest_span_has_one_even_when_it_snaps():
    assert len(SpanPlan().spans(20, np.array([2]))) >= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"lengths": ()},
        {"lengths": (20, 28)},
        {"lengths": (28, 20), "hops": (5, 5)},
        {"lengths": (20, 40), "hops": (5, 12)},
        {"lengths": (20,), "hops": (0,)},
    ],
)
def test_impossible_plans_are_refused(changes):
    with pytest.raises(InvalidInput):
        SpanPlan(**changes)


def test_boundaries_lie_where_the_sound_changes():
    pitches = [300, 1_500, 600, 2_500, 900, 3_500]
    sound = np.concatenate([tone(0.13, hertz) for hertz in pitches]) + noise(0.78, -60.0)
    boundaries = acoustic_boundaries(sound)
    for change in range(13, 78, 13):
        assert np.abs(boundaries - change).min() <= 1
    assert len(boundaries) <= 10


def test_boundaries_of_very_short_or_silent_sound_are_none():
    assert len(acoustic_boundaries(np.zeros(0, np.float32))) == 0
    assert len(acoustic_boundaries(noise(0.05, -20.0))) == 0
    assert len(acoustic_boundaries(np.zeros(16_000, np.float32))) == 0


def test_log_mel_equals_librosas(speech):
    ours = log_mel(speech)
    power = librosa.feature.melspectrogram(
        y=speech,
        sr=16_000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=40,
        fmin=64,
        fmax=4_000,
        pad_mode="constant",
    )
    theirs = librosa.power_to_db(power, top_db=60.0).T[: len(ours)]
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_onset_strength_equals_librosas(speech):
    spectra = log_mel(speech)
    theirs = librosa.onset.onset_strength(S=spectra.T, sr=16_000, lag=2, center=False)
    np.testing.assert_allclose(onset_strength(spectra, lag=2), theirs, atol=1e-4)


def test_levels_are_those_of_a_tone_and_leave_out_a_constant():
    np.testing.assert_allclose(levels(tone(0.5) + 0.3)[3:-3], 20 * np.log10(0.3) - 3.01, atol=0.3)


def test_figures_add_up_over_sections():
    figures = SegmentationFigures()
    assert figures.spans_per_hour == 0.0
    figures = figures.including(
        Section((Region(0, 100), Region(200, 400)), np.zeros((30, 3), np.int32), 6_000)
    )
    figures = figures.including(Section((Region(7_000, 7_300),), np.zeros((20, 3), np.int32), 9_000))
    assert figures == SegmentationFigures(audio_seconds=90.0, speech_seconds=6.0, regions=3, spans=50)
    assert figures.spans_per_hour == 2_000.0
