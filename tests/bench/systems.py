"""What the retrieval benchmark compares: every way to answer a spoken query from the development archive.

A system answers a query, mostly a stretch of audio, with ranked detections. The indexed systems run the
archive's own code from decoding to hits; the exhaustive one and the one on true words stand beside it as
references.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from tests.bench.material import Material
from tests.bench.metrics import Detections, Places
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import (
    SAMPLES_PER_TICK,
    EncoderInfo,
    QueryAudio,
    Samples,
    SearchOptions,
    SectionEmbeddings,
)
from wordspot.indexer.search import dtw
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.fusion import find_by_examples
from wordspot.indexer.search.perturbation import speed_variants
from wordspot.indexer.search.query import embed_query
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.sound.audio import DirectDecoder
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.models import audio
from wordspot.models.encoders import Encoder, load_encoder

ARCHIVE = "development"
RANKED = 1_000


Asked = TypeVar("Asked", contravariant=True)


class System(Protocol[Asked]):
    """Answers what it is asked with: text, or audio of which all between start and stop (ticks) is meant."""

    def answer(self, query: Asked) -> Detections: ...


class LocalEmbedder:
    """The archive's embedder protocol over an encoder in this process."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self.threshold = encoder.threshold
        self.query_padding = encoder.query_padding
        self.calibration = encoder.calibration
        self.info = EncoderInfo(**{entry.name: getattr(encoder, entry.name) for entry in fields(EncoderInfo)})

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        (embedded,) = self.embed_all([(regions, spans)])
        return embedded

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        answers = self._encoder.embed_sections(sections)
        return [SectionEmbeddings(vectors, tuple(frames)) for vectors, frames in answers]


@dataclass(frozen=True)
class Indexed:
    """An archive that was indexed just now, and what that cost."""

    view: ArchiveView
    embedder: LocalEmbedder
    times_real: float
    megabytes_per_hour: float
    spans_per_hour: float


def index(material: Material, encoder: str, folder: Path, home: Path) -> Indexed:
    """Indexes the development archive afresh below `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    embedder = LocalEmbedder(load_encoder(encoder, home))
    library = Library(
        folder,
        decoder=DirectDecoder(),
        segmenter=SpeechSegmenter(SileroDetector(), SpanPlan()),
        embedder_for=lambda name: embedder,
        default_encoder=encoder,
        roots=[Path("/")],
    )
    library.create_archive(ARCHIVE)
    for recording in material.recordings:
        library.add_path(ARCHIVE, recording.path, request_id="")
    begun = time.perf_counter()
    started = library.start_index(ARCHIVE, encoder, request_id="")
    *_, operation = library.watch_operation(started.id)
    spent = time.perf_counter() - begun
    if operation.recordings_failed or operation.recordings_done != len(material.recordings):
        raise RuntimeError(f"indexing with {encoder} ended as {operation}")
    view = library.view(ARCHIVE)
    hours = material.seconds / 3600
    size = sum(file.stat().st_size for file in (folder / "segments").rglob("*") if file.is_file())
    library.close()
    return Indexed(view, embedder, material.seconds / spent, size / 1e6 / hours, view.spans / hours)


class Search:
    """The archive's own search, with or without the second stage."""

    def __init__(self, indexed: Indexed, material: Material, settings: SearchSettings) -> None:
        self._indexed = indexed
        self._finder = Finder(settings)
        ordinals = {str(r.path): n for n, r in enumerate(material.recordings)}
        self._ordinals = {entry.id: ordinals[entry.path] for entry in indexed.view.recordings}

    def answer(self, query: QueryAudio) -> Detections:
        return self.together([query])

    def together(self, examples: Sequence[QueryAudio]) -> Detections:
        embedded = [embed_query(example, self._indexed.embedder) for example in examples]
        options = SearchOptions(top=RANKED, include_undetected=True)
        hits = find_by_examples(self._finder, self._indexed.view, embedded, options).hits
        return detections(
            [self._ordinals[hit.recording] for hit in hits],
            [hit.start for hit in hits],
            [hit.end for hit in hits],
            [hit.score for hit in hits],
            [hit.detected for hit in hits],
        )


