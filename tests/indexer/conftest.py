"""Fakes for the neighbours of the archive's storage: they start fast, and their answers are known."""

from __future__ import annotations

import dataclasses
import os
import threading
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wordspot.indexer.archive.library import Library
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.records import (
    SAMPLE_RATE,
    SAMPLES_PER_TICK,
    TICKS_PER_SECOND,
    EncoderInfo,
    Region,
    Samples,
    Section,
    SectionEmbeddings,
)
from wordspot.indexer.sound.opened import AudioFile, OpenFile, opened
from wordspot.indexer.sound.survey import HeardTrack

ENCODER = EncoderInfo("fake", "f" * 64, dimension=12, frame_dimension=3, ticks_per_frame=2)
OTHER_ENCODER = EncoderInfo("other", "0" * 64, dimension=8, frame_dimension=4, ticks_per_frame=3)
SEMANTIC_ENCODER = EncoderInfo(
    "semantic", "5" * 64, 12, frame_dimension=3, ticks_per_frame=2, semantic_dimensions=4
)
SPAN_TICKS, STEP_TICKS = 20, 15
FRAMES_AT_MOST = 127  # of a region; so that the first number of a stored frame is the frame's own


@dataclasses.dataclass(frozen=True)
class Info:
    seconds: float | None
    sample_rate: int
    channels: int
    format: str
    tracks: int = 1


class WaveDecoder:
    """16-bit mono WAV files at 16 kHz."""

    def probe(self, file: AudioFile, *, track: int = 0) -> Info:
        with self._opened(file) as wav:
            if not wav.readframes(1):
                raise InvalidInput(f"{name_of(file)} holds no audio")
            return Info(wav.getnframes() / SAMPLE_RATE, wav.getframerate(), wav.getnchannels(), "WAV")

    def read_blocks(
        self,
        file: AudioFile,
        *,
        max_seconds: float,
        start: float = 0.0,
        stop: float | None = None,
        warnings: list[str] | None = None,
        heard: list[HeardTrack] | None = None,
        track: int = 0,
        channel: int = 0,
    ) -> Iterator[Samples]:
        if heard is not None:
            heard.append(HeardTrack(1, 1, 1, (1,)))
        with self._opened(file) as wav:
            last = wav.getnframes() if stop is None else min(round(stop * SAMPLE_RATE), wav.getnframes())
            wav.setpos(min(round(start * SAMPLE_RATE), wav.getnframes()))
            if last <= wav.tell():
                raise InvalidInput(f"{name_of(file)} holds no audio")
            if last - wav.tell() > max_seconds * SAMPLE_RATE:
                raise InvalidInput(f"{name_of(file)} is longer than {max_seconds} s")
            while wav.tell() < last:
                data = wav.readframes(min(7_001, last - wav.tell()))
                if not data:
                    raise InvalidInput(f"{name_of(file)} ends before its header says")
                yield np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768

    def read_stretch(
        self,
        file: AudioFile,
        start: float,
        stop: float,
        *,
        max_seconds: float,
        track: int = 0,
        channel: int = 0,
    ) -> Samples:
        return np.concatenate(list(self.read_blocks(file, max_seconds=max_seconds, start=start, stop=stop)))

    @contextmanager
    def _opened(self, file: AudioFile) -> Iterator[wave.Wave_read]:
        try:
            with opened(file) as content, os.fdopen(os.dup(content.descriptor), "rb") as stream:
                stream.seek(0)
                with wave.open(stream, "rb") as wav:
                    yield wav
        except (wave.Error, EOFError) as error:
            raise InvalidInput(f"{name_of(file)} is not audio: {error}") from None


def name_of(file: AudioFile) -> str:
    return file.name if isinstance(file, OpenFile) else str(file)


