"""Fakes and servers: an encoder without training, words without speakers, real servers on port 0."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from wordspot.indexer.records import Samples
from wordspot.indexer.sound.audio import write_wav
from wordspot.models.artifact import ArtifactCard, EmbeddingFormat
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.models.runtime.sections import EmbeddedSection, Section
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.modelhost.repository import ModelRepository
from wordspot.services.runtime import Service, create_server, open_channel
from wordspot.services.settings import (
    ModelHostSettings,
    Placement,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)
from wordspot.v1 import archive_pb2_grpc, search_pb2_grpc

BANDS, PARTS, FRAME = 24, 6, 320


class BandEncoder:
    """Energies of bands every 20 ms; a span's vector holds the means of its six parts.

    batches: how many sections came together, call by call. poison: sections of so many samples are refused.
    """

    dimension = BANDS * PARTS
    frame_dimension = BANDS
    ticks_per_frame = 2
    description = "for tests"
    threshold: float | None = None
    query_padding: int = 0
    calibration: Mapping[str, Any] | None = None
    semantic_dimensions: int = 0

    def __init__(self, name: str = "bands", hash: str = "0" * 64) -> None:
        self.name = name
        self.hash = hash
        self.batches: list[int] = []
        self.before: Callable[[], object] = lambda: None
        self.poison = -1

    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        self.before()
        self.batches.append(len(sections))
        if any(sum(map(len, regions)) == self.poison for regions, _ in sections):
            raise BadInput("poisoned section")
        return [self._embed(*section) for section in sections]

    def _embed(self, regions: Sequence[Samples], spans: np.ndarray) -> EmbeddedSection:
        frames = [self._frames(region) for region in regions]
        if frames:
            together = np.concatenate(frames)
            centre = together.mean(axis=0)
            frames = [rows - centre for rows in frames]
        vectors = np.zeros((len(spans), BANDS * PARTS), np.float32)
        for row, (region, start, stop) in enumerate(spans):
            edges = np.linspace(start / 2, stop / 2, PARTS + 1).astype(int)
            parts = [frames[region][a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(edges)]
            vectors[row] = np.concatenate(parts)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-9), frames

    def _frames(self, region: Samples) -> np.ndarray:
        count = -(-(len(region) // 160) // self.ticks_per_frame)
        padded = np.pad(region, (0, max(count * FRAME - len(region), 0)))[: count * FRAME]
        spectra = np.abs(np.fft.rfft(padded.reshape(count, FRAME), axis=1))[:, 1:]
        bands = [band.mean(axis=1) for band in np.array_split(spectra[:, :96], BANDS, axis=1)]
        return np.stack(bands, axis=1).astype(np.float32)


@pytest.fixture
def band_encoder() -> type[BandEncoder]:
    return BandEncoder


@dataclass(frozen=True)
class BandCard(ArtifactCard):
    """An encoder without weights has the hash that it says."""

    encoder: BandEncoder = field(default_factory=BandEncoder)

    @property
    def hash(self) -> str:  # type: ignore[override]
        return self.encoder.hash

    def __hash__(self) -> int:
        return hash(self.hash)


class BandStore:
    """Where encoders without training lie. loads: their names, as they are loaded."""

    def __init__(self, *encoders: BandEncoder) -> None:
        self.encoders = {encoder.name: encoder for encoder in encoders}
        self.loads: list[str] = []

    def cards(self) -> dict[str, ArtifactCard]:
        return {name: self.card(name) for name in self.encoders}

    def card(self, name: str) -> ArtifactCard:
        if name not in self.encoders:
            raise UnknownModel(f"no model {name!r}")
        encoder = self.encoders[name]
        return BandCard(
            name=name,
            model="bands",
            config={},
            weights_sha256=encoder.hash,
            description=encoder.description,
            detection_threshold=encoder.threshold,
            calibration=encoder.calibration,
            embedding=EmbeddingFormat.of(encoder),
            encoder=encoder,
        )

    def load(self, name: str, placement: Placement) -> tuple[Any, ArtifactCard]:
        self.loads.append(name)
        return self.encoders[name], self.card(name)

    def best_encoder(self) -> str:
        return next(iter(self.encoders))


@pytest.fixture
def band_store() -> type[BandStore]:
    return BandStore


@pytest.fixture
def offering() -> Iterator[Callable[..., ModelRepository]]:
    """Makes a model repository of fake encoders."""
    with ExitStack() as closing:

        def make(*encoders: BandEncoder, **settings: Any) -> ModelRepository:
            models = ModelRepository(BandStore(*encoders), ModelHostSettings(**settings))
            closing.callback(models.close)
            return models

        yield make


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[grpc.Channel, str]]]:
    """Starts a server for some services; returns a channel to it and its address."""
    with ExitStack() as closing:

        def start(*services: Service, **settings: Any) -> tuple[grpc.Channel, str]:
            server, port = create_server(services, ServerSettings(**settings))
            assert port > 0
            server.start()
            closing.callback(server.stop, 0)
            channel = open_channel(server.address)
            closing.callback(channel.close)
            return channel, server.address

        yield start


def spoken(*words: str, pause: float = 0.5, voice: int = 0) -> Samples:
    """Each word is a sequence of five sounds of its own, 0.12 s each; the voice moves their pitch."""
    rng = np.random.default_rng(voice)
    silence = lambda seconds: 1e-4 * rng.standard_normal(round(16_000 * seconds)).astype(np.float32)  # noqa: E731
    parts = [silence(pause)]
    for word in words:
        sounds = np.random.default_rng(zlib.crc32(word.encode()))
        for _ in range(5):
            time = np.arange(1_920) / 16_000
            tones = sounds.uniform(200, 4_500, 4) * (1 + 0.001 * voice)
            sound = sum(np.sin(2 * np.pi * tone * time) for tone in tones)
            parts.append((0.1 * sound + 0.005 * rng.standard_normal(1_920)).astype(np.float32))
        parts.append(silence(pause))
    return np.concatenate(parts)


@pytest.fixture(scope="session")
def say() -> Callable[..., Samples]:
    return spoken


SENTENCES = {
    "tea": ("some", "tea", "please"),
    "milk": ("milk", "with", "honey"),
    "both": ("honey", "then", "tea", "then", "milk"),
    "none": ("nothing", "of", "that", "kind", "was", "ever", "heard", "in", "this", "large", "house"),
}


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, Path]:
    """Files of spoken sentences, each in its own voice."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    paths = {}
    for voice, (name, words) in enumerate(SENTENCES.items()):
        paths[name] = folder / f"{name}.wav"
        paths[name].write_bytes(write_wav(spoken(*words, voice=voice)))
    return paths


@pytest.fixture
def running(
    tmp_path: Path, offering: Callable[..., ModelRepository]
) -> Iterator[Callable[..., SimpleNamespace]]:
    """Starts all services in this process around a fake encoder; returns its address and stubs."""
    with ExitStack() as closing:

        def start(encoder: BandEncoder | None = None, **searcher: Any) -> SimpleNamespace:
            encoder = encoder or BandEncoder()
            defaults = {
                "home": tmp_path / "home",
                "roots": (tmp_path,),
                "isolate": False,
                "default_encoder": encoder.name,
            }
            settings = EmbeddedSettings(
                segmenter=SegmenterSettings(detector="energy"),
                searcher=SearcherSettings(**(defaults | searcher)),
            )
            embedded = closing.enter_context(EmbeddedServer(settings, offering(encoder)))
            channel = open_channel(embedded.address)
            closing.callback(channel.close)
            return SimpleNamespace(
                address=embedded.address,
                encoder=encoder,
                query_bytes=embedded.query_bytes,
                archives=archive_pb2_grpc.ArchiveServiceStub(channel),
                searches=search_pb2_grpc.SearchServiceStub(channel),
            )

        yield start
