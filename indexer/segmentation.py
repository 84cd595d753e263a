"""Where somebody speaks, and which stretches of it may be words.

A detector gives a probability of speech for every tick; hysteresis, minimum lengths and padding turn it into
regions; a plan lays spans over each region. A recording streams through in windows of 90 s, each cut in its
widest silence, so that memory stays bounded and the result does not depend on how the input was cut.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.sparse import csr_array

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, SAMPLES_PER_TICK, Region, Samples, Section, to_seconds

PIECE_SAMPLES = 102 * 2_560  # 16 s; whole ticks (160 samples) and whole Silero frames (512)
WINDOW_TICKS = 9_000
EARLIEST_CUT_TICKS = 4_500
LONGEST_REGION_TICKS = 3_000
SHORTEST_SPLIT_TICKS = 1_000
SILENCE_DB = -55.0  # full scale is 0; what stays below is no sound
INAUDIBLE_DB = 0.01  # less is rounding, no change of the sound
WINDOW_SAMPLES, FFT_SIZE = 400, 512  # of the spectra in which boundaries are sought
MEL_BANDS, LOWEST_HZ, HIGHEST_HZ = 40, 64, 4_000

Listener = Callable[[Samples], NDArray[np.float32]]


class Detector(Protocol):
    """Says how likely each tick is speech. Safe to call from several threads."""

    def listen(self) -> Listener:
        """A function that takes one recording's audio in order and returns a probability for each whole tick.

        It is called with pieces of PIECE_SAMPLES, of which the last may be shorter.
        """
        ...


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


@dataclass(frozen=True)
class SpanPlan:
    """Which stretches of a region become spans; all in ticks.

    Spans of lengths[i] start at every hops[i]-th tick. The smallest hop divides the others, so that long
    spans start where short ones do and an encoder needs one pass a start. With `snap`, each start moves to
    the nearest acoustic boundary within half the smallest hop.
    """

    lengths: tuple[int, ...] = (26, 38, 56, 82, 120)
    hops: tuple[int, ...] = (10, 10, 20, 20, 40)
    snap: bool = True

    def __post_init__(self) -> None:
        if not self.lengths or len(self.lengths) != len(self.hops):
            raise InvalidInput(f"a plan needs one hop a length, got {self.lengths} and {self.hops}")
        if min(self.hops) < 1 or any(hop % min(self.hops) for hop in self.hops):
            raise InvalidInput(f"hops {self.hops} are not allowed: each a multiple of the smallest, from 1")
        if min(self.lengths) < 1 or list(self.lengths) != sorted(set(self.lengths)):
            raise InvalidInput(f"lengths {self.lengths} are not allowed: rising, from 1")

    def spans(self, ticks: int, boundaries: NDArray[np.int64]) -> NDArray[np.int32]:
        """Spans (n, 2) of start and stop in a region of that many ticks, sorted; boundaries are sorted.

        A span that exceeds the region by at most half its hop is clipped. A region shorter than the
        shortest length gives the one span that covers it.
        """
        if ticks < self.lengths[0]:
            return np.array([[0, ticks]], np.int32)
        base = min(self.hops)
        grid = np.arange(0, ticks, base)
        starts = _snapped(grid, boundaries, base // 2) if self.snap else grid
        spans = []
        for length, hop in zip(self.lengths, self.hops, strict=True):
            start = starts[grid % hop == 0]
            start = start[start + length <= ticks + hop // 2]
            spans.append(np.stack([start, np.minimum(start + length, ticks)], axis=1))
        rows = np.concatenate(spans).astype(np.int32)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        # Two lengths may be clipped to the same stretch.
        distinct: NDArray[np.int32] = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
        return distinct


def _snapped(grid: NDArray[np.int64], boundaries: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    if not len(boundaries):
        return grid
    after = np.searchsorted(boundaries, grid).clip(max=len(boundaries) - 1)
    near = boundaries[np.stack([np.maximum(after - 1, 0), after])]  # (2, n)
    nearest = near[np.abs(near - grid).argmin(axis=0), np.arange(len(grid))]
    return np.where(np.abs(nearest - grid) <= reach, nearest, grid)


class SpeechSegmenter:
    """The Segmenter of records.py; holds no state between calls."""

    def __init__(self, detector: Detector, plan: SpanPlan | None = None, rules: Rules | None = None) -> None:
        """plan: None means the default plan."""
        self._detector = detector
        self._plan = plan or SpanPlan()
        self._rules = rules or Rules()

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        """Sections of 45 to 90 s, the last may be shorter; less than a tick at the end is left out."""
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
        """regions count from origin; samples start there."""
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
        """With the recording's next section."""
        return replace(
            self,
            audio_seconds=to_seconds(section.stop),
            speech_seconds=self.speech_seconds + to_seconds(sum(region.ticks for region in section.regions)),
            regions=self.regions + len(section.regions),
            spans=self.spans + len(section.spans),
        )