class Together:
    """The same, asked with several examples of a word at once."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def answer(self, examples: Sequence[QueryAudio]) -> Detections:
        return self._search.together(examples)


class Remembering:
    """The same, which is not asked again with a sound that it was asked with, alone, before."""

    def __init__(self, search: System[QueryAudio]) -> None:
        self._search = search
        self._known: dict[bytes, Detections] = {}

    def answer(self, query: QueryAudio) -> Detections:
        if not query.isolated:
            return self._search.answer(query)
        said = query.samples[query.start * SAMPLES_PER_TICK : query.stop * SAMPLES_PER_TICK].tobytes()
        if said not in self._known:
            self._known[said] = self._search.answer(query)
        return self._known[said]


class SpeedPerturbed:
    """The same, the query asked in so many variants of speed."""

    def __init__(self, search: Search, variants: int) -> None:
        self._search = search
        self._variants = variants

    def answer(self, query: QueryAudio) -> Detections:
        return self._search.together(speed_variants(query, self._variants))


class Exhaustive:
    """Subsequence DTW over every frame of every recording: 39 MFCC every 10 ms, normalised over each
    recording by itself, cosine distance, cost by the length of the path.

    copies: the archive so many times over, to time a larger one.
    """

    def __init__(self, material: Material, steps: dtw.Steps, copies: int = 1) -> None:
        features = [self._features(audio.load(recording.path)) for recording in material.recordings] * copies
        self._offsets = np.cumsum([0, *(len(f) for f in features)], dtype=np.int64)
        self._frames = np.concatenate(features)
        self._steps = steps

    def answer(self, query: QueryAudio) -> Detections:
        frames = self._features(query.samples)[query.start : query.stop]
        offsets = self._offsets
        cost, start = dtw.alignment_curves(
            frames, lambda a, b: self._frames[offsets[a] : offsets[b]], offsets, self._steps
        )
        ends = dtw.alignments(cost, start, offsets)
        ends = ends[np.argsort(cost[ends], kind="stable")][:RANKED]
        recordings = np.searchsorted(offsets, ends, side="right") - 1
        starts = start[ends] / audio.TICKS_PER_SECOND
        stops = (ends - offsets[recordings] + 1) / audio.TICKS_PER_SECOND
        return detections(recordings, starts, stops, -cost[ends], np.zeros(len(ends), dtype=np.bool_))

    @staticmethod
    def _features(samples: Samples) -> NDArray[np.float32]:
        (features,) = audio.normalise([audio.mfcc(torch.from_numpy(samples))])
        return np.ascontiguousarray(torch.nn.functional.normalize(features, dim=1).numpy(), dtype=np.float32)


class TrueWords:
    """Ranks the words of the archive's annotation: what perfect segmentation would give an encoder."""

    def __init__(self, material: Material, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        vectors, places = [], []
        for number, recording in enumerate(material.recordings):
            samples = audio.load(recording.path)
            ticks = -(-len(samples) // audio.HOP_SAMPLES)
            rows = [(0, round(100 * w.start), min(ticks, round(100 * w.end))) for w in recording.words]
            kept = [(row, w) for row, w in zip(rows, recording.words, strict=True) if row[2] - row[1] >= 4]
            if kept:
                spans = np.array([row for row, _ in kept], dtype=np.int32)
                vectors.append(embedder.embed([samples], spans).vectors)
                places += [(number, word.start, word.end) for _, word in kept]
        self._vectors = np.concatenate(vectors)
        self._places = np.array(places)

    def answer(self, query: QueryAudio) -> Detections:
        span = np.array([[0, query.start, query.stop]], dtype=np.int32)
        similarity = self._vectors @ self._embedder.embed([query.samples], span).vectors[0]
        order = np.argsort(-similarity, kind="stable")[:RANKED]
        recordings, starts, ends = self._places[order].T
        return detections(recordings, starts, ends, similarity[order], np.zeros(len(order), dtype=np.bool_))


class Chance:
    """Random places of one second."""

    def __init__(self, material: Material, seed: int) -> None:
        self._seconds = np.array([recording.seconds for recording in material.recordings])
        self._rng = np.random.default_rng(seed)

    def answer(self, query: QueryAudio) -> Detections:
        recordings = self._rng.choice(len(self._seconds), RANKED, p=self._seconds / self._seconds.sum())
        middles = self._rng.random(RANKED) * self._seconds[recordings]
        scores = np.sort(self._rng.random(RANKED))[::-1]
        return detections(recordings, middles - 0.5, middles + 0.5, scores, np.zeros(RANKED, dtype=np.bool_))


def detections(
    recordings: object, starts: object, ends: object, scores: object, detected: object
) -> Detections:
    places = Places(
        np.asarray(recordings, dtype=np.int64),
        np.asarray(starts, dtype=np.float64),
        np.asarray(ends, dtype=np.float64),
    )
    return Detections(places, np.asarray(scores, dtype=np.float64), np.asarray(detected, dtype=np.bool_))