class LoudnessSegmenter:
    """A section a second; its regions are runs of ticks that are not silent."""

    def segment(self, blocks: Iterable[Samples]) -> Iterator[Section]:
        held = np.zeros(0, dtype=np.float32)
        tick = 0
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) >= SAMPLE_RATE:
                yield self._section(held[:SAMPLE_RATE], tick)
                held, tick = held[SAMPLE_RATE:], tick + TICKS_PER_SECOND
        if len(held):
            yield self._section(held, tick)

    def regions(self, samples: Samples) -> tuple[Region, ...]:
        loud = np.array(
            [np.abs(samples[at : at + SAMPLES_PER_TICK]).max() > 0.01
             for at in range(0, len(samples), SAMPLES_PER_TICK)]
        )  # fmt: skip
        edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
        return tuple(Region(int(a), int(b)) for a, b in edges.reshape(-1, 2))

    def _section(self, samples: Samples, tick: int) -> Section:
        found = self.regions(samples)
        spans = [
            (number, start, min(start + SPAN_TICKS, region.ticks))
            for number, region in enumerate(found)
            for start in range(0, region.ticks, STEP_TICKS)
        ]
        return Section(
            tuple(Region(tick + region.start, tick + region.stop) for region in found),
            np.array(spans, dtype=np.int32).reshape(-1, 3),
            tick + -(-len(samples) // SAMPLES_PER_TICK),
        )


class ProjectionEmbedder:
    """A fixed random projection of a span's loudness in eight parts; frames point where their number says.

    before: called with the number of each section embedded, for faults and for holding up the work.
    """

    def __init__(self, info: EncoderInfo = ENCODER) -> None:
        self.info = info
        self.threshold: float | None = None
        self.query_padding = 0
        self.calibration: Mapping[str, Any] | None = None
        self.before: Callable[[int], None] = lambda count: None
        self._projection = np.random.default_rng(1).normal(size=(8, info.dimension))
        self._lock = threading.Lock()
        self._count = 0

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        with self._lock:
            self._count += 1
            count = self._count
        self.before(count)
        rows = np.zeros((len(spans), self.info.dimension), dtype=np.float32)
        for row, (region, start, stop) in zip(rows, spans, strict=True):
            audio = regions[region][start * SAMPLES_PER_TICK : stop * SAMPLES_PER_TICK]
            loudness = [np.abs(part).mean() for part in np.array_split(audio, 8)]
            row[:] = (np.array(loudness) - 0.1) @ self._projection
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        step, width = self.info.ticks_per_frame, self.info.frame_dimension
        counts = [-(-(len(audio) // SAMPLES_PER_TICK) // step) for audio in regions]
        frames = [np.full((n, width), FRAMES_AT_MOST, dtype=np.float32) for n in counts]
        for part in frames:
            part[:, 0] = np.arange(len(part))
        return SectionEmbeddings(rows, tuple(frames))

    def embed_all(
        self, sections: Sequence[tuple[Sequence[Samples], NDArray[np.int32]]]
    ) -> list[SectionEmbeddings]:
        return [self.embed(*section) for section in sections]


class Embedders:
    """By name; what the library's embedder_for asks."""

    def __init__(self) -> None:
        encoders = (ENCODER, OTHER_ENCODER, SEMANTIC_ENCODER)
        self.known = {info.name: ProjectionEmbedder(info) for info in encoders}

    def __call__(self, name: str) -> ProjectionEmbedder:
        if name not in self.known:
            raise NotFound(f"no encoder {name!r}; known are {', '.join(self.known)}")
        return self.known[name]


def write_noise(path: Path, *, seed: int, seconds: float = 1.0, silent: bool = False) -> Path:
    """A WAV file of noise whose loudness wanders, with a pause of 0.1 s in each second."""
    samples = round(seconds * SAMPLE_RATE)
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.1, 1.0, samples // 400 + 1), 400)[:samples]
    audio = envelope * rng.uniform(-1, 1, samples)
    audio[np.arange(samples) % SAMPLE_RATE >= round(0.9 * SAMPLE_RATE)] = 0
    if silent:
        audio[:] = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((audio * 32767).astype("<i2").tobytes())
    return path


def library_at(home: Path, roots: Sequence[Path], embedders: Embedders, **options: Any) -> Library:
    defaults = {
        "decoder": WaveDecoder(),
        "segmenter": LoudnessSegmenter(),
        "embedder_for": embedders,
        "default_encoder": "fake",
        "roots": roots,
    }
    return Library(home, **(defaults | options))


def index(library: Library, archive: str, encoder: str = "") -> Any:
    """Indexes and waits for the end."""
    *_, last = library.watch_operation(library.start_index(archive, encoder).id)
    return last


@pytest.fixture(scope="session")
def fakes() -> SimpleNamespace:
    """The names of this module, for tests that cannot import it."""
    return SimpleNamespace(**globals())


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder that the library may read."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def embedders() -> Embedders:
    return Embedders()


@pytest.fixture
def open_library(tmp_path: Path, audio: Path, embedders: Embedders) -> Iterator[Callable[..., Library]]:
    """Opens the library of this test's home; closed at the end, or by the test."""
    opened: list[Library] = []

    def open_one(**options: Any) -> Library:
        opened.append(library_at(tmp_path / "home", embedders=embedders, **({"roots": [audio]} | options)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def library(open_library: Callable[..., Library]) -> Library:
    """A library with the empty archive "words"."""
    opened = open_library()
    opened.create_archive("words")
    return opened
