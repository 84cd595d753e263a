"""The query: a spoken example, cut to its end points and embedded as the archive was.

query = embed_query(trim(samples, segmenter, interval), embedder)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.limits import MAX_CONTEXT_SECONDS, MAX_QUERY_SECONDS, MIN_QUERY_SECONDS
from wordspot.indexer.records import (
    SAMPLES_PER_TICK,
    Embedder,
    EncoderInfo,
    Mode,
    QueryAudio,
    Samples,
    Segmenter,
    to_seconds,
    to_tick,
)
from wordspot.indexer.search.calibration import Calibration
from wordspot.indexer.sound.endpointing import endpoints
from wordspot.indexer.stages import stage
from wordspot.indexer.vectors.protocol import normalised

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MIN_QUERY_TICKS = to_tick(MIN_QUERY_SECONDS)
MAX_QUERY_TICKS = to_tick(MAX_QUERY_SECONDS)
MAX_PIECE_TICKS = to_tick(1.5)
MAX_TIGHTLY_CUT_TICKS = to_tick(2)  # of a word cut so closely that no speech is detected in it
MAX_CONTEXT_TICKS = to_tick(MAX_CONTEXT_SECONDS)  # on each side
MARGIN_TICKS = to_tick(0.03)  # at each end of an isolated word, blurred by what it was cut from: not compared
MIN_COMPARED_TICKS = to_tick(0.2)  # of a word that is compared without its margins
SILENCE_RMS = 10 ** (-50 / 20)  # root mean square of a tick, full scale 1
LOUD_RATIO = 10 ** (-30 / 20)  # of the loudest tick's


@dataclass(frozen=True)
class EmbeddedQuery:
    """An embedded query, the input of both stages of a search.

    Attributes:
        encoder: hash of the encoder that embedded it.
        vectors: float32 (P, D) unit rows, one a piece.
        offsets: int64 (P,), the first tick of each piece, from the start of the word.
        piece: length of every piece in ticks.
        frames: float32 (T, H) unit rows of the word.
        start: first tick of the word in the query's audio.
        stop: one past its last tick.
        threshold: the encoder's score from which a hit counts as detected, if it has one.
        mode: what hits have in common with the query; they are aligned frame by frame only under Mode.SOUND.
        calibration: of the encoder, if it has one.
    """

    encoder: str
    vectors: Floats
    offsets: Ints
    piece: int
    frames: Floats
    start: int
    stop: int
    threshold: float | None = None
    mode: Mode = Mode.SOUND
    calibration: Calibration | None = None

    @property
    def ticks(self) -> int:
        """Duration of the word in ticks."""
        return self.stop - self.start


@stage("end-pointing")
def trim(samples: Samples, segmenter: Segmenter, interval: tuple[float, float] | None = None) -> QueryAudio:
    """Returns the query with its end points: the interval, or those that sound/endpointing.py finds.

    A word cut so closely that the segmenter finds no speech in it extends from its first to its last loud
    tick. Where end points are found and not given, MARGIN_TICKS at either end are left out of the comparison.

    Args:
        samples: (samples,), the query's audio.
        segmenter: finds the speech where there is no interval.
        interval: the word, in seconds of the audio.

    Raises:
        InvalidInput: if the audio is silent or not finite, or the word is not within the audio or not
            MIN_QUERY_SECONDS to MAX_QUERY_SECONDS long.
    """
    if samples.ndim != 1:
        raise InvalidInput(f"audio must have the shape (samples,) of one channel, got {samples.shape}")
    if not np.isfinite(samples).all():
        raise InvalidInput("the query's audio has values that are not finite")
    ticks = len(samples) // SAMPLES_PER_TICK
    _check_length(ticks, "the query's audio", longest=None)
    per_tick = samples[: ticks * SAMPLES_PER_TICK].reshape(ticks, SAMPLES_PER_TICK)
    loudness = np.sqrt(np.square(per_tick, dtype=np.float64).mean(axis=1))  # (ticks,)
    if interval is not None:
        start, stop = _interval_ticks(interval, ticks)
    elif regions := segmenter.regions(samples):
        start, stop = endpoints(samples, regions)
    elif ticks <= MAX_TIGHTLY_CUT_TICKS and loudness.max() >= SILENCE_RMS:
        loud = np.flatnonzero(loudness >= LOUD_RATIO * loudness.max())
        start, stop = int(loud[0]), int(loud[-1]) + 1
    else:
        raise InvalidInput(f"no speech in {to_seconds(ticks):.2f} s of audio")
    _check_length(stop - start, "the query's speech", longest=MAX_QUERY_TICKS)
    if loudness[start:stop].max() < SILENCE_RMS:
        raise InvalidInput(f"silence from {to_seconds(start):.2f} to {to_seconds(stop):.2f} s of the query")
    if interval is not None:
        return QueryAudio(samples, start, stop)
    margin = min(MARGIN_TICKS, max((stop - start - MIN_COMPARED_TICKS) // 2, 0))
    return QueryAudio(samples, start + margin, stop - margin, isolated=True, margin=margin)


def _check_length(ticks: int, what: str, longest: int | None) -> None:
    if ticks < MIN_QUERY_TICKS or (longest is not None and ticks > longest):
        allowed = (
            f"between {to_seconds(MIN_QUERY_TICKS)} and {to_seconds(longest)} s"
            if longest
            else f"at least {to_seconds(MIN_QUERY_TICKS)} s"
        )
        raise InvalidInput(f"{what} must last {allowed}, got {to_seconds(ticks):.2f} s")


def _interval_ticks(interval: tuple[float, float], ticks: int) -> tuple[int, int]:
    begin, end = interval
    # A caller's seconds may be rounded up from the last, incomplete tick.
    if not (math.isfinite(begin) and math.isfinite(end) and 0 <= begin < end <= to_seconds(ticks + 1)):
        raise InvalidInput(
            f"the interval must lie within 0 and {to_seconds(ticks):.2f} s, got {begin} to {end} s"
        )
    return to_tick(begin), min(to_tick(end), ticks)


@stage("embedding")
def embed_query(query: QueryAudio, embedder: Embedder, mode: Mode = Mode.SOUND) -> EmbeddedQuery:
    """Embeds the query as if it were part of a recording, with up to MAX_CONTEXT_SECONDS of context on each
    side.

    A word of up to 5 s that has less context than the encoder's query_padding gets silence in its place. A
    word of more than 1.5 s is divided into evenly spaced pieces, each with a vector of its own.

    Raises:
        FailedPrecondition: if the mode needs meaning and the encoder represents none.
    """
    info = embedder.info
    check_mode(mode, info)
    audio, start = _encoder_input(query, embedder.query_padding)
    offsets, piece = _pieces(query.stop - query.start)
    spans = np.zeros((len(offsets), 3), dtype=np.int32)  # (P, 3): region, start, stop
    spans[:, 1] = start + offsets
    spans[:, 2] = start + offsets + piece
    word = start, start + query.stop - query.start
    # What an encoder makes of a lone word depends on the tick at which its first frame begins.
    phases = info.ticks_per_frame if query.isolated and embedder.query_padding else 1
    vectors, frames = _embed_in_phases(embedder, audio, spans, word, phases)
    return EmbeddedQuery(
        encoder=info.hash,
        vectors=normalised(_with_mode_mask(vectors, mode, info)),
        offsets=offsets,
        piece=piece,
        frames=frames,
        start=query.start,
        stop=query.stop,
        threshold=embedder.threshold if mode is Mode.SOUND else None,
        mode=mode,
        calibration=Calibration.from_card(embedder.calibration) if mode is Mode.SOUND else None,
    )


def _embed_in_phases(
    embedder: Embedder, audio: Samples, spans: NDArray[np.int32], word: tuple[int, int], phases: int
) -> tuple[Floats, Floats]:
    """Returns the vectors (P, D) of the spans and the frames (T, H) of the word's ticks, each the mean over
    so many ticks at which the first frame may begin."""
    (start, stop), step = word, embedder.info.ticks_per_frame
    sections = []
    for phase in range(phases):
        moved = spans.copy()
        moved[:, 1:] += phase
        sections.append(([np.pad(audio, (phase * SAMPLES_PER_TICK, 0))], moved))
    count = -(-stop // step) - start // step
    vectors: Floats = np.zeros((), np.float32)
    frames: Floats = np.zeros((), np.float32)
    embeddings = embedder.embed_all(sections) if phases > 1 else [embedder.embed(*sections[0])]
    for phase, embedded in enumerate(embeddings):
        first = -(-(start // step * step + phase) // step)  # the first frame at or after the same place
        of_phase = embedded.frames[0]
        place = np.minimum(np.arange(first, first + count), len(of_phase) - 1)
        vectors = vectors + normalised(embedded.vectors)
        frames = frames + normalised(of_phase[place])
    return vectors, normalised(frames)


def _encoder_input(query: QueryAudio, padding: int) -> tuple[Samples, int]:
    """Returns the encoder's input (samples,) and the tick of it at which the word begins."""
    context = query.margin if query.isolated else MAX_CONTEXT_TICKS
    first_tick = max(query.start - context, 0)
    last_tick = min(query.stop + context, len(query.samples) // SAMPLES_PER_TICK)
    if query.stop - query.start > MAX_CONTEXT_TICKS:
        padding = 0
    silence_before = max(padding - (query.start - first_tick), 0)
    silence_after = max(padding - (last_tick - query.stop), 0)
    audio = query.samples[first_tick * SAMPLES_PER_TICK : last_tick * SAMPLES_PER_TICK]
    if silence_before or silence_after:
        audio = np.pad(audio, (silence_before * SAMPLES_PER_TICK, silence_after * SAMPLES_PER_TICK))
    return audio, silence_before + query.start - first_tick


def check_mode(mode: Mode, encoder: EncoderInfo) -> None:
    """Raises FailedPrecondition if the mode needs meaning and the encoder represents none."""
    if mode is not Mode.SOUND and not encoder.semantic_dimensions:
        raise FailedPrecondition(
            f"encoder {encoder.name!r} represents how words sound, not what they mean: train one that does "
            "with `wordspot train semantic`, and index the archive with it"
        )


def _with_mode_mask(vectors: Floats, mode: Mode, encoder: EncoderInfo) -> Floats:
    """Returns the vectors (n, D) with zeros in the dimensions that the mode does not compare."""
    sound_dimensions = vectors.shape[1] - encoder.semantic_dimensions
    mask = np.ones(vectors.shape[1], np.float32)
    if mode is Mode.SOUND:
        mask[sound_dimensions:] = 0
    elif mode is Mode.MEANING:
        mask[:sound_dimensions] = 0
    return vectors * mask


def _pieces(ticks: int) -> tuple[Ints, int]:
    """Returns the first tick (P,) and the length of the pieces: the fewest, a quarter longer than needed if
    allowed."""
    count = -(-ticks // MAX_PIECE_TICKS)
    piece = ticks if count == 1 else min(MAX_PIECE_TICKS, -(-5 * ticks // (4 * count)))
    return np.linspace(0, ticks - piece, count).round().astype(np.int64), piece
