"""Where somebody speaks, and which stretches of it may be words.

A detector gives a probability of speech for every tick; hysteresis, minimum lengths and padding turn it into
regions; a plan lays spans over each region. A recording streams through in windows of 90 s, each cut in its
widest silence, so that memory stays bounded and the result does not depend on how the input was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.records import SAMPLES_PER_TICK, Region, Samples, Section, to_seconds
from wordspot.indexer.sound.detectors import Detector
from wordspot.indexer.sound.padding import padded
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.indexer.sound.spectra import SILENCE_DB, acoustic_boundaries, levels

PIECE_SAMPLES = 102 * 2_560  # 16 s; whole ticks (160 samples) and whole Silero frames (512)
WINDOW_TICKS = 9_000
EARLIEST_CUT_TICKS = 4_500
LONGEST_REGION_TICKS = 3_000
SHORTEST_SPLIT_TICKS = 1_000


@dataclass(frozen=True)
class Rules:
    """From probabilities to regions; lengths in ticks.

    A region is a run of ticks at or above `offset` of which one reaches `onset`.
    """

    onset: float = 0.4
    offset: float = 0.25
    min_speech: int = 10
    min_silence: int = 25
    padding: int = 8


class SpeechSegmenter:
    """The Segmenter of records.py; holds no state between calls."""

    def __init__(self, detector: Detector, plan: SpanPlan | None = None, rules: Rules | None = None) -> None:
        """plan: None means the default plan."""
        self._detector = detector
        self._plan = plan or SpanPlan()
        self._rules = rules or Rules()

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Yields sections of 45 to 90 s, the last may be shorter; less than a tick at the end is left out."""
        hear = self._detector.listen()
        held: Samples = np.zeros(0, np.float32)
        speech = np.zeros(0, np.float32)
        origin = 0
        for piece in _pieces(blocks):
            held = np.concatenate([held, piece])
            speech = np.concatenate([speech, hear(piece)])
            if len(speech) >= WINDOW_TICKS:
                regions = self._found(speech[:WINDOW_TICKS], held)
                cut = _cut(regions)
                yield self._section(origin, cut, [r for r in regions if r.stop <= cut], held)
                held, speech = held[cut * SAMPLES_PER_TICK :], speech[cut:]
                origin += cut
        if len(speech):
            yield self._section(origin, len(speech), self._found(speech, held), held)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        """As in Segmenter. Where the detector hears nothing, the stretch that is not silent counts."""
        hear = self._detector.listen()
        probabilities = [hear(piece) for piece in _pieces([samples])]
        if not probabilities:
            return ()
        return tuple(self._found(np.concatenate(probabilities), samples)) or _energetic(samples)

    def _found(self, speech: NDArray[np.float32], samples: Samples) -> list[Region]:
        found: list[Region] = []
        for start, stop in _runs(speech, self._rules).tolist():
            found += _split(start, stop, samples)
        return found

    def _section(self, origin: int, stop: int, regions: list[Region], samples: Samples) -> Section:
        """Returns a section. regions: counted from origin, at which samples start."""
        spans = [np.zeros((0, 3), np.int32)]
        for number, region in enumerate(regions):
            audio = samples[region.start * SAMPLES_PER_TICK : region.stop * SAMPLES_PER_TICK]
            rows = self._plan.spans(region.ticks, acoustic_boundaries(audio))
            spans.append(np.insert(rows, 0, number, axis=1))
        moved = tuple(Region(region.start + origin, region.stop + origin) for region in regions)
        return Section(moved, np.concatenate(spans), origin + stop)


@dataclass(frozen=True)
class SegmentationFigures:
    """What segmentation made of a recording so far."""

    audio_seconds: float = 0.0
    speech_seconds: float = 0.0
    regions: int = 0
    spans: int = 0

    @property
    def spans_per_hour(self) -> float:
        """Per hour of audio, silence included; 0 of no audio."""
        return self.spans * 3600.0 / self.audio_seconds if self.audio_seconds else 0.0

    def including(self, section: Section) -> SegmentationFigures:
        """Returns the figures with the recording's next section."""
        return replace(
            self,
            audio_seconds=to_seconds(section.stop),
            speech_seconds=self.speech_seconds + to_seconds(sum(region.ticks for region in section.regions)),
            regions=self.regions + len(section.regions),
            spans=self.spans + len(section.spans),
        )


def _pieces(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yields the same audio in pieces of PIECE_SAMPLES, the last shorter."""
    waiting: list[Samples] = []
    missing = PIECE_SAMPLES
    for block in blocks:
        while len(block) >= missing:
            yield np.concatenate([*waiting, block[:missing]])
            block = block[missing:]
            waiting, missing = [], PIECE_SAMPLES
        if len(block):
            waiting.append(block)
            missing -= len(block)
    if waiting:
        yield np.concatenate(waiting)


def _runs(speech: NDArray[np.float32], rules: Rules) -> NDArray[np.int64]:
    """Returns start and stop (regions, 2), disjoint, before long ones are split."""
    edges = np.diff(padded((speech >= rules.offset).astype(np.int8), 1, 1))
    starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    if not len(starts):
        return np.zeros((0, 2), np.int64)
    peaks = np.maximum.reduceat(np.append(speech, 0), np.stack([starts, stops], axis=1).ravel())[::2]
    starts, stops = starts[peaks >= rules.onset], stops[peaks >= rules.onset]
    starts, stops = _joined(starts, stops, rules.min_silence)
    long = stops - starts >= rules.min_speech
    starts = np.maximum(starts[long] - rules.padding, 0)
    stops = np.minimum(stops[long] + rules.padding, len(speech))
    return np.stack(_joined(starts, stops, 1), axis=1)


def _joined(
    starts: NDArray[np.int64], stops: NDArray[np.int64], gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs less than gap apart made one."""
    if not len(starts):
        return starts, stops
    apart = starts[1:] - stops[:-1] >= gap
    return starts[np.append(True, apart)], stops[np.append(apart, True)]


def _split(start: int, stop: int, samples: Samples) -> Iterator[Region]:
    """Yields the region, cut at its quietest ticks into pieces of 10 to 30 s if it is longer than 30 s."""
    while stop - start > LONGEST_REGION_TICKS:
        first = start + SHORTEST_SPLIT_TICKS
        last = min(start + LONGEST_REGION_TICKS, stop - SHORTEST_SPLIT_TICKS)
        cut = first + int(levels(samples[first * SAMPLES_PER_TICK : last * SAMPLES_PER_TICK]).argmin())
        yield Region(start, cut)
        start = cut
    yield Region(start, stop)


def _cut(regions: list[Region]) -> int:
    """Returns where to end a section: the middle of the widest gap between regions in the window's later
    half."""
    gaps = zip([0, *(r.stop for r in regions)], [*(r.start for r in regions), WINDOW_TICKS], strict=True)
    late = [(max(start, EARLIEST_CUT_TICKS), stop) for start, stop in gaps if stop >= EARLIEST_CUT_TICKS]
    start, stop = max(late, key=lambda gap: gap[1] - gap[0])
    return (start + stop) // 2


def _energetic(samples: Samples) -> tuple[Region, ...]:
    """Returns the stretch from the first to the last tick within 30 dB of the loudest, none if that is
    silent."""
    level = levels(samples)
    if not len(level) or level.max() < SILENCE_DB:
        return ()
    loud = np.flatnonzero(level >= max(level.max() - 30.0, SILENCE_DB))
    return (Region(int(loud[0]), int(loud[-1]) + 1),)