class SileroDetector:
    """Silero VAD (Silero Team, 2024), the ONNX model of the silero_vad wheel, without its torch code.

    The variant used takes many frames a call: 512 samples, each after the 64 before it, and an LSTM state
    carried from call to call. Its probabilities equal those of the frame-by-frame model. It starts as if
    half a second of silence had gone before: from its zero state it hears a tightly cut word too late.
    """

    FRAME, CONTEXT, STATE, QUIET_FRAMES = 512, 64, 128, 15
    MODEL = "silero_vad_16k_sequence.onnx"

    def __init__(self) -> None:
        """Raises FailedPrecondition if silero-vad 6.2.2 or newer is not installed."""
        spec = importlib.util.find_spec("silero_vad")
        if spec is None or spec.origin is None:
            raise FailedPrecondition("silero-vad is not installed: pip install 'silero-vad>=6.2.2'")
        path = Path(spec.origin).parent / "data" / self.MODEL
        if not path.exists():
            raise FailedPrecondition(f"{path} is missing: pip install 'silero-vad>=6.2.2'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # the model's unused weights are no news
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        zero = np.zeros((1, 1, self.STATE), np.float32)
        silence = np.zeros((self.QUIET_FRAMES, self.CONTEXT + self.FRAME), np.float32)
        _, self._hidden, self._cell = self._run(silence, zero, zero)

    def _run(
        self, frames: NDArray[np.float32], hidden: NDArray[np.float32], cell: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """frames (n, CONTEXT + FRAME); probabilities (n,) and the next hidden and cell (1, 1, STATE)."""
        feed = {"input": frames, "h": hidden, "c": cell}
        outputs: list[NDArray[np.float32]] = self._session.run(["speech_probs", "hn", "cn"], feed)
        return outputs

    def listen(self) -> Listener:
        context = np.zeros(self.CONTEXT, np.float32)
        hidden, cell = self._hidden, self._cell

        def hear(samples: Samples) -> NDArray[np.float32]:
            nonlocal context, hidden, cell
            frames = np.pad(samples, (0, -len(samples) % self.FRAME)).reshape(-1, self.FRAME)
            before = np.concatenate([context[np.newaxis], frames[:-1, -self.CONTEXT :]])
            context = frames[-1, -self.CONTEXT :]
            heard, hidden, cell = self._run(np.concatenate([before, frames], axis=1), hidden, cell)
            middles = np.arange(len(samples) // SAMPLES_PER_TICK) * SAMPLES_PER_TICK + SAMPLES_PER_TICK // 2
            return heard[middles // self.FRAME]

        return hear


class EnergyDetector:
    """Speech rises `margin_db` above the noise: the level that a tenth of the last 30 s stays below."""

    def __init__(self, margin_db: float = 12.0) -> None:
        self._margin_db = margin_db

    def listen(self) -> Listener:
        recent = np.zeros(0)

        def hear(samples: Samples) -> NDArray[np.float32]:
            nonlocal recent
            level = levels(samples)
            recent = np.concatenate([recent, level])[-LONGEST_REGION_TICKS:]
            if not len(recent):
                return np.zeros(0, np.float32)
            noise = max(float(np.percentile(recent, 10)), SILENCE_DB - self._margin_db)
            above = level - noise - self._margin_db
            return (1 / (1 + np.exp(-above / 3))).astype(np.float32)

        return hear


class NoDetector:
    """Everything is speech: for audio that has already been cut."""

    def listen(self) -> Listener:
        return lambda samples: np.ones(len(samples) // SAMPLES_PER_TICK, np.float32)


def levels(samples: Samples) -> NDArray[np.float64]:
    """Level of each whole tick in dB of full scale, smoothed over 50 ms, without its mean; -100 at least."""
    ticks = len(samples) // SAMPLES_PER_TICK
    power = samples[: ticks * SAMPLES_PER_TICK].reshape(ticks, SAMPLES_PER_TICK).var(axis=1, dtype=np.float64)
    total = np.concatenate([[0.0], power.cumsum()])
    start = np.maximum(np.arange(ticks) - 2, 0)
    stop = np.minimum(np.arange(ticks) + 3, ticks)
    mean = (total[stop] - total[start]) / (stop - start)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(mean, 1e-10))
    return decibels


def acoustic_boundaries(samples: Samples) -> NDArray[np.int64]:
    """Ticks at which the sound changes, rising: where one phone gives way to the next.

    Peaks of the sum of two curves, each divided by its mean: the distance between the mean log-mel spectra
    of the 30 ms before and after, and the onset strength.
    """
    spectra = log_mel(samples)
    if len(spectra) < 7:
        return np.zeros(0, np.int64)
    total = np.concatenate([np.zeros((1, spectra.shape[1])), spectra.cumsum(axis=0, dtype=np.float64)])
    change = np.zeros(len(spectra))
    change[3:-2] = np.linalg.norm(total[6:] - 2 * total[3:-3] + total[:-6], axis=1)
    strength = sum(curve / max(curve.mean(), INAUDIBLE_DB) for curve in (change, onset_strength(spectra)))
    padded = np.pad(strength, 2)
    around = np.lib.stride_tricks.sliding_window_view(padded, 5).max(axis=1)
    return np.flatnonzero((strength == around) & (strength > max(strength.mean(), INAUDIBLE_DB)))


def onset_strength(spectra: NDArray[np.float32], lag: int = 2) -> NDArray[np.float32]:
    """Mean rise of the bands of (ticks, bands) within `lag` ticks (Böck and Widmer 2013, as in librosa)."""
    rise = np.zeros(len(spectra), np.float32)
    rise[lag:] = np.maximum(spectra[lag:] - spectra[:-lag], 0).mean(axis=1)
    return rise


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """(ticks, 40) in dB, at most 60 below the loudest; 25 ms Hann windows around the start of each tick.

    The bands end at 4 kHz, so that telephone and studio recordings have the same boundaries.
    """
    ticks = len(samples) // SAMPLES_PER_TICK
    if not ticks:
        return np.zeros((0, MEL_BANDS), np.float32)
    padded = np.pad(samples, WINDOW_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::SAMPLES_PER_TICK][:ticks]
    window, filters = _analysis()
    spectrum = rfft(frames * window, FFT_SIZE)[:, : filters.shape[1]].T  # (bins to HIGHEST_HZ, ticks)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    energies = np.ascontiguousarray((filters @ power).T)  # (ticks, 40)
    decibels = 10 * np.log10(np.maximum(energies, 1e-10))
    audible: NDArray[np.float32] = np.maximum(decibels, decibels.max() - 60)
    return audible


@lru_cache(maxsize=1)
def _analysis() -> tuple[NDArray[np.float32], csr_array]:
    """Hann window (400,) and mel filters (40, bins to HIGHEST_HZ) on Slaney's scale, each of unit area.

    The filters are sparse: a dense product would start BLAS threads that spin when they have nothing to do.
    """
    bins = np.arange(HIGHEST_HZ * FFT_SIZE // SAMPLE_RATE + 1) * SAMPLE_RATE / FFT_SIZE
    edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MEL_BANDS + 2))
    rising = (bins[:, np.newaxis] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, np.newaxis]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(np.minimum(rising, falling), 0) * 2 / (edges[2:] - edges[:-2])
    return np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32), csr_array(filters.T.astype(np.float32))


def _mel(hertz: float) -> float:
    """Slaney's scale: linear to 1 kHz, logarithmic from there, 27 steps to a factor of 6.4."""
    return 3 * hertz / 200 if hertz < 1_000 else 15 + 27 * math.log(hertz / 1_000, 6.4)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of _mel."""
    return np.where(mel < 15, mel * 200 / 3, 1_000 * 6.4 ** ((mel - 15) / 27))


def _pieces(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same audio in pieces of PIECE_SAMPLES, the last shorter."""
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
    """(regions, 2) of start and stop, disjoint, before long ones are split."""
    edges = np.diff(np.pad((speech >= rules.offset).astype(np.int8), 1))
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
    """The region, cut at its quietest ticks into pieces of 10 to 30 s if it is longer than 30 s."""
    while stop - start > LONGEST_REGION_TICKS:
        first = start + SHORTEST_SPLIT_TICKS
        last = min(start + LONGEST_REGION_TICKS, stop - SHORTEST_SPLIT_TICKS)
        cut = first + int(levels(samples[first * SAMPLES_PER_TICK : last * SAMPLES_PER_TICK]).argmin())
        yield Region(start, cut)
        start = cut
    yield Region(start, stop)


def _cut(regions: list[Region]) -> int:
    """Where to end a section: the middle of the widest gap between regions in the window's later half."""
    gaps = zip([0, *(r.stop for r in regions)], [*(r.start for r in regions), WINDOW_TICKS], strict=True)
    late = [(max(start, EARLIEST_CUT_TICKS), stop) for start, stop in gaps if stop >= EARLIEST_CUT_TICKS]
    start, stop = max(late, key=lambda gap: gap[1] - gap[0])
    return (start + stop) // 2


def _energetic(samples: Samples) -> tuple[Region, ...]:
    """From the first to the last tick within 30 dB of the loudest, nothing if that is silent."""
    level = levels(samples)
    if not len(level) or level.max() < SILENCE_DB:
        return ()
    loud = np.flatnonzero(level >= max(level.max() - 30.0, SILENCE_DB))
    return (Region(int(loud[0]), int(loud[-1]) + 1),)
